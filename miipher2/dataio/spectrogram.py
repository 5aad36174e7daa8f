"""Spectrograms of recordings as PNG images, for web pages and reports.

Authors
 * The miipher2 authors 2026
"""

import struct
import zlib

import numpy as np

SILENCE_DB = -140.0  # level of digital silence
BLOCK = 512  # number of frames transformed at once, which limits memory use
COLOURS = 64  # number of colours; fewer colours give smaller files
# Red, green and blue values, from the quietest to the loudest level
GRADIENT = (
    *((6, 6, 20), (34, 18, 86), (86, 24, 118), (142, 40, 112)),
    *((198, 62, 86), (238, 104, 56), (252, 168, 60), (252, 248, 186)),
)


def spectrogram(wav, sample_rate, max_hz, rows=256, columns=800):
    """Compute the levels of a recording over frequency and time.

    Spectrograms with the same ``max_hz`` and ``rows`` have the same frequency
    scale and resolution at any sample rate.

    Arguments
    ---------
    wav : numpy.ndarray
        ``(time,)`` in [-1, 1].
    sample_rate : int
        Sample rate in Hz.
    max_hz : float
        Highest frequency in Hz. Rows above half the sample rate are silent.
    rows : int
        Number of frequencies, from 0 to ``max_hz``.
    columns : int
        Number of points in time. In a long recording, each column is the mean
        of several frames.

    Returns
    -------
    numpy.ndarray
        ``(rows, columns)`` float32, in dB relative to a full-scale sine.

    Example
    -------
    >>> tone = np.sin(2 * np.pi * 1000 * np.arange(8000) / 8000)
    >>> levels = spectrogram(tone, 8000, max_hz=8000, rows=128, columns=10)
    >>> levels.shape, int(levels[:, 5].argmax()), round(float(levels.max()))
    ((128, 10), 16, 0)
    """
    size = max(2, round(sample_rate * rows / max_hz))
    window = np.hanning(size + 1)[:-1]
    per_column = max(1, round(2 * len(wav) / columns / size))
    frames = columns * per_column
    starts = (np.arange(frames) + 0.5) / frames * len(wav)
    padded = np.pad(np.asarray(wav, np.float32), size // 2 + 1)
    power = np.zeros((frames // per_column, rows))
    step = BLOCK // per_column * per_column or per_column
    for first in range(0, frames, step):
        block = starts[first : first + step].astype(int) + 1
        segments = padded[block[:, None] + np.arange(size)] * window
        bins = np.abs(np.fft.rfft(segments))[:, :rows] ** 2
        means = bins.reshape(-1, per_column, bins.shape[1]).mean(axis=1)
        column = first // per_column
        power[column : column + len(means), : means.shape[1]] = means
    power *= (2 / window.sum()) ** 2
    floor = 10 ** (SILENCE_DB / 10)
    return (10 * np.log10(power + floor)).T.astype(np.float32)


def spectrogram_png(levels, loudest_db, range_db=80.0):
    """Draw a spectrogram.

    Arguments
    ---------
    levels : numpy.ndarray
        ``(rows, columns)`` in dB, see ``spectrogram``.
    loudest_db : float
        Level of the brightest colour in dB. Use the same value for spectrograms
        that are compared.
    range_db : float
        Range of the colours in dB; lower levels have the darkest colour.

    Returns
    -------
    bytes
        A PNG image with one pixel per value and low frequencies at the bottom.

    Example
    -------
    >>> spectrogram_png(np.zeros((2, 3)), loudest_db=0.0)[1:4]
    b'PNG'
    """
    scaled = np.clip((levels - loudest_db) / range_db + 1, 0, 1)
    pixels = np.round(scaled[::-1] * (COLOURS - 1)).astype(np.uint8)
    positions = np.linspace(0, len(GRADIENT) - 1, COLOURS)
    palette = [
        np.interp(positions, range(len(GRADIENT)), channel)
        for channel in zip(*GRADIENT, strict=True)
    ]
    height, width = pixels.shape
    # In PNG data, each row starts with its filter type; 0 means "none".
    rows = np.pad(pixels, ((0, 0), (1, 0)))
    header = struct.pack(">2I5B", width, height, 8, 3, 0, 0, 0)
    return b"".join(
        (
            b"\x89PNG\r\n\x1a\n",
            _chunk(b"IHDR", header),
            _chunk(b"PLTE", np.stack(palette, 1).astype(np.uint8).tobytes()),
            _chunk(b"IDAT", zlib.compress(rows.tobytes(), 9)),
            _chunk(b"IEND", b""),
        )
    )


def _chunk(name, content):
    """Return a chunk of a PNG file."""
    checksum = zlib.crc32(name + content)
    return (
        struct.pack(">I", len(content))
        + name
        + content
        + struct.pack(">I", checksum)
    )
