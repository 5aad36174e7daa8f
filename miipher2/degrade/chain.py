"""The degradations one after the other, as a recording lives through them.

Authors
 * The miipher2 authors 2026
"""

import numpy as np
from speechbrain.utils.logger import get_logger

from miipher2.degrade.base import Degradation
from miipher2.errors import UserError

logger = get_logger(__name__)


class Chain(Degradation):
    """At most some of several degradations, in the order of life.

    Every degradation is drawn by its own probability. Of more than
    ``max_steps`` a random choice stays; if none is drawn, one is, so that
    exactly ``clean_share`` of the clips pass through untouched. Wherever the
    peak exceeds full scale after a step, the whole clip is scaled down to it.

    Degradations that lack what they need (``Degradation.missing``) are left
    out with a note in the log.

    Arguments
    ---------
    steps : dict of (float, Degradation)
        For each name the probability and the degradation, in the order in
        which they are applied: room, noise, microphone, clipping, bandwidth,
        codec, network, level.
    max_steps : int
        How many at most on one clip.
    clean_share : float
        Share of the clips that are left clean, from 0 to 1.
    sample_rate : int
        In Hz; the degradations are built for it.

    Raises
    ------
    UserError
        If no degradation is left.

    Example
    -------
    >>> import torch
    >>> from miipher2.degrade import Clipping, PacketLoss, generator
    >>> chain = Chain(
    ...     steps={
    ...         "clipping": (0.5, Clipping(share=(0.1, 0.1))),
    ...         "network": (0.5, PacketLoss()),
    ...     },
    ...     clean_share=0.0,
    ... )
    >>> chain.names
    ['clipping', 'network']
    >>> noisy, drawn = chain.only("clipping")(torch.rand(16000), generator(0))
    >>> [step["name"] for step in drawn["steps"]], drawn["gain"]
    (['clipping'], 1.0)
    """

    def __init__(self, steps, max_steps=3, clean_share=0.05, sample_rate=16000):
        self.steps, self.left_out = {}, {}
        for name, (probability, step) in steps.items():
            if not 0 <= probability <= 1:
                raise UserError(
                    f"{name}: probability {probability}: give 0 to 1"
                )
            reason = step.missing()
            if reason:
                self.left_out[name] = reason
                logger.info("%s is left out: %s.", name, reason)
            elif probability > 0:
                self.steps[name] = (float(probability), step)
        if not self.steps:
            raise UserError("the degradation chain has no steps left")
        self.max_steps = max_steps
        self.clean_share = clean_share
        self.sample_rate = sample_rate

    @property
    def names(self):
        """list of str: the degradations that are in use, in order."""
        return list(self.steps)

    def only(self, name):
        """A chain of one degradation that damages every clip.

        Arguments
        ---------
        name : str
            One of ``names``.

        Returns
        -------
        chain : Chain
            It shares the degradation with this chain.

        Raises
        ------
        UserError
            If there is no such degradation here.
        """
        if name not in self.steps:
            reason = self.left_out.get(name, "not in the chain")
            names = ", ".join(self.names)
            raise UserError(
                f"degradation {name!r}: {reason}; there are {names}"
            )
        step = (1.0, self.steps[name][1])
        return Chain({name: step}, 1, 0.0, self.sample_rate)

    def added_sound(self, drawn):
        """Whether a clip now has sound in it that was not there.

        Arguments
        ---------
        drawn : dict
            What was drawn for it.

        Returns
        -------
        bool
            True if any step was one that ``adds_sound``.
        """
        return any(
            self.steps[step["name"]][1].adds_sound for step in drawn["steps"]
        )

    def _draw(self, rng):
        """The names of the steps for one clip, in order."""
        probability = np.array([share for share, _ in self.steps.values()])
        # All numbers are drawn at once: the steps do not move one another.
        clean, *draws = rng.random(1 + len(probability))
        if clean < self.clean_share:
            return []
        chosen = np.flatnonzero(draws < probability)
        if not len(chosen):
            share = probability / probability.sum()
            chosen = rng.choice(len(share), 1, p=share)
        elif len(chosen) > self.max_steps:
            chosen = rng.choice(chosen, self.max_steps, replace=False)
        names = self.names
        return [names[index] for index in np.sort(chosen)]

    def degrade(self, samples, rng):
        """Applies the steps; see ``Degradation.degrade``."""
        return self.degrade_pair(samples, samples, rng)[1:]

    def degrade_pair(self, target, samples, rng):
        """Applies the steps; see ``Degradation.degrade_pair``.

        What was drawn is ``{"steps": [{"name": ..., ...}, ...], "gain": ...}``
        with the factor by which the clip was scaled down in all.
        """
        samples, steps, gain = samples.copy(), [], 1.0
        for name in self._draw(rng):
            target, samples, drawn = self.steps[name][1].degrade_pair(
                target, samples, rng
            )
            steps.append({"name": name, **drawn})
            peak = float(np.abs(samples).max())
            if peak > 1:
                samples = samples / np.float32(peak)
                gain /= peak
        return target, samples, {"steps": steps, "gain": gain}
