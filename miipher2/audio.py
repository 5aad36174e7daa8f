"""Reading sound: mono float32 at the rate that is asked for.

Authors
 * The miipher2 authors 2026
"""

import soundfile
import soxr
import torch

from miipher2.errors import UserError


def resample(samples, rate, new_rate):
    """Resamples with soxr, along the first dimension.

    Arguments
    ---------
    samples : numpy.ndarray
        ``(time,)`` or ``(time, channels)``.
    rate : int
        Hz of the samples.
    new_rate : int
        Hz wanted.

    Returns
    -------
    numpy.ndarray
        The samples at the new rate.
    """
    if rate == new_rate or not len(samples):
        return samples
    return soxr.resample(samples, rate, new_rate, quality="HQ")


def read_audio(path, sample_rate, start=0.0, seconds=None):
    """Reads a file or a part of it, mixed down to mono.

    Arguments
    ---------
    path : str or Path
        A file in a format that soundfile reads.
    sample_rate : int
        Hz of what is returned.
    start : float
        Seconds to skip.
    seconds : float
        How much to read at most; None: to the end.

    Returns
    -------
    torch.Tensor
        ``(time,)`` float32 at ``sample_rate``.

    Raises
    ------
    UserError
        If the file is missing, unreadable or holds NaN or Inf.

    Example
    -------
    >>> import numpy
    >>> path = str(getfixture("tmpdir") / "tone.wav")
    >>> soundfile.write(path, numpy.zeros((48000, 2)), 48000)
    >>> read_audio(path, 16000, start=0.25, seconds=0.5).shape
    torch.Size([8000])
    """
    try:
        with soundfile.SoundFile(str(path)) as file:
            rate = file.samplerate
            file.seek(min(int(start * rate), file.frames))
            frames = -1 if seconds is None else round(seconds * rate)
            samples = file.read(frames, dtype="float32", always_2d=True)
    except (soundfile.LibsndfileError, OSError) as error:
        raise UserError(f"{path}: cannot be read as sound: {error}") from None
    samples = torch.from_numpy(
        resample(samples.mean(axis=1), rate, sample_rate)
    )
    if not torch.isfinite(samples).all():
        raise UserError(f"{path}: holds samples that are NaN or infinite")
    return samples.float()


def active_level(wav, threshold_db=25.0, sample_rate=16000):
    """Root mean square over the frames in which something sounds.

    Frames of 25 ms count that are less than ``threshold_db`` below the
    loudest one, so that pauses do not lower the level of speech.

    Arguments
    ---------
    wav : torch.Tensor
        ``(time,)``.
    threshold_db : float
        How far below the loudest frame still counts, in dB.
    sample_rate : int
        Hz.

    Returns
    -------
    float
        0 for digital silence.

    Example
    -------
    >>> wav = torch.zeros(16000)
    >>> wav[:8000] = 0.5
    >>> round(active_level(wav), 3)
    0.5
    """
    size = int(0.025 * sample_rate)
    if len(wav) < size:
        frames = wav[None]
    else:
        frames = wav[: len(wav) // size * size].view(-1, size)
    power = frames.double().square().mean(dim=1)
    loud = power[power >= power.max() * 10 ** (-threshold_db / 10)]
    return float(loud.mean().sqrt())


def level_gain(wav, sample_rate, level_db=-26.0):
    """Factor that brings speech to the level that the models are trained at.

    Arguments
    ---------
    wav : torch.Tensor
        ``(time,)``.
    sample_rate : int
        Hz.
    level_db : float
        Active level wanted, in dB below full scale.

    Returns
    -------
    float
        At most +40 dB, so that silence is not blown up, and never so much
        that a peak would exceed full scale.

    Example
    -------
    >>> gain = level_gain(torch.full((16000,), 0.5), 16000, level_db=-20.0)
    >>> round(gain, 3)
    0.2
    """
    wanted = 10 ** (level_db / 20)
    level = active_level(wav, sample_rate=sample_rate)
    peak = float(wav.abs().max()) if len(wav) else 0.0
    return min(wanted / max(level, wanted / 100), 1 / max(peak, 1e-6))
