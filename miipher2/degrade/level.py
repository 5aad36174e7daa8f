"""How loud speech is, where it is active; and the level of a recording.

Authors
 * The miipher2 authors 2026
"""

import numpy as np

from miipher2.degrade.base import Degradation, uniform

FRAME_SECONDS = 0.025
ACTIVE_RANGE_DB = 25.0


def active_samples(samples, sample_rate):
    """Where speech is active.

    The clip is cut into frames of 25 ms, one after the other (the last may be
    shorter). A frame is active if its mean power is above zero and at most
    25 dB below that of the loudest frame, as in ``miipher2.audio``.

    Arguments
    ---------
    samples : numpy.ndarray
        Speech of shape (time,).
    sample_rate : int
        In Hz.

    Returns
    -------
    active : numpy.ndarray
        bool of shape (time,): True for every sample of an active frame; all
        False for digital silence.

    Example
    -------
    >>> speech = np.concatenate([np.zeros(8000), np.ones(8000)])
    >>> int(active_samples(speech, 16000).sum())
    8000
    """
    frame = max(1, round(FRAME_SECONDS * sample_rate))
    starts = np.arange(0, len(samples), frame)
    lengths = np.diff(starts, append=len(samples))
    energy = np.add.reduceat(samples.astype(np.float64) ** 2, starts)
    power = energy / lengths
    floor = power.max() * 10 ** (-ACTIVE_RANGE_DB / 10)
    return np.repeat((power > 0) & (power >= floor), lengths)


def mean_power(samples):
    """The mean of the squared samples, in double precision; 0 for none."""
    if samples.size == 0:
        return 0.0
    return float(np.mean(samples.astype(np.float64) ** 2))


class Level(Degradation):
    """A recording made too quiet or too loud.

    Digital silence stays as it is.

    Arguments
    ---------
    level_db : tuple of float
        Lowest and highest level of the active speech, in dB relative to a
        full-scale square wave (an RMS of 1).
    sample_rate : int
        In Hz.

    Example
    -------
    >>> import torch
    >>> from miipher2.degrade.base import generator
    >>> level = Level(level_db=(-40.0, -40.0))
    >>> quiet, drawn = level(torch.ones(16000), generator(0))
    >>> round(float(quiet.max()), 3), drawn
    (0.01, {'level_db': -40.0})
    """

    def __init__(self, level_db=(-45.0, -15.0), sample_rate=16000):
        self.level_db = level_db
        self.sample_rate = sample_rate

    def degrade(self, samples, rng):
        """Scales the clip; see ``Degradation.degrade``."""
        level_db = uniform(rng, self.level_db)
        power = mean_power(samples[active_samples(samples, self.sample_rate)])
        if power == 0:
            return samples.copy(), {"level_db": None}
        gain = np.float32(10 ** (level_db / 20) / np.sqrt(power))
        return samples * gain, {"level_db": level_db}
