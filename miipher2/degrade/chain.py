"""A random chain of degradations.

Authors
 * The miipher2 authors 2026
"""

import numpy as np
from speechbrain.utils.logger import get_logger

from miipher2.degrade.base import Degradation
from miipher2.errors import UserError

logger = get_logger(__name__)


class Chain(Degradation):
    """Apply a random subset of several degradations in a fixed order.

    A clip stays clean with probability ``clean_share``. Otherwise, each
    degradation is selected with its own probability. If more than ``max_steps``
    are selected, a random subset of ``max_steps`` is applied. If none is
    selected, one is chosen in proportion to the probabilities. If the peak
    exceeds full scale after a degradation, the clip is scaled down to a peak
    of 1.

    Degradations that cannot be used are left out and logged; see
    ``Degradation.missing``.

    Arguments
    ---------
    steps : dict of (float, Degradation)
        Probability and degradation by name, in the order of the signal path:
        room, noise, microphone, clipping, bandwidth, codec, network, level.
    max_steps : int
        Maximum number of degradations per clip.
    clean_share : float
        Fraction of clips that are not degraded, from 0 to 1.
    sample_rate : int
        The degradations' sample rate in Hz.

    Raises
    ------
    UserError
        If no usable degradation has a probability above 0, or a probability is
        not in [0, 1].

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
                    f"{name}: probability {probability} is not in [0, 1]"
                )
            reason = step.missing()
            if reason:
                self.left_out[name] = reason
                logger.info("Degradation %s is left out: %s.", name, reason)
            elif probability > 0:
                self.steps[name] = (float(probability), step)
        if not self.steps:
            raise UserError(
                "the degradation chain is empty: every step lacks a manifest "
                "or has probability 0"
            )
        self.max_steps = max_steps
        self.clean_share = clean_share
        self.sample_rate = sample_rate

    @property
    def names(self):
        """Names of the degradations in use, in order."""
        return list(self.steps)

    def only(self, name):
        """Return a chain that applies one degradation to every clip.

        Arguments
        ---------
        name : str
            One of ``names``.

        Returns
        -------
        chain : Chain
            A new chain that uses the same ``Degradation`` object.

        Raises
        ------
        UserError
            If the chain has no such degradation.
        """
        if name not in self.steps:
            reason = self.left_out.get(name, "not in the chain")
            names = ", ".join(self.names)
            raise UserError(
                f"degradation {name!r}: {reason}; choose from {names}"
            )
        step = (1.0, self.steps[name][1])
        return Chain({name: step}, 1, 0.0, self.sample_rate)

    def added_sound(self, drawn):
        """Return whether noise, voices or reverberation were added to a clip.

        Arguments
        ---------
        drawn : dict
            The parameters drawn for the clip.

        Returns
        -------
        bool
            True if ``adds_sound`` is True for any of the clip's degradations.
        """
        return any(
            self.steps[step["name"]][1].adds_sound for step in drawn["steps"]
        )

    def _draw(self, rng):
        """Draw the names of the steps for one clip, in order."""
        probability = np.array([share for share, _ in self.steps.values()])
        # Draw one number per step even if the clip stays clean.
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
        """Apply the steps; see ``Degradation.degrade``."""
        return self.degrade_pair(samples, samples, rng)[1:]

    def degrade_pair(self, target, samples, rng):
        """Apply the steps; see ``Degradation.degrade_pair``.

        ``drawn`` is ``{"steps": [{"name": ..., ...}, ...], "gain": ...}``. The
        gain is the product of all factors by which the clip was scaled down.
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
