"""Streaming meters for loudness and true peak.

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

# Maximum true peak of an output: -1.1 dB, measured by ``TruePeak``. The
# reference meter of BS.1770 reads up to 0.1 dB higher, so the true peak stays
# below -1 dB.
CEILING = 10 ** (-1.1 / 20)
CHUNK = 2**14  # samples; fits in a CPU's cache after fourfold oversampling
GATE_LUFS = -70.0  # absolute gate of BS.1770
LUFS_OF_POWER_1 = -0.691


class Loudness:
    """Integrated loudness meter (ITU-R BS.1770) with pyloudnorm's filters.

    ``pyloudnorm.Meter`` needs the complete signal; this meter accepts blocks of
    any length. All channels have the same weight.

    Arguments
    ---------
    sample_rate : int
        Sample rate in Hz.

    Example
    -------
    >>> tone = 0.1 * np.sin(2 * np.pi * 997 / 16000 * np.arange(32000))
    >>> loudness = Loudness(16000)
    >>> for block in np.split(tone, 5):
    ...     loudness.add(block)
    >>> round(loudness.value(), 1)
    -23.1
    """

    # Blocks of 400 ms consist of 4 steps; a block starts at each step.
    STEP_SECONDS, STEPS = 0.1, 4

    def __init__(self, sample_rate):
        self.sos = _weighting(sample_rate)
        self.state = None
        self.step = round(self.STEP_SECONDS * sample_rate)
        self.rest = np.zeros(0)  # power of each sample of an incomplete step
        self.steps = np.zeros(0)  # power of the last 3 steps
        self.blocks = PowerHistogram()

    def add(self, samples):
        """Measure the next samples.

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
        complete = len(power) // self.step * self.step
        self.rest = power[complete:]
        steps = power[:complete].reshape(-1, self.step).mean(axis=1)
        steps = np.concatenate([self.steps, steps])
        if len(steps) >= self.STEPS:
            window = np.lib.stride_tricks.sliding_window_view(steps, self.STEPS)
            self.blocks.add(window.mean(axis=1))
        self.steps = steps[-(self.STEPS - 1) :]

    def value(self):
        """Return the loudness in LUFS; -inf if no block is above -70 LUFS.

        A signal that is shorter than a block is measured as one block.
        """
        blocks = self.blocks
        if not blocks.counts.any():  # no complete block, or silence
            blocks = PowerHistogram()
            steps = np.repeat(self.steps, self.step)
            powers = np.concatenate([steps, self.rest])
            blocks.add(powers.mean(keepdims=True) if len(powers) else powers)
        gate = GATE_LUFS - LUFS_OF_POWER_1
        gated = blocks.mean(gate)
        if not gated:
            return -math.inf
        power = blocks.mean(max(gate, 10 * math.log10(gated) - 10))
        return LUFS_OF_POWER_1 + 10 * math.log10(power)


@functools.cache
def _weighting(sample_rate):
    """Return the K-weighting of BS.1770 as second-order sections ``(2, 6)``."""
    filters = (
        pyloudnorm.IIRfilter(4.0, 0.5**0.5, 1500.0, sample_rate, "high_shelf"),
        pyloudnorm.IIRfilter(0.0, 0.5, 38.0, sample_rate, "high_pass"),
    )
    return np.concatenate([tf2sos(f.b, f.a) for f in filters])


class TruePeak:
    """True-peak meter (ITU-R BS.1770) with fourfold oversampling.

    Arguments
    ---------
    sample_rate : int
        Sample rate in Hz.

    Example
    -------
    >>> peak = TruePeak(16000)
    >>> sine = np.tile([0.5, 0.5, -0.5, -0.5], 4000)  # peaks between samples
    >>> peak.add((sine * np.hanning(16000)).astype("float32"))
    >>> round(peak.value(), 2)
    0.71
    """

    def __init__(self, sample_rate):
        self.oversampler = soxr.ResampleStream(
            sample_rate, 4 * sample_rate, 1, dtype="float32", quality="HQ"
        )
        self.peak = 0.0

    def add(self, samples):
        """Measure the next samples.

        Arguments
        ---------
        samples : numpy.ndarray
            ``(time,)`` float32.
        """
        for start in range(0, len(samples), CHUNK):
            chunk = samples[start : start + CHUNK]
            self._update(self.oversampler.resample_chunk(chunk))
        self._update(samples)

    def value(self):
        """Return the peak amplitude. No samples can be added afterwards."""
        rest = np.zeros(0, dtype=np.float32)
        self._update(self.oversampler.resample_chunk(rest, last=True))
        return self.peak

    def _update(self, samples):
        if len(samples):
            self.peak = max(self.peak, float(np.abs(samples).max()))
