"""Reverberation by room impulse responses.

Authors
 * The miipher2 authors 2026
"""

import numpy as np
from scipy.signal import fftconvolve

from miipher2.degrade.base import Degradation, fit, pick
from miipher2.degrade.recordings import Recordings
from miipher2.errors import UserError

EARLY_SECONDS = 0.05


def direct_path(rir):
    """The sample at which the direct sound arrives.

    It is the first peak of at least half the height of the highest: in a
    live room a reflection may be louder than the direct sound.

    Arguments
    ---------
    rir : numpy.ndarray
        Room impulse response of shape (time,).

    Returns
    -------
    index : int
        The direct sound's sample.

    Example
    -------
    >>> direct_path(np.array([0.0, 0.1, -0.9, 0.2, 0.0, 1.0]))
    2
    """
    level = np.abs(rir)
    first = int(np.argmax(level >= 0.5 * level.max()))
    falling = np.diff(level[first:], append=-1.0) < 0
    return first + int(np.argmax(falling))


class Reverb(Degradation):
    """A room, by its recorded or simulated impulse response.

    The direct sound is aligned with the input and keeps its polarity. The
    response is scaled to unit energy over the early part (until 50 ms after
    the direct sound), so that the voice keeps its level.

    Arguments
    ---------
    csv : str or None
        Manifest of room impulse responses (ID, duration, wav) of any rate;
        None for no reverberation.
    data_root : str or None
        What ``$data_root`` stands for in the manifest.
    target : str
        What a restorer should give back: ``dry``, the input, or ``early``, the
        input with the early part of the same response.
    sample_rate : int
        In Hz.

    Raises
    ------
    UserError
        If the target is neither ``dry`` nor ``early``.
    """

    adds_sound = True

    def __init__(self, csv, data_root=None, target="dry", sample_rate=16000):
        if target not in ("dry", "early"):
            raise UserError(f"target {target!r}: give 'dry' or 'early'")
        self.recordings = Recordings(csv, data_root, sample_rate)
        self.target = target
        self.sample_rate = sample_rate

    def missing(self):
        """See ``Degradation.missing``."""
        return None if self.recordings.csv else "no manifest of rooms"

    def degrade(self, samples, rng):
        """Convolves with a random response; see ``Degradation.degrade``."""
        _, wet, drawn = self.degrade_pair(samples, samples, rng)
        return wet, drawn

    def degrade_pair(self, target, samples, rng):
        """As ``degrade``, and the target; see ``Degradation``."""
        row = pick(rng, self.recordings.rows)
        rir = self.recordings.whole(row)
        if not np.any(rir):
            raise UserError(f"{row['wav']}: silent; remove its row")
        direct = direct_path(rir)
        early = rir[: direct + round(EARLY_SECONDS * self.sample_rate)]
        scale = np.sign(rir[direct]) / np.sqrt(np.sum(early**2))
        if self.target == "early":
            target = _convolve(target, early * scale, direct)
            # Nobody scales a target down later: it has to fit by itself.
            loud = max(1.0, float(np.abs(target).max()))
            target, scale = target / np.float32(loud), scale / loud
        wet = _convolve(samples, rir * scale, direct)
        return target, wet, {"rir": row["ID"], "target": self.target}


def _convolve(samples, rir, delay):
    """``samples`` through ``rir``, earlier by ``delay``, as long as before."""
    wet = fftconvolve(samples, rir)
    return fit(wet[delay:], len(samples))
