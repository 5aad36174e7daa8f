"""Reading, writing and resampling audio.

Authors
 * The miipher2 authors 2026
"""

import functools
import logging
import math
from pathlib import Path

import numpy as np
import soundfile
import soxr
import torch

from miipher2.dataio.atomic import atomic_write
from miipher2.dataio.decoding import open_audio
from miipher2.dataio.formats import PYAV_SUFFIXES, has_suffix, output_format
from miipher2.dataio.sound_file import UNFINISHED, SoundFile
from miipher2.errors import UserError

logger = logging.getLogger(__name__)

# Formats for which soundfile has a default encoding
WRITABLE = [
    name.lower()
    for name in soundfile.available_formats()
    if soundfile.default_subtype(name)
]


def resample(samples, rate, new_rate):
    """Resample along the first dimension, with soxr.

    Arguments
    ---------
    samples : numpy.ndarray
        ``(time,)`` or ``(time, channels)``.
    rate : int
        Sample rate in Hz.
    new_rate : int
        Sample rate of the output in Hz.

    Returns
    -------
    numpy.ndarray
        The resampled signal, ``(time,)`` or ``(time, channels)``.
    """
    if rate == new_rate or not len(samples):
        return samples
    return soxr.resample(samples, rate, new_rate, quality="HQ")


def read_audio(path, sample_rate, start=0.0, seconds=None):
    """Read an audio file or a segment of it, downmixed to mono.

    Arguments
    ---------
    path : str or Path
        The file. PyAV decodes files with one of ``PYAV_SUFFIXES``, always from
        the beginning; soundfile reads all other files.
    sample_rate : int
        Sample rate of the output in Hz.
    start : float
        Start of the segment in seconds.
    seconds : float
        Maximum duration in seconds. None to read up to the end of the file.

    Returns
    -------
    torch.Tensor
        ``(time,)`` float32.

    Raises
    ------
    UserError
        If the file is missing or unreadable, or if the segment contains NaN or
        Inf.

    Example
    -------
    >>> import numpy
    >>> path = str(getfixture("tmpdir") / "tone.wav")
    >>> soundfile.write(path, numpy.zeros((48000, 2)), 48000)
    >>> read_audio(path, 16000, start=0.25, seconds=0.5).shape
    torch.Size([8000])
    """
    if not Path(path).exists():
        raise UserError(
            f"{path}: no such file; looked for {Path(path).absolute()}"
        )
    if has_suffix(path, PYAV_SUFFIXES):
        samples, rate = _decode(path, start, seconds)
    else:
        samples, rate = _read(path, start, seconds)
    samples = torch.from_numpy(
        resample(samples.mean(axis=1), rate, sample_rate)
    )
    if not torch.isfinite(samples).all():
        raise UserError(f"{path}: contains samples that are NaN or infinite")
    return samples.float()


def _read(path, start, seconds):
    """Read a segment with soundfile; return ``(time, channels)`` and rate."""
    try:
        with SoundFile(path) as file:
            if file.unfinished:
                _warn_unfinished(str(path))
            rate = file.samplerate
            file.seek(min(int(start * rate), file.frames))
            frames = -1 if seconds is None else round(seconds * rate)
            samples = file.read(frames, dtype="float32", always_2d=True)
            return samples, rate
    except OSError as error:
        raise UserError(
            f"{path}: cannot be read: {error.strerror or error}"
        ) from None
    except soundfile.LibsndfileError as error:
        reason = error.error_string.strip(" .\n")
        raise UserError(
            f"{path}: cannot be read as audio ({reason}); repair or remove it"
        ) from None


def _decode(path, start, seconds):
    """Decode a segment with PyAV; return ``(time, channels)`` and rate."""
    with open_audio(path) as audio:
        first = int(start * audio.rate)
        end = math.inf if seconds is None else first + seconds * audio.rate
        blocks, length = [np.zeros((0, audio.channels), np.float32)], 0
        for block in audio.blocks:
            blocks.append(block)
            length += len(block)
            if length >= end:
                break
    last = None if seconds is None else round(end)
    return np.concatenate(blocks)[first:last], audio.rate


@functools.cache
def _warn_unfinished(path):
    """Warn once per file that its header gives no length."""
    logger.warning("%s: %s", path, UNFINISHED)


def write_audio(path, wav, sample_rate):
    """Write an audio file atomically, in the default encoding of its format.

    Arguments
    ---------
    path : str or Path
        The file, whose suffix determines the format. Its folder is created if
        needed.
    wav : torch.Tensor
        ``(time,)`` or ``(channels, time)`` in [-1, 1].
    sample_rate : int
        Sample rate in Hz.

    Raises
    ------
    UserError
        If the format is not supported or the file cannot be written.

    Example
    -------
    >>> path = getfixture("tmp_path") / "new" / "silence.wav"
    >>> write_audio(path, torch.zeros(2, 800), 16000)
    >>> soundfile.info(path).channels
    2
    """
    path = Path(path)
    file_format = output_format(path, WRITABLE)
    try:
        with atomic_write(path) as file:
            soundfile.write(
                file, wav.numpy().T, sample_rate, format=file_format
            )
    except (soundfile.LibsndfileError, OSError) as error:
        raise UserError(f"{path}: cannot be written: {error}") from None
