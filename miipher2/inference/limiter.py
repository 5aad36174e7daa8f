"""A true-peak limiter with look-ahead.

Authors
 * The miipher2 authors 2026
"""

import numpy as np
import soxr
from scipy.ndimage import minimum_filter1d, uniform_filter1d

LOOK_AHEAD_SECONDS = 0.005
OVERSAMPLING = 8
FILTER = 128  # samples that the oversampling filter uses on each side


def limit(blocks, sample_rate, ceiling):
    """Limit the true peak of a signal; all channels get the same gain.

    The gain falls before a peak and rises after it, each within twice the
    look-ahead. Memory use does not depend on the length of the signal.

    Arguments
    ---------
    blocks : iterable of numpy.ndarray
        ``(time, channels)`` float32.
    sample_rate : int
        Sample rate in Hz.
    ceiling : float
        Maximum true peak as a linear amplitude, with a tolerance of 0.15 dB.

    Yields
    ------
    numpy.ndarray
        Limited blocks ``(time, channels)`` float32. Their total length equals
        the length of the input.

    Example
    -------
    >>> tone = 0.9 * np.sin(np.arange(16000) / 20)[:, None].astype("float32")
    >>> tone[8000:8100] *= 4
    >>> limited = np.concatenate(list(limit(np.split(tone, 4), 16000, 1.0)))
    >>> limited.shape, bool(np.abs(limited).max() <= 1)
    ((16000, 1), True)
    >>> bool((limited[:7000] == tone[:7000]).all())
    True
    """
    reach = round(LOOK_AHEAD_SECONDS * sample_rate)
    context = 2 * reach + FILTER
    # ``first`` is the index of the next output sample in the buffer
    buffer, first = None, 0
    for block in blocks:
        buffer = block if buffer is None else np.concatenate([buffer, block])
        end = len(buffer) - context
        if end > first:
            yield _limited(buffer, first, end, reach, sample_rate, ceiling)
            start = max(0, end - context)
            buffer, first = buffer[start:], end - start
    if buffer is not None and first < len(buffer):
        end = len(buffer)
        yield _limited(buffer, first, end, reach, sample_rate, ceiling)


def _limited(buffer, first, end, reach, sample_rate, ceiling):
    """Return the limited samples ``first`` to ``end`` of a buffer."""
    # Oversample more than the true-peak meter does, because limiting creates
    # many peaks of equal height.
    fine = soxr.resample(
        buffer, sample_rate, OVERSAMPLING * sample_rate, quality="HQ"
    )
    fine = np.resize(np.abs(fine).max(axis=1), OVERSAMPLING * len(buffer))
    peaks = fine.reshape(-1, OVERSAMPLING).max(axis=1)
    peaks = np.maximum(peaks, np.abs(buffer).max(axis=1))
    needed = np.minimum(1.0, ceiling / np.maximum(peaks, ceiling))
    if needed[max(0, first - 2 * reach) : end + 2 * reach].min() == 1.0:
        return buffer[first:end]
    # The two moving averages together are no longer than the minimum filter, so
    # the gain at a peak is never too high.
    gain = minimum_filter1d(needed, 2 * reach + 1, mode="nearest")
    for _ in range(2):
        gain = uniform_filter1d(gain, 2 * (reach // 2) + 1, mode="nearest")
    return buffer[first:end] * gain[first:end, None].astype(np.float32)
