"""Tests of word and character errors.

Authors
 * The miipher2 authors 2026
"""

import math
import types

import numpy
import pytest

from miipher2.errors import UserError
from miipher2.evaluation.base import CachedFunction, Clip
from miipher2.evaluation.recognition import WordErrors
from miipher2.evaluation.words import cut_loop, word_errors

pytest.importorskip("jiwer")


def test_unusable_recogniser_raises(tmp_path):
    pytest.importorskip("faster_whisper")
    with pytest.raises(UserError, match="cannot load it as a Whisper model"):
        WordErrors(tmp_path)


class FakeWhisper:
    """Stub of Whisper that chooses a text by the length of the recording."""

    TEXTS = {
        1: "Hello word",
        2: "",
        3: "HELLO, world!",
        4: "Hello, " + "word after " * 40,
        5: "tutta un'altra frase",
    }

    def transcribe(self, wav, language, **_):
        # The language is detected from the clean recording, which comes first
        assert language == (None if len(wav) == 3 else "en")
        text = self.TEXTS[len(wav)]
        half = len(text) // 2
        segments = [
            types.SimpleNamespace(text=part, seek=0)
            for part in (text[:half], text[half:])
        ]
        return iter(segments), types.SimpleNamespace(language="en")

    def detect_language(self, wav):
        return ("it" if len(wav) == 5 else "en"), 0.9, []


@pytest.fixture
def metric(monkeypatch):
    def make(transcripts=None):
        metric = WordErrors.__new__(WordErrors)
        metric.recogniser, metric.model = "fake", FakeWhisper()
        metric.transcripts = transcripts
        metric.recognise = CachedFunction(metric._recognise)
        metric.reference_sides = () if transcripts else ("clean", "input")
        return metric

    return make


def clips(**lengths):
    return {s: Clip(numpy.zeros(length)) for s, length in lengths.items()}


def by_column(scores):
    return dict(zip(WordErrors.columns, scores, strict=True))


def test_errors_against_the_text_of_the_clean_recording(metric):
    found = metric().measure(
        "a.wav", clips(input=2, restored=1, clean=3), "clean"
    )
    assert list(found) == ["input", "restored"]
    silent, scores = map(by_column, found.values())
    assert silent["wer"] == silent["wer_del"] == silent["cer"] == 100
    assert scores["wer"] == scores["wer_sub"] == 50
    assert scores["cer"] == scores["cer_del"] == pytest.approx(100 / 11)
    assert scores["loop"] == scores["cer_ins"] == scores["cer_sub"] == 0


def test_errors_against_transcripts(metric):
    metric = metric({"x/a": "Hello, word"})
    sides = clips(input=2, restored=1, clean=3)
    found = metric.measure("x/a.wav", sides, metric.reference_side(sides))
    rates = {side: by_column(scores)["cer"] for side, scores in found.items()}
    assert rates == {"clean": 10, "input": 100, "restored": 0}
    scores = metric.measure("x/b.wav", sides, None)["restored"]
    assert all(map(math.isnan, scores))


def test_a_loop_is_counted_once_and_noted(metric):
    metric = metric()
    found = metric.measure("a.wav", clips(restored=4, clean=3), "clean")
    scores = by_column(found["restored"])
    assert scores["loop"] == 1
    assert scores["wer"] == 100  # "hello word after" for "hello world"
    assert scores["wer_ins"] == scores["wer_sub"] == 50
    assert metric.notes == ["restored: the recogniser repeats itself"]
    metric.measure("b.wav", clips(restored=1, clean=3), "clean")
    assert metric.notes == []


def test_a_clean_recording_shared_by_files_is_recognised_once(metric):
    metric = metric()
    recognised = []
    function = metric.recognise.function

    def recognise(wav, language):
        recognised.append(len(wav))
        return function(wav, language)

    metric.recognise = CachedFunction(recognise)
    for name, length in (("a", 1), ("b", 5)):
        sides = clips(restored=length, clean=3)
        assert metric.measure(f"{name}.wav", sides, "clean")
    assert recognised == [3, 1, 5]


def test_a_recording_in_another_language_is_noted(metric):
    metric = metric()
    metric.measure("a.wav", clips(restored=5, clean=3), "clean")
    [note] = metric.notes
    assert note == "detected language 'it', but transcribed as 'en'"


@pytest.mark.parametrize(
    "text, cut",
    [
        ("and so on " + "ho " * 99, "and so on ho"),
        ("so " + "we all went home " * 3, None),  # only three times
        ("ha ha ha ha ha", None),  # fewer than 40 characters
        ("well " + "i do not know " * 4 + "i do", "well i do not know"),
        (
            "はい" + "ご視聴ありがとうございました" * 9,
            "はいご視聴ありがとうございました",
        ),
        ("thank you " * 9 + "for all of it", None),  # not at the end
        ("", None),
    ],
)
def test_cut_loop(text, cut):
    assert cut_loop(text.strip()) == (text.strip() if cut is None else cut)


def test_error_types_add_up_to_the_total():
    errors = word_errors("a b c d e", "a x c e f g")
    assert errors.total == sum(errors[1:]) == 80
    assert all(map(math.isnan, word_errors("", "a")))


def test_error_rate_of_invented_text_is_at_most_100_percent():
    errors = word_errors("a b c d", "a b " + "and so on " * 9)
    assert errors.total == sum(errors[1:]) == 100
    assert errors.insertions == 50
