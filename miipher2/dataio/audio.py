"""Sound: reading it, writing it, and how loud the speech in it is.

Authors
 * The miipher2 authors 2026
"""

from pathlib import Path

import soundfile
import soxr
import torch

from miipher2.dataio.atomic import atomic_write
from miipher2.dataio.formats import output_format
from miipher2.errors import UserError

# All that libsndfile writes without being told an encoding.
WRITABLE = [
    name.lower()
    for name in soundfile.available_formats()
    if soundfile.default_subtype(name)
]


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
    file_format = output_format(path, WRITABLE)
    try:
        with atomic_write(path) as file:
            soundfile.write(
                file, wav.numpy().T, sample_rate, format=file_format
            )
    except (soundfile.LibsndfileError, OSError) as error:
        raise UserError(f"{path}: cannot be written: {error}") from None
