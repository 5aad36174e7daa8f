"""Tests of the streaming meters for loudness and true peak.

Authors
 * The miipher2 authors 2026
"""

import math

import numpy
import pyloudnorm
import pytest
import scipy.signal
from tiny_restorer import voice

from miipher2.inference.loudness import Loudness, TruePeak


def blocks(wav, sizes=(1, 399, 1600, 7, 20000)):
    """Cut a waveform into blocks of different lengths."""
    start = 0
    while start < len(wav):
        for size in sizes:
            yield wav[start : start + size]
            start += size


def measure(meter, wav):
    for block in blocks(wav):
        meter.add(block)
    return meter.value()


@pytest.mark.parametrize("rate", [8000, 16000, 24000, 44100])
def test_loudness_matches_pyloudnorm(rate):
    # Loud, soft and almost silent speech, so that both gates exclude blocks
    wav = numpy.concatenate(
        [voice(5, rate), 0.1 * voice(6, rate, 1), 1e-6 * voice(9, rate, 2)]
    )
    expected = pyloudnorm.Meter(rate).integrated_loudness(wav)
    assert measure(Loudness(rate), wav) == pytest.approx(expected, abs=0.05)
    stereo = numpy.stack([wav, 0.3 * wav[::-1]], axis=1)
    expected = pyloudnorm.Meter(rate).integrated_loudness(stereo)
    assert measure(Loudness(rate), stereo) == pytest.approx(expected, abs=0.05)


def test_a_clip_shorter_than_a_gating_block_has_a_loudness():
    wav = numpy.tile(voice(0.25), 40)
    expected = measure(Loudness(16000), wav)
    assert measure(Loudness(16000), wav[:4000]) == pytest.approx(
        expected, abs=1
    )
    assert measure(Loudness(16000), wav[:0]) == -math.inf


def test_silence_has_a_loudness_of_minus_infinity():
    silence = numpy.zeros(20000, dtype="float32")
    assert measure(Loudness(16000), silence) == -math.inf


@pytest.mark.parametrize("rate", [16000, 24000])
def test_the_true_peak_matches_finer_oversampling(rate):
    rng = numpy.random.default_rng(0)
    for wav in (voice(2, rate), 0.1 * rng.standard_normal(rate)):
        wav = wav.astype("float32")
        oversampled = scipy.signal.resample_poly(wav.astype(float), 16, 1)
        expected = max(abs(oversampled).max(), abs(wav).max())
        found = measure(TruePeak(rate), wav)
        assert 20 * math.log10(expected / found) == pytest.approx(0, abs=0.15)
