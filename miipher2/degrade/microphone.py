"""A microphone's frequency response, and a DC offset.

Authors
 * The miipher2 authors 2026
"""

import numpy as np
from scipy import fft
from scipy.interpolate import PchipInterpolator

from miipher2.degrade.base import Degradation, log_uniform, pick, uniform


class Microphone(Degradation):
    """Apply a random smooth frequency response.

    Normally distributed gains are drawn at points about one octave apart,
    from 62.5 Hz to half the sample rate. They are shifted to a mean of 0 dB and
    interpolated over log frequency by monotone cubic polynomials. The filter
    has zero phase, so the audio is not delayed.

    Arguments
    ---------
    spread_db : tuple of float
        Lowest and highest standard deviation of the gains, in dB.
    sample_rate : int
        Sample rate in Hz.

    Example
    -------
    >>> import torch
    >>> from miipher2.degrade.base import generator
    >>> wav = torch.sin(torch.arange(16000) / 8)
    >>> coloured, drawn = Microphone(spread_db=(0.0, 0.0))(wav, generator(0))
    >>> bool(torch.allclose(coloured, wav, atol=1e-5)), drawn["gains_db"][0]
    (True, 0.0)
    """

    lowest_hz = 62.5
    # Zero padding in seconds, longer than the impulse response.
    settle_seconds = 0.064

    def __init__(self, spread_db=(2.0, 8.0), sample_rate=16000):
        self.spread_db = spread_db
        self.sample_rate = sample_rate

    def degrade(self, samples, rng):
        """Filter in the frequency domain; see ``Degradation.degrade``."""
        octaves = np.log2(self.sample_rate / 2 / self.lowest_hz)
        points = np.linspace(0, octaves, round(octaves) + 1)
        spread_db = uniform(rng, self.spread_db)
        gains_db = spread_db * rng.standard_normal(len(points))
        gains_db -= gains_db.mean()
        length = len(samples) + round(self.settle_seconds * self.sample_rate)
        padded = fft.next_fast_len(length, real=True)
        spectrum = fft.rfft(samples, padded)
        # Evaluate the cubics on a coarse grid, which is faster than at every
        # bin, and interpolate linearly between its points.
        curve = PchipInterpolator(points, gains_db)(
            np.linspace(0, octaves, 256)
        )
        hz = fft.rfftfreq(padded, 1 / self.sample_rate)
        octave = np.log2(np.maximum(hz, self.lowest_hz) / self.lowest_hz)
        gain_db = np.interp(octave, np.linspace(0, octaves, 256), curve)
        spectrum *= (10 ** (gain_db / 20)).astype(np.float32)
        filtered = fft.irfft(spectrum, padded)[: len(samples)]
        gains_db = [round(float(gain), 2) for gain in gains_db]
        return filtered, {"spread_db": spread_db, "gains_db": gains_db}


class Offset(Degradation):
    """Add a constant (DC) offset.

    Arguments
    ---------
    offset : tuple of float
        Smallest and largest magnitude relative to full scale, drawn
        log-uniformly; the sign is random.

    Example
    -------
    >>> import torch
    >>> from miipher2.degrade.base import generator
    >>> moved, drawn = Offset((0.1, 0.1))(torch.zeros(1000), generator(0))
    >>> round(abs(float(moved.mean())), 3)
    0.1
    """

    def __init__(self, offset=(0.001, 0.1)):
        self.offset = offset

    def degrade(self, samples, rng):
        """Add the offset; see ``Degradation.degrade``."""
        offset = log_uniform(rng, self.offset) * pick(rng, (-1, 1))
        return samples + np.float32(offset), {"offset": offset}
