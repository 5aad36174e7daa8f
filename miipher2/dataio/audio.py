"""Sound: reading it, writing it, and how loud the speech in it is.

Authors
 * The miipher2 authors 2026
"""

from pathlib import Path

import numpy as np
import soundfile
import soxr
import torch

from miipher2.dataio.atomic import atomic_write
from miipher2.dataio.speech_level import ACTIVE_RANGE_DB, FRAME_SECONDS
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
        raise UserError(
            f"{path}: cannot be read as sound ({error}); repair it or leave it "
            "out"
        ) from None
    samples = torch.from_numpy(
        resample(samples.mean(axis=1), rate, sample_rate)
    )
    if not torch.isfinite(samples).all():
        raise UserError(f"{path}: holds samples that are NaN or infinite")
    return samples.float()


def write_audio(path, wav, sample_rate):
    """Writes 16-bit sound that is whole whenever it can be seen.

    Arguments
    ---------
    path : str or Path
        The file, in the format of its suffix; its folder is made if need be.
    wav : torch.Tensor
        ``(time,)`` or ``(channels, time)`` in [-1, 1].
    sample_rate : int
        Hz.

    Raises
    ------
    UserError
        If the suffix names no format, or the file cannot be written.

    Example
    -------
    >>> path = getfixture("tmp_path") / "new" / "silence.wav"
    >>> write_audio(path, torch.zeros(2, 800), 16000)
    >>> soundfile.info(path).channels
    2
    """
    path = Path(path)
    file_format = path.suffix[1:].upper()
    formats = soundfile.available_formats()
    if file_format not in formats or not soundfile.default_subtype(file_format):
        raise UserError(
            f"{path}: no known format of sound: {path.suffix or 'no suffix'}; "
            "end it in .wav, .flac or .ogg"
        )
    try:
        with atomic_write(path) as file:
            soundfile.write(
                file, wav.numpy().T, sample_rate, format=file_format
            )
    except (soundfile.LibsndfileError, OSError) as error:
        raise UserError(f"{path}: cannot be written: {error}") from None


def active_samples(samples, sample_rate):
    """Where speech is active.

    The clip is cut into frames of 25 ms, one after the other (the last may be
    shorter). A frame is active if its mean power is above zero and at most
    25 dB below that of the loudest frame.

    Arguments
    ---------
    samples : numpy.ndarray
        Speech of shape (time,).
    sample_rate : int
        In Hz.

    Returns
    -------
    active : numpy.ndarray
        bool of shape (time,): True for every sample of an active frame; all
        False for digital silence.

    Example
    -------
    >>> speech = np.concatenate([np.zeros(8000), np.ones(8000)])
    >>> int(active_samples(speech, 16000).sum())
    8000
    """
    if not len(samples):
        return np.zeros(0, dtype=bool)
    frame = max(1, round(FRAME_SECONDS * sample_rate))
    starts = np.arange(0, len(samples), frame)
    lengths = np.diff(starts, append=len(samples))
    energy = np.add.reduceat(samples.astype(np.float64) ** 2, starts)
    power = energy / lengths
    floor = power.max() * 10 ** (-ACTIVE_RANGE_DB / 10)
    return np.repeat((power > 0) & (power >= floor), lengths)


def mean_power(samples):
    """The mean of the squared samples, in double precision; 0 for none."""
    if samples.size == 0:
        return 0.0
    return float(np.mean(samples.astype(np.float64) ** 2))
