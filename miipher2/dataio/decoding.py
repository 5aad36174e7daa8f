"""Block-by-block decoding of recordings in all supported formats.

soundfile decodes the formats that it supports. PyAV decodes other formats that
are common on phones and on the web (m4a, aac, webm, ...), and the audio tracks
of videos.

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

from miipher2.dataio.formats import PYAV_SUFFIXES, has_suffix
from miipher2.dataio.headers import UNKNOWN_FRAMES
from miipher2.dataio.sound_file import SoundFile, open_regular
from miipher2.errors import UserError

BLOCK = 2**17  # number of samples, summed over channels
# Line of libsndfile's log for a wav, aiff or au file that is shorter than its
# header specifies. The groups are the number of bytes according to the header,
# and the number of bytes in the file.
CORRECTED = re.compile(
    r"^\s*(?:data|SSND|Data Size)\s*: (\d+) \(should be (\d+)\)", re.MULTILINE
)
OGG_PAGE = 2**16  # bytes, more than the longest Ogg page
# In a wav file that was written to a pipe, a size of this many bytes or more
# means "unknown".
STREAMED = 2**32 - 2**16


class NoAudioStream(UserError):
    """Raised for a video without audio; such files do not count as failed."""


class AudioStream:
    """An open file that can be read once, from start to end.

    Arguments
    ---------
    rate : int
        Sample rate in Hz.
    channels : int
        Number of channels.
    blocks : iterable of numpy.ndarray
        ``(time, channels)`` float32.
    header_length : int
        Samples per channel according to the header or, if it gives no length,
        to libsndfile; None if unknown.
    truncated : bool
        Whether the last page of an Ogg file is missing; False for other files.
    unfinished : bool
        Whether the header gives a length of 0 although samples follow; see
        ``SoundFile``.
    subtype : str
        soundfile's name for the sample format; empty if unknown.
    """

    def __init__(
        self,
        rate,
        channels,
        blocks,
        header_length=None,
        truncated=False,
        unfinished=False,
        subtype="",
    ):
        self.rate = rate
        self.channels = channels
        self.blocks = blocks
        self.header_length = header_length
        self.truncated = truncated
        self.unfinished = unfinished
        self.subtype = subtype


@contextlib.contextmanager
def open_audio(path):
    """Open an audio or video file in any supported format.

    Arguments
    ---------
    path : str or Path
        The file.

    Yields
    ------
    AudioStream
        The open file. Its blocks must be read inside the ``with`` block.

    Raises
    ------
    UserError
        If the file is missing, empty or cannot be decoded. The error can also
        be raised while blocks are read.

    Example
    -------
    >>> path = getfixture("tmp_path") / "tone.flac"
    >>> soundfile.write(path, np.zeros((800, 2)), 8000)
    >>> with open_audio(path) as audio:
    ...     audio.rate, sum(len(block) for block in audio.blocks)
    (8000, 800)
    """
    try:
        pyav = has_suffix(path, PYAV_SUFFIXES)
        with (_open_pyav if pyav else _open_soundfile)(path) as audio:
            yield audio
    except OSError as error:
        raise UserError(f"{path}: {error.strerror or error}") from None


@contextlib.contextmanager
def _open_soundfile(path):
    try:
        with SoundFile(path) as file:
            yield AudioStream(
                file.samplerate,
                file.channels,
                _soundfile_blocks(file),
                _header_length(file),
                file.format == "OGG" and not _has_last_ogg_page(path),
                file.unfinished,
                file.subtype,
            )
    except soundfile.LibsndfileError as error:
        reason = error.error_string.strip(" .\n")
        raise UserError(f"{path}: cannot be read as audio: {reason}") from None


def _header_length(file):
    """Return the length in the header, before any correction by libsndfile."""
    if file.frames >= UNKNOWN_FRAMES:
        return None
    corrected = CORRECTED.search(file.extra_info)
    if corrected:
        header_bytes, file_bytes = map(int, corrected.groups())
        if header_bytes < STREAMED and file_bytes:
            return round(file.frames * header_bytes / file_bytes)
    return file.frames


def _has_last_ogg_page(path):
    """Check for the end-of-stream flag in the last page of an Ogg file.

    Ogg headers give no length, so a truncated file can only be detected by this
    flag.
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
            f"{path}: this format needs PyAV: pip install 'av<19'"
        ) from None
    try:
        with (
            open_regular(path) as file,
            av.open(file, metadata_errors="ignore") as container,
        ):
            if not container.streams.audio:
                raise NoAudioStream(f"{path}: a video without an audio track")
            stream = container.streams.audio[0]
            codec = stream.codec_context
            if codec is None or not codec.rate or not codec.channels:
                raise UserError(
                    f"{path}: cannot be read as audio: unknown codec"
                )
            blocks = _pyav_blocks(path, container, stream)
            yield AudioStream(codec.rate, codec.channels, blocks)
    except av.FFmpegError as error:
        raise UserError(
            f"{path}: cannot be read as audio: {error.strerror}"
        ) from None


def _pyav_blocks(path, container, stream):
    import av

    codec = stream.codec_context
    # The resampler only converts the sample format; None flushes it.
    converter = av.AudioResampler("flt", codec.layout, codec.rate)
    for frame in itertools.chain(container.decode(stream), [None]):
        try:
            chunks = converter.resample(frame)
        except av.FFmpegError:
            raise
        except ValueError:
            raise UserError(
                f"{path}: cannot be read as audio: its sample rate or "
                "channels change within the file"
            ) from None
        for chunk in chunks:
            yield chunk.to_ndarray().reshape(-1, codec.channels)


def resampler(rate, new_rate, channels=1):
    """Return a function that resamples a signal block by block, with soxr.

    Arguments
    ---------
    rate, new_rate : int
        Sample rates of input and output in Hz.
    channels : int
        Number of channels.

    Returns
    -------
    callable
        ``resample(block, last=False)`` takes and returns float32 blocks of
        ``(time,)`` or ``(time, channels)``. ``last=True`` flushes the filter.

    Example
    -------
    >>> resample = resampler(8000, 16000)
    >>> block = np.zeros(800, dtype=np.float32)
    >>> len(resample(block)) + len(resample(block, last=True))
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
