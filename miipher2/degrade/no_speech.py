"""Clips of noise without speech, for training with silence as the target.

Authors
 * The miipher2 authors 2026
"""

import numpy as np

from miipher2.dataio.speech_level import mean_power
from miipher2.degrade.base import Degradation, pick, uniform


class NoSpeech(Degradation):
    """Replace clips with one noise or with the sum of two.

    Arguments
    ---------
    share : float
        Fraction of training clips to replace, from 0 to 1.
    sources : list of miipher2.degrade.noise.AdditiveNoise
        Types of noise; those that need recordings but have none are left out.
    level_db : tuple of float
        Lowest and highest level of the noise, in dB relative to an RMS of 1. If
        a peak would exceed 1, the level is lower.

    Example
    -------
    >>> import torch
    >>> from miipher2.degrade.base import generator
    >>> from miipher2.degrade import ColouredNoise
    >>> no_speech = NoSpeech(0.1, [ColouredNoise()], level_db=(-30.0, -30.0))
    >>> noise, drawn = no_speech(torch.zeros(16000), generator(0))
    >>> round(20 * float(noise.square().mean().sqrt().log10()))
    -30
    """

    adds_sound = True

    def __init__(self, share, sources, level_db=(-60.0, -20.0)):
        self.share = share
        self.sources = [noise for noise in sources if not noise.missing()]
        self.level_db = level_db

    def missing(self):
        """See ``Degradation.missing``."""
        return None if self.sources else "no noise source"

    def degrade(self, samples, rng):
        """Return noise as long as the clip; see ``Degradation.degrade``."""
        noise = np.zeros(len(samples), dtype=np.float32)
        drawn = []
        for _ in range(int(rng.integers(1, 3))):
            source = pick(rng, self.sources)
            summand, parameters = source.noise(len(samples), rng)
            power = mean_power(summand)
            if power > 0:
                scale = np.float32(rng.uniform(0.2, 1.0) / power**0.5)
                noise += scale * summand.astype(np.float32)
            drawn.append(parameters)
        level_db = uniform(rng, self.level_db)
        power = mean_power(noise)
        gain = 10 ** (level_db / 20) / max(power, 1e-12) ** 0.5
        noise = np.float32(gain) * noise
        peak = max(1.0, float(np.abs(noise).max()))
        return noise / np.float32(peak), {
            "level_db": level_db,
            "sources": drawn,
        }
