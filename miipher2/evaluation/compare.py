"""Comparing a recording with its clean reference, without any package.

Authors
 * The miipher2 authors 2026
"""

import numpy as np
from scipy.fft import next_fast_len
from scipy.signal import stft

from miipher2.dataio.audio import active_samples, mean_power

MAX_DELAY_SECONDS = 0.1
# Over 50 utterances, peaks at the true delay stood 9 to 48 times above the
# rest under noise, clipping and band limits; chance peaks at most 8 times.
DISTINCT = 8.0
N_FFT = 512
HOP_LENGTH = 128
FLOOR_DB = 80.0


def find_delay(wav, reference, sample_rate):
    """By how much a recording is later than its reference.

    That is where the cross-correlation is greatest in magnitude, within
    100 ms. The cross-spectrum is divided by the square root of its magnitude,
    so that the pitch of a voice and the tail of a room do not shift the peak.
    Speech that a vocoder has made anew, or that comes from far away in a
    room, has no peak that stands out: then the delay is not known.

    Arguments
    ---------
    wav, reference : numpy.ndarray
        ``(time,)``; the lengths may differ.
    sample_rate : int
        Hz.

    Returns
    -------
    int
        Samples, below 0 if the recording is earlier. None if no peak is at
        least 8 times the root mean square of the correlation.

    Example
    -------
    >>> speech = np.random.default_rng(0).standard_normal(16000)
    >>> find_delay(np.pad(speech, (40, 0)), speech, 16000)
    40
    >>> find_delay(speech[::-1], speech, 16000) is None
    True
    """
    furthest = round(MAX_DELAY_SECONDS * sample_rate)
    longest = max(len(wav), len(reference))
    size = next_fast_len(longest + 2 * furthest + 1, real=True)
    cross = np.fft.rfft(wav, size) * np.fft.rfft(reference, size).conj()
    cross /= np.sqrt(np.abs(cross)) + 1e-9
    correlation = np.abs(np.fft.irfft(cross, size))
    # Entry d is for a delay of d samples; those below 0 stand at the end.
    near = np.concatenate(
        [correlation[-furthest:], correlation[: furthest + 1]]
    )
    peak = int(near.argmax())
    if near[peak] < DISTINCT * mean_power(near) ** 0.5 or not near[peak]:
        return None
    return peak - furthest


def remove_delay(wav, delay):
    """Moves a recording so that it starts with its reference.

    Arguments
    ---------
    wav : numpy.ndarray
        ``(time,)``.
    delay : int
        Samples, as ``find_delay`` gives them.

    Returns
    -------
    numpy.ndarray
        Without its first ``delay`` samples, or with ``-delay`` zeros before
        them.

    Example
    -------
    >>> remove_delay(np.array([1.0, 2.0]), 1), remove_delay(np.ones(1), -1)
    (array([2.]), array([0., 1.]))
    """
    return wav[delay:] if delay > 0 else np.pad(wav, (-delay, 0))


def log_spectral_distance(wav, reference, sample_rate, lowest=0.0):
    """Log-spectral distance, in dB.

    Both are cut to the shorter one and brought to the same level of active
    speech (``miipher2.dataio.audio.active_samples``). Their power spectra come from
    an STFT with a Hann window of 512 samples and a hop of 128. A bin counts as
    at least 80 dB below the greatest one of the reference. Of the differences
    in dB between the two, the root mean square over the bins from ``lowest``
    to half the sample rate is taken in each frame, then the mean over all
    frames, pauses included.

    Arguments
    ---------
    wav, reference : numpy.ndarray
        ``(time,)``, aligned, not silent.
    sample_rate : int
        Hz; 16000 in every table of this package.
    lowest : float
        Hz: bins below are left out, to see only what lies above a cut-off.

    Returns
    -------
    float
        dB; 0 for the same spectra. NaN if either is silent or the shorter one
        is below 512 samples.

    Example
    -------
    >>> noise = np.random.default_rng(0).standard_normal(16000)
    >>> log_spectral_distance(0.1 * noise, noise, 16000) < 1e-6
    True
    """
    time = min(len(wav), len(reference))
    if time < N_FFT:
        return float("nan")
    powers = []
    for samples in (reference[:time], wav[:time]):
        level = mean_power(samples[active_samples(samples, sample_rate)]) ** 0.5
        if not level:
            return float("nan")
        frequencies, _, spectrum = stft(
            samples.astype(np.float64) / level,
            sample_rate,
            nperseg=N_FFT,
            noverlap=N_FFT - HOP_LENGTH,
        )
        powers.append(np.abs(spectrum) ** 2)
    floor = powers[0].max() * 10 ** (-FLOOR_DB / 10)
    target, heard = (10 * np.log10(np.maximum(p, floor)) for p in powers)
    difference = (target - heard)[frequencies >= lowest]
    return float(np.mean(np.sqrt(np.mean(difference**2, axis=0))))
