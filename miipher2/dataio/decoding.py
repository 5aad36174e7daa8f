"""Recordings of every format as blocks of samples.

soundfile reads what it can; what phones and the web bring (m4a, aac, webm,
the sound of videos) goes through PyAV.

Authors
 * The miipher2 authors 2026
"""

import contextlib
import itertools
import os
import re

import numpy as np
import soundfile
import soxr

from miipher2.dataio.audio_files import UNKNOWN_FRAMES
from miipher2.dataio.formats import PYAV_SUFFIXES
from miipher2.errors import UserError

BLOCK = 2**17  # samples of all channels together
# What libsndfile notes about a wav, aiff or au that is shorter than it says
CORRECTED = re.compile(
    r"^\s*(?:data|SSND|Data Size)\s*: (\d+) \(should be (\d+)\)", re.MULTILINE
)
OGG_PAGE = 2**16  # bytes; no page is longer
STREAMED = 2**32 - 2**16  # bytes that wav says which was written to a pipe


class NothingToRestore(UserError):
    """A file without sound, which is no fault of it."""


class Sound:
    """An opened file, read once from its start to its end.

    Arguments
    ---------
    rate : int
        Hz.
    channels : int
        How many.
    blocks : iterable of numpy.ndarray
        ``(time, channels)`` float32.
    promised : int
        Samples a channel by the header; None where it does not say.
    cut_off : bool
        Whether the file's end is known to be missing.
    """

    def __init__(self, rate, channels, blocks, promised=None, cut_off=False):
        self.rate = rate
        self.channels = channels
        self.blocks = blocks
        self.promised = promised
        self.cut_off = cut_off


@contextlib.contextmanager
def open_sound(path):
    """Opens a file of any format.

    Arguments
    ---------
    path : str or Path
        The file.

    Yields
    ------
    Sound
        Its blocks can be read inside of the ``with`` block.

    Raises
    ------
    UserError
        If it is missing, empty or cannot be read as sound, here or in the
        middle.

    Example
    -------
    >>> path = getfixture("tmp_path") / "tone.flac"
    >>> soundfile.write(path, np.zeros((800, 2)), 8000)
    >>> with open_sound(path) as sound:
    ...     sound.rate, sum(len(block) for block in sound.blocks)
    (8000, 800)
    """
    try:
        # Reasons that the libraries do not tell: rights, loops of links, ...
        with open(path, "rb") as file:
            if not file.read(1):
                raise UserError(f"{path}: an empty file (0 bytes)")
        pyav = str(path).lower().endswith(PYAV_SUFFIXES)
        with (_open_pyav if pyav else _open_soundfile)(path) as sound:
            yield sound
    except OSError as error:
        raise UserError(f"{path}: {error.strerror or error}") from None


@contextlib.contextmanager
def _open_soundfile(path):
    try:
        try:
            # as bytes: names need not be valid UTF-8
            file = soundfile.SoundFile(os.fsencode(path))
        except TypeError:  # soundfile's answer to formats without a header
            raise UserError(
                f"{path}: cannot be read as sound: its format has no header"
            ) from None
        with file:
            yield Sound(
                file.samplerate,
                file.channels,
                _soundfile_blocks(file),
                _promised(file),
                file.format == "OGG" and not _ogg_ends(path),
            )
    except soundfile.LibsndfileError as error:
        reason = error.error_string.strip(" .\n")
        raise UserError(f"{path}: cannot be read as sound: {reason}") from None


def _promised(file):
    """Frames by the header, also where libsndfile has corrected them."""
    if file.frames >= UNKNOWN_FRAMES:
        return None
    corrected = CORRECTED.search(file.extra_info)
    if corrected:
        promised, there = map(int, corrected.groups())
        if promised < STREAMED and there:
            return round(file.frames * promised / there)
    return file.frames


def _ogg_ends(path):
    """Whether the last page of an ogg file says that it is the last one.

    Its header tells no length, so that nothing else shows what is missing.
    """
    with open(path, "rb") as file:
        file.seek(max(0, os.path.getsize(path) - OGG_PAGE))
        tail = file.read()
    flags = tail.rfind(b"OggS") + 5
    return flags < len(tail) and bool(tail[flags] & 4)


def _soundfile_blocks(file):
    frames = max(1, BLOCK // file.channels)
    while len(block := file.read(frames, dtype="float32", always_2d=True)):
        yield block


@contextlib.contextmanager
def _open_pyav(path):
    try:
        import av
    except ImportError:
        raise UserError(
            f"{path}: this format needs PyAV: pip install miipher2[codecs]"
        ) from None
    try:
        with (
            open(path, "rb") as file,
            av.open(file, metadata_errors="ignore") as container,
        ):
            if not container.streams.audio:
                raise NothingToRestore(f"{path}: a video without sound")
            stream = container.streams.audio[0]
            codec = stream.codec_context
            if codec is None or not codec.rate or not codec.channels:
                raise UserError(
                    f"{path}: cannot be read as sound: unknown codec"
                )
            blocks = _pyav_blocks(path, container, stream)
            yield Sound(codec.rate, codec.channels, blocks)
    except av.FFmpegError as error:
        raise UserError(
            f"{path}: cannot be read as sound: {error.strerror}"
        ) from None


def _pyav_blocks(path, container, stream):
    import av

    codec = stream.codec_context
    # It changes the type of the samples only; None ends it.
    converted = av.AudioResampler("flt", codec.layout, codec.rate)
    for frame in itertools.chain(container.decode(stream), [None]):
        try:
            parts = converted.resample(frame)
        except av.FFmpegError:
            raise
        except ValueError:
            raise UserError(
                f"{path}: cannot be read as sound: its rate or channels change "
                "on the way"
            ) from None
        for part in parts:
            yield part.to_ndarray().reshape(-1, codec.channels)


def resampler(rate, new_rate, channels=1):
    """Resamples sound that comes in blocks, with soxr.

    Arguments
    ---------
    rate, new_rate : int
        Hz.
    channels : int
        How many.

    Returns
    -------
    callable
        ``resampled(block, last=False)``: float32 blocks in and out, of
        ``(time,)`` or ``(time, channels)``; after the last one it is done.

    Example
    -------
    >>> resampled = resampler(8000, 16000)
    >>> block = np.zeros(800, dtype=np.float32)
    >>> len(resampled(block)) + len(resampled(block, last=True))
    3200
    """
    if rate == new_rate:
        return lambda block, last=False: block
    stream = soxr.ResampleStream(
        rate, new_rate, channels, dtype="float32", quality="HQ"
    )
    return lambda block, last=False: stream.resample_chunk(
        np.ascontiguousarray(block), last=last
    )
