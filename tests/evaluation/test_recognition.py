"""Tests of the character error rate.

Authors
 * The miipher2 authors 2026
"""

import math

import numpy
import pytest

from miipher2.errors import UserError
from miipher2.evaluation.base import Clip
from miipher2.evaluation.recognition import CharacterErrors


def test_unusable_recogniser_raises(tmp_path):
    pytest.importorskip("faster_whisper")
    with pytest.raises(UserError, match="cannot load it as a Whisper model"):
        CharacterErrors(tmp_path)


class FakeRecogniser(CharacterErrors):
    """Return a text that depends on the length of the recording."""

    packages = {}

    def __init__(self, transcripts=None):
        self.recogniser = "fake"
        self.transcripts = transcripts
        self.reference_sides = () if transcripts else ("clean", "input")

    def _recognise(self, wav, language):
        # The language is detected on the clean side, which comes first.
        assert language == (None if len(wav) == 3 else "en")
        return {1: "Hello word", 2: "", 3: "HELLO, world!"}[len(wav)], "en"


CLIPS = {
    side: Clip(numpy.zeros(length))
    for side, length in (("input", 2), ("restored", 1), ("clean", 3))
}


def test_error_rate_against_the_recognised_reference():
    scores = FakeRecogniser().measure("x/a.wav", CLIPS, "clean")
    assert scores == {"input": [100.0], "restored": [pytest.approx(100 / 11)]}


def test_error_rate_against_transcripts():
    metric = FakeRecogniser({"x/a": "Hello, word"})
    scores = metric.measure("x/a.wav", CLIPS, metric.reference_side(CLIPS))
    assert scores == {"input": [100], "restored": [0], "clean": [10]}
    [score] = metric.measure("x/b.wav", CLIPS, None)["restored"]
    assert math.isnan(score)
