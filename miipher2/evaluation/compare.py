"""Delay and log-spectral distance between a recording and its reference.

Authors
 * The miipher2 authors 2026
"""

import numpy as np
from scipy.fft import next_fast_len
from scipy.signal import stft

from miipher2.dataio.speech_level import active_samples, mean_power

MAX_DELAY_SECONDS = 0.1
# Smallest ratio of a correlation peak to the root mean square. In 50 utterances
# with noise, clipping or band limits, it was 9 to 48 for true peaks and at most
# 8 for spurious ones.
MIN_PEAK_RATIO = 8.0
N_FFT = 512
HOP_LENGTH = 128
FLOOR_DB = 80.0


def find_delay(
    wav: np.ndarray, reference: np.ndarray, sample_rate: int
) -> int | None:
    """Estimate the delay of a recording relative to its reference.

    The delay is the peak of the cross-correlation's magnitude within 100 ms.
    The cross-spectrum is divided by the square root of its magnitude, so that
    pitch and reverberation do not shift the peak. Speech that was resynthesised
    by a vocoder or recorded at a distance may have no distinct peak; its delay
    is unknown.

    Arguments
    ---------
    wav, reference : numpy.ndarray
        ``(time,)``; the lengths may differ.
    sample_rate : int
        In Hz.

    Returns
    -------
    int
        In samples; negative if the recording is ahead. None if no peak is at
        least 8 times the root mean square of the correlation.

    Example
    -------
    >>> speech = np.random.default_rng(0).standard_normal(16000)
    >>> find_delay(np.pad(speech, (40, 0)), speech, 16000)
    40
    >>> find_delay(speech[::-1], speech, 16000) is None
    True
    """
    max_delay = round(MAX_DELAY_SECONDS * sample_rate)
    longest = max(len(wav), len(reference))
    size = next_fast_len(longest + 2 * max_delay + 1, real=True)
    cross = np.fft.rfft(wav, size) * np.fft.rfft(reference, size).conj()
    cross /= np.sqrt(np.abs(cross)) + 1e-9
    correlation = np.abs(np.fft.irfft(cross, size))
    # Entry d belongs to a delay of d samples; negative delays are at the end.
    near = np.concatenate(
        [correlation[-max_delay:], correlation[: max_delay + 1]]
    )
    peak = int(near.argmax())
    if near[peak] < MIN_PEAK_RATIO * mean_power(near) ** 0.5 or not near[peak]:
        return None
    return peak - max_delay


def remove_delay(wav: np.ndarray, delay: int) -> np.ndarray:
    """Shift a recording by its delay.

    Arguments
    ---------
    wav : numpy.ndarray
        ``(time,)``.
    delay : int
        In samples, as returned by ``find_delay``.

    Returns
    -------
    numpy.ndarray
        Without the first ``delay`` samples, or with ``-delay`` zeros in front.

    Example
    -------
    >>> remove_delay(np.array([1.0, 2.0]), 1), remove_delay(np.ones(1), -1)
    (array([2.]), array([0., 1.]))
    """
    return wav[delay:] if delay > 0 else np.pad(wav, (-delay, 0))


def log_spectral_distance(
    wav: np.ndarray,
    reference: np.ndarray,
    sample_rate: int,
    lowest: float = 0.0,
) -> float:
    """Return the log-spectral distance in dB.

    Both signals are truncated to the shorter length and scaled to the same
    level of active speech (see ``active_samples``). Their power spectra come
    from an STFT with a Hann window of 512 samples and a hop length of 128, with
    a floor 80 dB below the largest bin of the reference. The distance is the
    root mean square of the differences in dB over the bins from ``lowest`` to
    half the sample rate, averaged over all frames, including pauses.

    Arguments
    ---------
    wav, reference : numpy.ndarray
        ``(time,)``, aligned, not silent.
    sample_rate : int
        In Hz; the metric ``LSD`` uses 16000.
    lowest : float
        In Hz; bins below it are ignored, for example to compare only the
        band above a cut-off.

    Returns
    -------
    float
        In dB; 0 for equal spectra. NaN if either signal is silent or the
        shorter one has fewer than 512 samples.

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
    target_db, wav_db = (10 * np.log10(np.maximum(p, floor)) for p in powers)
    difference = (target_db - wav_db)[frequencies >= lowest]
    return float(np.mean(np.sqrt(np.mean(difference**2, axis=0))))
