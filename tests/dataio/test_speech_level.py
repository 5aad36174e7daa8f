"""Tests of the level of active speech.

Authors
 * The miipher2 authors 2026
"""

import numpy
import pytest
import torch
from tiny_voice import voice

from miipher2.dataio.speech_level import SpeechLevel


def in_blocks(wav, sizes=(1, 399, 1600, 7, 20000)):
    """Measure the level in blocks of different sizes."""
    level, start = SpeechLevel(16000), 0
    while start < len(wav):
        for size in sizes:
            level.add(wav[start : start + size])
            start += size
    return level


def expected_level(wav):
    powers = wav[: len(wav) // 400 * 400].reshape(-1, 400).var(axis=1)
    return powers[powers >= powers.max() * 10**-2.5].mean() ** 0.5


@pytest.mark.parametrize("gain", [1e-3, 1.0])
def test_level_is_measured_over_the_active_frames(gain):
    wav = gain * voice(numpy.random.default_rng(0), 7.03)
    expected = expected_level(wav)
    level = SpeechLevel.of(torch.from_numpy(wav), 16000)
    assert level.value() == pytest.approx(expected, rel=0.01)
    assert in_blocks(wav).value() == pytest.approx(expected, rel=0.01)
    # An offset and silence around speech do not change the level.
    quiet = numpy.zeros(50000, dtype="float32")
    padded = numpy.concatenate([quiet, wav, quiet]) + gain * 0.3
    assert in_blocks(padded).value() == pytest.approx(expected, rel=0.02)


def test_digital_silence_and_quiet_hiss_count_as_silence():
    level = in_blocks(numpy.zeros(20000, dtype="float32"))
    assert level.value() == 0 and level.is_silence() and level.gain() <= 100
    assert SpeechLevel.of(numpy.zeros(0), 16000).is_silence()
    hiss = 3e-5 * numpy.random.default_rng(0).standard_normal(20000)
    level = in_blocks(hiss)
    assert level.value() > 0 and level.is_silence()


def test_gain_keeps_peaks_within_full_scale():
    click = torch.zeros(16000)
    click[5] = 1.0
    assert SpeechLevel.of(click, 16000).gain() <= 1.0
