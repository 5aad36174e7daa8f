"""Loudness and true peak, measured while sound streams by.

Authors
 * The miipher2 authors 2026
"""

import functools
import math

import numpy as np
import pyloudnorm
import soxr
from scipy.signal import sosfilt, tf2sos

from miipher2.dataio.speech_level import PowerHistogram

# True peak that nothing written exceeds. The standard's own meter, which reads
# up to 0.1 dB more than this one, still shows less than -1 dB.
CEILING = 10 ** (-1.1 / 20)
PIECE = 2**14  # samples, whose fourfold stays in a processor's cache
GATE_LUFS = -70.0  # what BS.1770 never counts
LUFS_OF_POWER_1 = -0.691


class Loudness:
    """Integrated loudness by ITU-R BS.1770, with pyloudnorm's filters.

    ``pyloudnorm.Meter`` wants all of the sound at once. All channels count
    alike.

    Arguments
    ---------
    sample_rate : int
        Hz.

    Example
    -------
    >>> tone = 0.1 * np.sin(2 * np.pi * 997 / 16000 * np.arange(32000))
    >>> loudness = Loudness(16000)
    >>> for block in np.split(tone, 5):
    ...     loudness.add(block)
    >>> round(loudness.value(), 1)
    -23.1
    """

    STEP_SECONDS, STEPS = 0.1, 4  # blocks of 400 ms, one every 100 ms

    def __init__(self, sample_rate):
        self.sos = _weighting(sample_rate)
        self.state = None
        self.step = round(self.STEP_SECONDS * sample_rate)
        self.rest = np.zeros(0)  # power by sample, less than a step
        self.steps = np.zeros(0)  # the last steps, less than a block
        self.blocks = PowerHistogram()

    def add(self, samples):
        """Measures the next samples.

        Arguments
        ---------
        samples : numpy.ndarray
            ``(time,)`` or ``(time, channels)``.
        """
        if not len(samples):
            return
        samples = samples.reshape(len(samples), -1).astype(np.float64)
        if self.state is None:
            self.state = np.zeros((len(self.sos), 2, samples.shape[1]))
        weighted, self.state = sosfilt(self.sos, samples, axis=0, zi=self.state)
        power = np.concatenate([self.rest, np.square(weighted).sum(axis=1)])
        whole = len(power) // self.step * self.step
        self.rest = power[whole:]
        steps = power[:whole].reshape(-1, self.step).mean(axis=1)
        steps = np.concatenate([self.steps, steps])
        if len(steps) >= self.STEPS:
            window = np.lib.stride_tricks.sliding_window_view(steps, self.STEPS)
            self.blocks.add(window.mean(axis=1))
        self.steps = steps[-(self.STEPS - 1) :]

    def value(self):
        """LUFS; -inf where no block is above the gate of -70 LUFS."""
        blocks = self.blocks
        if not blocks.counts.any():  # shorter than a block
            blocks = PowerHistogram()
            steps = np.repeat(self.steps, self.step)
            powers = np.concatenate([steps, self.rest])
            blocks.add(powers.mean(keepdims=True) if len(powers) else powers)
        gate = GATE_LUFS - LUFS_OF_POWER_1
        audible = blocks.mean(gate)
        if not audible:
            return -math.inf
        power = blocks.mean(max(gate, 10 * math.log10(audible) - 10))
        return LUFS_OF_POWER_1 + 10 * math.log10(power)


@functools.cache  # as every recording wants them
def _weighting(sample_rate):
    """The standard's filters as second-order sections ``(2, 6)``."""
    filters = (
        pyloudnorm.IIRfilter(4.0, 0.5**0.5, 1500.0, sample_rate, "high_shelf"),
        pyloudnorm.IIRfilter(0.0, 0.5, 38.0, sample_rate, "high_pass"),
    )
    return np.concatenate([tf2sos(f.b, f.a) for f in filters])


class TruePeak:
    """The highest value between the samples, by fourfold oversampling.

    Arguments
    ---------
    sample_rate : int
        Hz.

    Example
    -------
    >>> peak = TruePeak(16000)
    >>> sine = np.tile([0.5, 0.5, -0.5, -0.5], 4000)  # between its tops
    >>> peak.add((sine * np.hanning(16000)).astype("float32"))
    >>> round(peak.value(), 2)
    0.71
    """

    def __init__(self, sample_rate):
        self.oversampled = soxr.ResampleStream(
            sample_rate, 4 * sample_rate, 1, dtype="float32", quality="HQ"
        )
        self.peak = 0.0

    def add(self, samples):
        """Measures the next samples.

        Arguments
        ---------
        samples : numpy.ndarray
            ``(time,)`` float32.
        """
        for start in range(0, len(samples), PIECE):
            piece = samples[start : start + PIECE]
            self._look(self.oversampled.resample_chunk(piece))
        self._look(samples)

    def value(self):
        """The peak; nothing can be added after it."""
        rest = np.zeros(0, dtype=np.float32)
        self._look(self.oversampled.resample_chunk(rest, last=True))
        return self.peak

    def _look(self, samples):
        if len(samples):
            self.peak = max(self.peak, float(np.abs(samples).max()))
