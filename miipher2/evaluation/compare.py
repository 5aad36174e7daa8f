"""Delay of a recording and its distance from a reference.

Authors
 * The miipher2 authors 2026
"""

import numpy as np
import torchaudio
from scipy.fft import dct, next_fast_len
from scipy.signal import stft

from miipher2.dataio.speech_level import (
    ACTIVE_RANGE_DB,
    active_samples,
    mean_power,
)

MAX_DELAY_SECONDS = 0.1
# Smallest ratio of a correlation peak to the root mean square. In 50 utterances
# with noise, clipping or band limits, it was 9 to 48 for true peaks and at most
# 8 for spurious ones.
MIN_PEAK_RATIO = 8.0
N_FFT = 512
HOP_LENGTH = 128
FLOOR_DB = 80.0
N_MELS = 80
CEPSTRAL_ORDER = 24
MAX_SISDR_DB = 100.0


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
    # Index d is a delay of d samples; negative delays are at the end.
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
    frequencies, powers = _power_spectra(wav, reference, sample_rate)
    if powers is None:
        return float("nan")
    target_db, wav_db = (10 * np.log10(power) for power in powers)
    difference = (target_db - wav_db)[frequencies >= lowest]
    return float(np.mean(np.sqrt(np.mean(difference**2, axis=0))))


def mel_cepstral_distortion(
    wav: np.ndarray, reference: np.ndarray, sample_rate: int
) -> float:
    """Return the mel-cepstral distortion in dB, without time warping.

    The power spectra of ``log_spectral_distance`` are summed in 80 mel bands.
    The cepstral coefficients c are the discrete cosine transform of the
    logarithmic band magnitudes. The distortion of a frame is ``10 / ln 10 *
    sqrt(2 * sum((c - c')^2))`` over the coefficients 1 to 24, which is the root
    mean square of the difference in dB of the smoothed spectra; the result is
    the mean over the frames of active speech in the reference. Implementations
    that compute the cepstra differently, for example with WORLD, give different
    values.

    Arguments
    ---------
    wav, reference : numpy.ndarray
        ``(time,)``, aligned, not silent.
    sample_rate : int
        In Hz; the metric ``MCD`` uses 16000.

    Returns
    -------
    float
        In dB; NaN if either signal is silent or the shorter one has fewer than
        512 samples.

    Example
    -------
    >>> noise = np.random.default_rng(0).standard_normal(16000)
    >>> mel_cepstral_distortion(0.1 * noise, noise, 16000) < 1e-6
    True
    """
    _, powers = _power_spectra(wav, reference, sample_rate)
    if powers is None:
        return float("nan")
    filters = torchaudio.functional.melscale_fbanks(
        N_FFT // 2 + 1, 0.0, sample_rate / 2, N_MELS, sample_rate
    ).numpy()
    # Remove bands that are too narrow to contain a bin
    filters = filters[:, filters.any(axis=0)]
    target, cepstra = (
        dct(0.5 * np.log(filters.T @ power), axis=0) / filters.shape[1]
        for power in powers
    )
    change = (target - cepstra)[1 : CEPSTRAL_ORDER + 1]
    distortion = 10 / np.log(10) * np.sqrt(2 * np.sum(change**2, axis=0))
    energy = powers[0].sum(axis=0)
    active = energy > energy.max() * 10 ** (-ACTIVE_RANGE_DB / 10)
    return float(distortion[active].mean())


def _power_spectra(
    wav: np.ndarray, reference: np.ndarray, sample_rate: int
) -> tuple[np.ndarray, tuple[np.ndarray, np.ndarray] | None]:
    """Return the frequencies and the power spectra of reference and recording.

    The spectra ``(frequencies, frames)`` are None if a signal is silent or too
    short.
    """
    frequencies = np.arange(N_FFT // 2 + 1) * sample_rate / N_FFT
    time = min(len(wav), len(reference))
    if time < N_FFT:
        return frequencies, None
    powers = []
    for samples in (reference[:time], wav[:time]):
        level = mean_power(samples[active_samples(samples, sample_rate)]) ** 0.5
        if not level:
            return frequencies, None
        _, _, spectrum = stft(
            samples.astype(np.float64) / level,
            sample_rate,
            nperseg=N_FFT,
            noverlap=N_FFT - HOP_LENGTH,
        )
        powers.append(np.abs(spectrum) ** 2)
    floor = powers[0].max() * 10 ** (-FLOOR_DB / 10)
    target, power = (np.maximum(power, floor) for power in powers)
    return frequencies, (target, power)


def si_sdr(wav: np.ndarray, reference: np.ndarray) -> float:
    """Return the scale-invariant signal-to-distortion ratio in dB.

    The reference, without its mean, is scaled to the recording by least
    squares; the residual is the distortion. The ratio is of little use for
    speech generated by a vocoder, whose phase differs from that of the
    reference.

    Arguments
    ---------
    wav, reference : numpy.ndarray
        ``(time,)``, aligned; cut to the shorter length.

    Returns
    -------
    float
        In dB, limited to -100 to 100. NaN if either signal is constant.

    Example
    -------
    >>> noise = np.random.default_rng(0).standard_normal((2, 16000))
    >>> round(si_sdr(3 * noise[0] + 0.3 * noise[1], noise[0]))
    20
    """
    time = min(len(wav), len(reference))
    if not time:
        return float("nan")
    x, y = (s[:time].astype(np.float64) for s in (wav, reference))
    x, y = x - x.mean(), y - y.mean()
    power, target_power = float(x @ x), float(y @ y)
    if not power or not target_power:
        return float("nan")
    share = min(1.0, float(x @ y) ** 2 / (power * target_power))
    least = 10 ** (-MAX_SISDR_DB / 10)
    ratio = max(share, least) / max(1 - share, least)
    return float(10 * np.log10(ratio))
