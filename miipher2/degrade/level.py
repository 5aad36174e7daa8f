"""Recordings that are too quiet or too loud.

Authors
 * The miipher2 authors 2026
"""

import numpy as np

from miipher2.dataio.speech_level import active_samples, mean_power
from miipher2.degrade.base import Degradation, uniform


class Level(Degradation):
    """Scale the clip to a random speech level.

    Digital silence is not changed.

    Arguments
    ---------
    level_db : tuple of float
        Lowest and highest level of the active speech, in dB relative to a
        full-scale square wave (an RMS of 1).
    sample_rate : int
        Sample rate in Hz.

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
        """Scale the clip; see ``Degradation.degrade``."""
        level_db = uniform(rng, self.level_db)
        power = mean_power(samples[active_samples(samples, self.sample_rate)])
        if power == 0:
            return samples.copy(), {"level_db": None}
        gain = np.float32(10 ** (level_db / 20) / np.sqrt(power))
        return samples * gain, {"level_db": level_db}
