"""Reverberation with room impulse responses.

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
    """Return the index of the direct sound in an impulse response.

    The direct sound is the first peak with at least half the largest magnitude,
    because a reflection can be louder than the direct sound.

    Arguments
    ---------
    rir : numpy.ndarray
        Room impulse response of shape (time,).

    Returns
    -------
    index : int
        Sample index of the direct sound.

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
    """Convolve with a recorded or simulated room impulse response.

    The direct sound is aligned with the input and has the same polarity. The
    response is scaled to unit energy over its early part (up to 50 ms after the
    direct sound), so that the speech level stays about the same.

    Arguments
    ---------
    csv : str or None
        Manifest of room impulse responses (ID, duration, wav) at any sample
        rate; None for no reverberation.
    data_root : str or None
        Value of ``$data_root`` in the manifest.
    target : str
        The target of restoration: ``dry`` (the input) or ``early`` (the input
        convolved with the early part of the same response).
    sample_rate : int
        Sample rate in Hz.

    Raises
    ------
    UserError
        If the target is neither ``dry`` nor ``early``.
    """

    adds_sound = True

    def __init__(self, csv, data_root=None, target="dry", sample_rate=16000):
        if target not in ("dry", "early"):
            raise UserError(
                f"reverb: unknown target {target!r}; choose 'dry' or 'early'"
            )
        self.recordings = Recordings(csv, data_root, sample_rate)
        self.target = target
        self.sample_rate = sample_rate

    def missing(self):
        """See ``Degradation.missing``."""
        if self.recordings.csv:
            return None
        return "no manifest of impulse responses"

    def degrade(self, samples, rng):
        """Convolve with a random response; see ``Degradation.degrade``."""
        _, wet, drawn = self.degrade_pair(samples, samples, rng)
        return wet, drawn

    def degrade_pair(self, target, samples, rng):
        """Convolve the clip; with ``early``, also convolve the target."""
        row = pick(rng, self.recordings.rows)
        rir = self.recordings.read(row)
        if not np.any(rir):
            raise UserError(
                f"{row['wav']}: the impulse response is silent; remove its row "
                f"from {self.recordings.csv}"
            )
        direct = direct_path(rir)
        early = rir[: direct + round(EARLY_SECONDS * self.sample_rate)]
        scale = np.sign(rir[direct]) / np.sqrt(np.sum(early**2))
        if self.target == "early":
            target = _convolve(target, early * scale, direct)
            # The chain does not scale targets, so limit the peak here.
            peak = max(1.0, float(np.abs(target).max()))
            target, scale = target / np.float32(peak), scale / peak
        wet = _convolve(samples, rir * scale, direct)
        return target, wet, {"rir": row["ID"], "target": self.target}


def _convolve(samples, rir, delay):
    """Convolve, drop the first ``delay`` samples, and keep the length."""
    wet = fftconvolve(samples, rir)
    return fit(wet[delay:], len(samples))
