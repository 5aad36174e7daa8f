"""Comparison of a recording with a reference: delay, distances and SI-SDR.

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
# Minimum ratio of a correlation peak to the root mean square of the
# correlation. In 50 utterances with noise, clipping or limited bandwidth, the
# ratio was 9 to 48 for true peaks and at most 8 for spurious peaks.
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

    The delay is the lag, within 100 ms, at which the magnitude of the
    cross-correlation has its peak. The cross-spectrum is divided by the square
    root of its magnitude to keep pitch and reverberation from shifting the
    peak. The correlation may have no distinct peak if a vocoder resynthesised
    the speech or if the microphone was far away; the delay is then unknown.

    Arguments
    ---------
    wav, reference : numpy.ndarray
        ``(time,)``; the lengths may differ.
    sample_rate : int
        Sample rate in Hz.

    Returns
    -------
    int
        Delay in samples, negative if the recording is ahead. None if the peak
        is less than 8 times the root mean square of the correlation, or if
        either signal is silent.

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
    # Index d belongs to a lag of d samples; negative lags are at the end.
    near = np.concatenate(
        [correlation[-max_delay:], correlation[: max_delay + 1]]
    )
    peak = int(near.argmax())
    if near[peak] < MIN_PEAK_RATIO * mean_power(near) ** 0.5 or not near[peak]:
        return None
    return peak - max_delay


def remove_delay(wav: np.ndarray, delay: int) -> np.ndarray:
    """Remove the delay of a recording.

    Arguments
    ---------
    wav : numpy.ndarray
        ``(time,)``.
    delay : int
        Delay in samples, as returned by ``find_delay``.

    Returns
    -------
    numpy.ndarray
        The recording without its first ``delay`` samples or, if ``delay`` is
        negative, with ``-delay`` zeros in front.

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
    level of active speech (see ``active_samples``). The power spectra are
    computed by an STFT with a Hann window of 512 samples and a hop length of
    128 samples, with a floor 80 dB below the largest bin of the reference. The
    distance of a frame is the root mean square of the differences in dB over
    the bins from ``lowest`` to half the sample rate. The result is the mean
    over all frames, including pauses.

    Arguments
    ---------
    wav, reference : numpy.ndarray
        ``(time,)``, aligned.
    sample_rate : int
        Sample rate in Hz; 16000 in the ``LSD`` metric.
    lowest : float
        Lowest frequency in Hz. Lower bins are ignored, for example to compare
        only the band above a cut-off.

    Returns
    -------
    float
        Distance in dB; 0 for equal spectra. NaN if either signal is silent or
        shorter than 512 samples.

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
    The cepstral coefficients are the discrete cosine transform of the
    logarithmic band magnitudes. The distortion of a frame is ``10 / ln 10 *
    sqrt(2 * sum((c - c')^2))``, where c and c' are coefficients 1 to 24 of the
    two signals. This is the root-mean-square difference in dB between their
    smoothed spectra, each without its mean. The result is the mean over the
    frames with active speech in the reference. Implementations that compute the
    cepstra differently, for example with WORLD, give different values.

    Arguments
    ---------
    wav, reference : numpy.ndarray
        ``(time,)``, aligned.
    sample_rate : int
        Sample rate in Hz; 16000 in the ``MCD`` metric.

    Returns
    -------
    float
        Distortion in dB. NaN if either signal is silent or shorter than 512
        samples.

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
    """Return frequencies in Hz and power spectra of reference and recording.

    The spectra have the shape ``(frequencies, frames)``. They are None if a
    signal is silent or too short.
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

    The means of both signals are removed, and the reference is scaled to the
    recording by least squares; the residual is the distortion. The ratio is of
    little use for vocoder output, because a vocoder does not reproduce the
    phase of the reference.

    Arguments
    ---------
    wav, reference : numpy.ndarray
        ``(time,)``, aligned; truncated to the shorter length.

    Returns
    -------
    float
        Ratio in dB, limited to the range from -100 to 100. NaN if either signal
        is empty or constant.

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
