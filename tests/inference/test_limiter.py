"""Tests of the limiter: peaks and block sizes.

Authors
 * The miipher2 authors 2026
"""

import math

import numpy
import pytest
import scipy.signal
from tiny_restorer import voice

from miipher2.inference.limiter import limit


@pytest.mark.parametrize("rate", [16000, 44100])
@pytest.mark.parametrize("excess_db", [3, 12])
def test_the_true_peak_is_limited_for_any_block_size(rate, excess_db):
    wav = voice(4, rate)
    wav = wav / abs(wav).max() * 10 ** (excess_db / 20)
    stereo = numpy.stack([wav, 0.2 * wav[::-1]], axis=1).astype("float32")
    limited = numpy.concatenate(list(limit([stereo], rate, 1.0)))
    sizes = numpy.cumsum([1, 399, 1600, 7, 20000])
    blocks = list(limit(numpy.split(stereo, sizes), rate, 1.0))
    assert numpy.allclose(numpy.concatenate(blocks), limited, atol=1e-5)
    assert limited.shape == stereo.shape
    fine = scipy.signal.resample_poly(limited.astype(float), 16, 1)
    assert abs(20 * math.log10(abs(fine).max())) < 0.15
    # Both channels have the same gain.
    loud = abs(stereo).min(axis=1) > 1e-3
    gains = (limited / stereo)[loud]
    assert numpy.allclose(gains[:, 0], gains[:, 1], atol=1e-4)


def test_a_long_signal_is_limited_block_by_block():
    block = numpy.ones((16000, 1), dtype="float32")
    total = longest = 0
    for limited in limit((block for _ in range(50)), 16000, 0.5):
        total += len(limited)
        longest = max(longest, len(limited))
    assert total == 50 * 16000
    assert longest <= 2 * 16000


def test_empty_and_short_signals_are_limited():
    assert list(limit([], 16000, 0.5)) == []
    (limited,) = limit([numpy.ones((1, 1), "float32")], 16000, 0.5)
    assert limited.shape == (1, 1) and limited.max() <= 0.51
