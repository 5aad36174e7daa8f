"""Wow and flutter: a tape or disc that does not run evenly.

Authors
 * The miipher2 authors 2026
"""

import numpy as np
from scipy.ndimage import map_coordinates

from miipher2.degrade.base import Degradation, log_uniform, uniform


class Flutter(Degradation):
    """Playback whose speed sways by a slow (wow) and a fast (flutter) sine.

    A sway of depth d (peak, relative speed) and rate f moves the sound by at
    most d / (2 pi f) seconds from its place, so that the target stays in time:
    0.5 % at 0.5 Hz is 1.6 ms.

    Arguments
    ---------
    wow : tuple of float
        Smallest and largest peak deviation of the speed by the slow sine,
        relative to 1.
    wow_hz : tuple of float
        Lowest and highest rate of the slow sine, in Hz.
    flutter : tuple of float
        As ``wow``, by the fast sine.
    flutter_hz : tuple of float
        As ``wow_hz``, of the fast sine.
    sample_rate : int
        In Hz.

    Example
    -------
    >>> import torch
    >>> from miipher2.degrade.base import generator
    >>> tape = Flutter()
    >>> heard, drawn = tape(torch.sin(torch.arange(16000) / 8), generator(0))
    >>> heard.shape
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
        self.sways = ((wow, wow_hz), (flutter, flutter_hz))
        self.sample_rate = sample_rate

    def degrade(self, samples, rng):
        """Reads the clip at a swaying speed; see ``Degradation.degrade``."""
        time = np.arange(len(samples)) / self.sample_rate
        place = np.arange(len(samples), dtype=np.float64)
        drawn = {}
        for name, (depth, rate) in zip(
            ("wow", "flutter"), self.sways, strict=True
        ):
            drawn[name] = log_uniform(rng, depth)
            drawn[f"{name}_hz"] = uniform(rng, rate)
            turn = 2 * np.pi * drawn[f"{name}_hz"]
            phase = rng.uniform(0, 2 * np.pi)
            move = drawn[name] / turn * self.sample_rate
            place += move * np.sin(turn * time + phase)
        heard = map_coordinates(samples, [place], order=5, mode="nearest")
        return heard, drawn
