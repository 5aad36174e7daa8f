"""Tests of phoneme errors, with a stub in place of hama.

Authors
 * The miipher2 authors 2026
"""

import math
import sys
import types

import numpy as np
import pytest

from miipher2.evaluation.base import Clip
from miipher2.evaluation.phonemes import PhonemeErrors, phoneme_error_rate


class Recogniser:
    """Stub of a recogniser that finds one phoneme per second."""

    def transcribe_waveform(self, wav, sample_rate):
        seconds = len(wav) // sample_rate
        return types.SimpleNamespace(phonemes=["a"] * seconds)


@pytest.fixture
def metric(monkeypatch):
    hama = types.ModuleType("hama")
    hama.ASRModel = Recogniser
    monkeypatch.setitem(sys.modules, "hama", hama)
    return PhonemeErrors()


def clip(seconds):
    wav = np.zeros(seconds * 16000, np.float32)
    return Clip(wav, wav)


def test_sides_are_compared_with_the_clean_side(metric):
    clips = {"input": clip(1), "restored": clip(3), "clean": clip(4)}
    scores = metric.measure("a.wav", clips, metric.reference_side(clips))
    assert scores == {"input": [75.0], "restored": [25.0]}


def test_error_rate_is_at_most_100_percent_or_nan_without_a_reference():
    assert phoneme_error_rate(["a"], ["b", "c", "d"]) == 100
    assert math.isnan(phoneme_error_rate([], ["a"]))
