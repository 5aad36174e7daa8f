"""Wow and flutter: speed variations of tapes and vinyl records.

Authors
 * The miipher2 authors 2026
"""

import numpy as np
from scipy.ndimage import map_coordinates

from miipher2.degrade.base import Degradation, log_uniform, uniform


class Flutter(Degradation):
    """Modulate the speed with a slow (wow) and a fast (flutter) sine.

    A modulation with relative peak depth d at rate f shifts the audio by at
    most d / (2 pi f) seconds, for example by 1.6 ms for 0.5 % at 0.5 Hz. The
    audio therefore stays aligned with the target.

    Arguments
    ---------
    wow : tuple of float
        Smallest and largest peak depth of the slow sine, relative to the
        nominal speed; drawn log-uniformly.
    wow_hz : tuple of float
        Lowest and highest rate of the slow sine, in Hz.
    flutter : tuple of float
        Like ``wow``, for the fast sine.
    flutter_hz : tuple of float
        Like ``wow_hz``, for the fast sine.
    sample_rate : int
        Sample rate in Hz.

    Example
    -------
    >>> import torch
    >>> from miipher2.degrade.base import generator
    >>> tape = Flutter()
    >>> played, drawn = tape(torch.sin(torch.arange(16000) / 8), generator(0))
    >>> played.shape
    torch.Size([16000])
    """

    def __init__(
        self,
        wow=(0.0005, 0.005),
        wow_hz=(0.5, 2.0),
        flutter=(0.0002, 0.002),
        flutter_hz=(5.0, 15.0),
        sample_rate=16000,
    ):
        self.modulations = ((wow, wow_hz), (flutter, flutter_hz))
        self.sample_rate = sample_rate

    def degrade(self, samples, rng):
        """Resample at varying speed; see ``Degradation.degrade``."""
        time = np.arange(len(samples)) / self.sample_rate
        position = np.arange(len(samples), dtype=np.float64)
        drawn = {}
        for name, (depth, rate) in zip(
            ("wow", "flutter"), self.modulations, strict=True
        ):
            drawn[name] = log_uniform(rng, depth)
            drawn[f"{name}_hz"] = uniform(rng, rate)
            omega = 2 * np.pi * drawn[f"{name}_hz"]
            phase = rng.uniform(0, 2 * np.pi)
            shift = drawn[name] / omega * self.sample_rate
            position += shift * np.sin(omega * time + phase)
        played = map_coordinates(samples, [position], order=5, mode="nearest")
        return played, drawn
