"""Bandwidth of recordings: measurement and low-pass filtering.

A recording at 24 kHz that was resampled from 16 kHz or decoded from a lossy
format has no content above a certain frequency. During training on such a
recording, the prediction and the target pass through the same low-pass filter
before the loss is computed.

Authors
 * The miipher2 authors 2026
"""

import numpy as np
import torch

WINDOW_SECONDS = 0.032
REFERENCE_HZ = (2000, 4000)
DROP_DB = 40.0  # the threshold is this far below the power in REFERENCE_HZ
SMOOTHING_HZ = 250.0  # width of the moving average over the spectrum
# Cut-off of the low-pass filter as a fraction of the bandwidth. Just below the
# bandwidth, the anti-aliasing filter of a recording rolls off, and a vocoder
# trained on this roll-off learns a spectral notch.
BELOW_ROLL_OFF = 0.95


def measure_bandwidth(samples, sample_rate):
    """Return the frequency at which the spectrum of a recording ends.

    The spectrum is averaged over the 10 % of the frames with the highest power
    from 2 to 4 kHz, and smoothed. Many of these frames are fricatives, which
    contain all frequencies up to the bandwidth. The spectrum ends at the
    highest frequency whose power is less than ``DROP_DB`` below the mean power
    from 2 to 4 kHz.

    Arguments
    ---------
    samples : numpy.ndarray
        ``(time,)``.
    sample_rate : int
        Sample rate in Hz.

    Returns
    -------
    float
        The frequency in Hz; half the sample rate for full-band and silent
        recordings, and for those shorter than 0.128 s.

    Example
    -------
    >>> import soxr
    >>> noise = np.random.default_rng(0).standard_normal(24000)
    >>> narrow = soxr.resample(soxr.resample(noise, 24000, 16000), 16000, 24000)
    >>> measure_bandwidth(noise, 24000)
    12000.0
    >>> 7000 < measure_bandwidth(narrow, 24000) < 8100
    True
    """
    highest = sample_rate / 2
    size = round(WINDOW_SECONDS * sample_rate)
    samples = np.asarray(samples)
    if len(samples) < 4 * size or not samples.any():
        return highest
    frames = np.lib.stride_tricks.sliding_window_view(samples, size)
    power = np.abs(np.fft.rfft(frames[:: size // 2] * np.hanning(size))) ** 2
    hz = np.arange(power.shape[1]) * sample_rate / size
    lowest_hz, highest_hz = REFERENCE_HZ
    reference = power[:, (hz >= lowest_hz) & (hz < highest_hz)].mean(axis=1)
    loudest = reference >= np.quantile(reference, 0.9)
    spectrum = power[loudest].mean(axis=0)
    width = max(1, round(SMOOTHING_HZ * size / sample_rate))
    spectrum = np.convolve(spectrum, np.ones(width) / width, "same")
    threshold = reference[loudest].mean() * 10 ** (-DROP_DB / 10)
    above = np.flatnonzero(spectrum > threshold)
    if not len(above) or above[-1] >= power.shape[1] - 1 - width:
        return float(highest)
    return float(hz[above[-1]])


def low_pass(wavs, bandwidth_hz, sample_rate):
    """Remove all frequencies above 95 % of each clip's bandwidth.

    A clip whose bandwidth is at least half the sample rate is not changed.

    Arguments
    ---------
    wavs : torch.Tensor
        ``(batch, ..., time)``.
    bandwidth_hz : torch.Tensor
        Bandwidth of each clip in Hz, ``(batch,)``.
    sample_rate : int
        Sample rate in Hz.

    Returns
    -------
    torch.Tensor
        Filtered clips of the same shape; ``wavs`` itself if every bandwidth is
        at least half the sample rate.

    Example
    -------
    >>> tone = torch.sin(torch.arange(2400) * 2 * torch.pi * 9000 / 24000)
    >>> wavs = low_pass(tone.expand(2, -1), torch.tensor([8e3, 12e3]), 24000)
    >>> [round(float(wav.abs().mean()), 2) for wav in wavs]
    [0.0, 0.6]
    """
    bandwidth_hz = bandwidth_hz.to(wavs.device)
    complete = bandwidth_hz >= sample_rate / 2
    if bool(complete.all()):
        return wavs
    time = wavs.shape[-1]
    hz = torch.fft.rfftfreq(time, 1 / sample_rate).to(wavs.device)
    shape = len(wavs), *[1] * (wavs.dim() - 2), len(hz)
    passed = hz <= BELOW_ROLL_OFF * bandwidth_hz[:, None]
    passed = (passed | complete[:, None]).view(shape)
    return torch.fft.irfft(torch.fft.rfft(wavs) * passed, time)
