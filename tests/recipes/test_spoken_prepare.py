"""Tests of preparing synthetic speech, with a tone in place of Kokoro.

Authors
 * The miipher2 authors 2026
"""

import csv
import re
import sys
from pathlib import Path

import numpy
import pytest
import soundfile

from miipher2.errors import UserError

FOLDER = Path(__file__).parents[2] / "recipes" / "Spoken"
VOICES = ("af_one", "af_two", "am_one", "ff_one", "af_nova", "bm_daniel")
SENTENCES = [f"This is the sentence with the number {n}." for n in range(30)]


class Tone:
    """Replacement for Kokoro: a tone of one second per 20 characters."""

    def __init__(self):
        self.calls = []

    def create(self, text, voice, speed, lang):
        self.calls.append((text, lang))
        seconds = len(text) / 20 / speed
        time = numpy.arange(round(24000 * seconds)) / 24000
        speech = numpy.sin(2 * numpy.pi * 200 * float(voice.mean()) * time)
        speech = 0.5 * speech.astype(numpy.float32)
        return numpy.pad(speech, 12000), 24000


@pytest.fixture
def spoken(monkeypatch):
    monkeypatch.syspath_prepend(str(FOLDER))
    for name in ("spoken_prepare", "kokoro_speech"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    import kokoro_speech
    import spoken_prepare

    tone = Tone()
    monkeypatch.setattr(kokoro_speech, "load_kokoro", lambda *_: tone)
    spoken_prepare.tone = tone
    return spoken_prepare


@pytest.fixture
def files(tmp_path):
    texts = tmp_path / "texts"
    texts.mkdir()
    (texts / "en-us.txt").write_text("\n".join([*SENTENCES, "Too short."]))
    (texts / "fr-fr.txt").write_text("\n".join(SENTENCES))
    (tmp_path / "model.onnx").write_bytes(b"model")
    styles = {
        n: numpy.full((510, 1, 256), i + 1.0) for i, n in enumerate(VOICES)
    }
    with open(tmp_path / "voices.bin", "wb") as file:
        numpy.savez(file, **styles)
    return {
        "texts": str(texts),
        "model": str(tmp_path / "model.onnx"),
        "voices": str(tmp_path / "voices.bin"),
        "clips": 2,
        "speakers": 4,
    }


def run(spoken, out, files, **options):
    csvs = [out.parent / f"{s}.csv" for s in ("train", "valid", "test")]
    spoken.prepare_spoken(out, *csvs, **{**files, **options})
    tables = []
    for path in csvs:
        with open(path, encoding="utf-8", newline="") as file:
            tables.append(list(csv.DictReader(file)))
    return tables


def contents(folder):
    return {p.relative_to(folder): p.read_bytes() for p in folder.rglob("*.*")}


def test_the_corpus_has_manifests_texts_and_held_out_voices(
    spoken, files, tmp_path
):
    files["speakers"] = 40
    (tmp_path / "texts" / "en-gb.txt").write_text("\n".join(SENTENCES))
    spoken.HELD_OUT = {**spoken.HELD_OUT, "test": ("ff_one",)}
    out = tmp_path / "corpus"
    train, valid, test = run(spoken, out, files)
    assert {row["spk_id"] for row in valid} == {"af_nova", "bm_daniel"}
    assert {row["spk_id"] for row in test} == {"ff_one"}
    assert len(train) == 80 and len({row["spk_id"] for row in train}) == 40
    path = out / train[0]["wav"].removeprefix("$data_root/")
    wav, rate = soundfile.read(path)
    assert rate == 24000
    assert len(wav) / rate == pytest.approx(
        float(train[0]["duration"]), abs=1e-3
    )
    # the level is fixed, and the clip begins with silence
    active = wav[numpy.abs(wav) > 0.05 * numpy.abs(wav).max()]
    assert numpy.sqrt(numpy.mean(active**2)) == pytest.approx(0.06, rel=0.01)
    assert numpy.abs(wav[:2000]).max() < 1e-3
    with open(out / "texts.csv", encoding="utf-8", newline="") as file:
        texts = {row["ID"]: row["text"] for row in csv.DictReader(file)}
    assert len(texts) == 86 and set(texts.values()) <= set(SENTENCES)
    used = []
    for table in out.glob("train/*/clips.csv"):
        with open(table, encoding="utf-8", newline="") as file:
            used += [row["voices"] for row in csv.DictReader(file)]
    assert not re.search("nova|daniel|ff_one", "".join(used))
    assert 20 < sum("," in voices for voices in used) < len(used) == 80


def test_the_corpus_is_reproducible_even_after_an_interruption(
    spoken, files, tmp_path
):
    run(spoken, tmp_path / "a", files)
    calls = len(spoken.tone.calls)
    assert calls == 12  # 2 for each of 4 speakers and 2 held-out voices
    run(spoken, tmp_path / "a", files)
    assert len(spoken.tone.calls) == calls
    # with fewer speakers at first, and after an interruption within a speaker
    run(spoken, tmp_path / "b", files, speakers=2)
    folder = tmp_path / "b/train/spoken0001"
    (folder / "clips.csv").unlink()
    next(folder.glob("*.flac")).unlink()
    run(spoken, tmp_path / "b", files)
    assert contents(tmp_path / "a") == contents(tmp_path / "b")
    run(spoken, tmp_path / "c", files, seed=1)
    assert contents(tmp_path / "a") != contents(tmp_path / "c")


def test_other_settings_need_another_folder(spoken, files, tmp_path):
    run(spoken, tmp_path / "a", files)
    with pytest.raises(UserError, match="a corpus with different clips, seed"):
        run(spoken, tmp_path / "a", files, clips=3, seed=1)


def test_clips_with_a_fault_are_dropped(spoken, files, tmp_path, monkeypatch):
    fault = iter(["", "OVRL 1.20"] * 6)
    synthesiser = sys.modules["kokoro_speech"].Synthesiser
    monkeypatch.setattr(synthesiser, "find_fault", lambda *_: next(fault))
    train, valid, _ = run(spoken, tmp_path / "a", files)
    assert len(train) == 4 and len(valid) == 2
    table = (tmp_path / "a/train/spoken0000/clips.csv").read_text("utf-8")
    assert "OVRL 1.20" in table


def test_clips_are_checked_for_wrong_words_low_quality_and_silence(spoken):
    synthesiser = object.__new__(sys.modules["kokoro_speech"].Synthesiser)
    synthesiser.checks = {"max_cer": 30.0, "min_ovrl": 2.5}

    class Metric:
        def __init__(self, column, value):
            self.columns, self.value = {column: ""}, value

        def measure(self, file, clips, reference):
            assert len(clips["restored"].wav) == 16000
            return {"restored": [self.value]}

    wav = numpy.ones(24000, numpy.float32)
    for cer, ovrl, reason in [
        (10.0, 3.0, ""),
        (40.0, 3.0, "character errors 40 %"),
        (float("nan"), 3.0, "character errors nan %"),
        (10.0, 2.0, "OVRL 2.00"),
    ]:
        synthesiser.recogniser = Metric("cer", cer)
        synthesiser.dnsmos = Metric("ovrl", ovrl)
        assert synthesiser.find_fault(wav, "text") == reason
    assert synthesiser.find_fault(0 * wav, "text") == "silent"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"texts": "nowhere"}, "texts: expected an existing path"),
        ({"model": ""}, "model: expected an existing path"),
    ],
)
def test_missing_files_are_reported(spoken, files, tmp_path, change, message):
    with pytest.raises(UserError, match=message):
        run(spoken, tmp_path / "a", files, **change)
    assert not (tmp_path / "a").exists()


def test_invalid_voices_and_unknown_languages_are_rejected(
    spoken, files, tmp_path
):
    damaged = tmp_path / "voices.bin"
    damaged.write_bytes(Path(files["voices"]).read_bytes()[:-20])
    for voices in (files["model"], damaged):
        with pytest.raises(UserError, match="expected the voices of Kokoro"):
            run(spoken, tmp_path / "a", files, voices=voices)
        assert not (tmp_path / "a").exists()
    (tmp_path / "texts/klingon.txt").write_text("x" * 50)
    with pytest.raises(UserError, match="unknown language; expected"):
        run(spoken, tmp_path / "a", files)


def test_the_checks_load_their_metrics(spoken, files, monkeypatch):
    from miipher2.evaluation import metrics, recognition

    loaded = []
    monkeypatch.setattr(metrics, "DNSMOS", lambda: loaded.append("dnsmos"))
    monkeypatch.setattr(
        recognition, "WordErrors", lambda *given: loaded.append(given[0])
    )
    checks = {"recogniser": "base", "min_ovrl": 2.5, "max_cer": 30.0}
    synthesiser = sys.modules["kokoro_speech"].Synthesiser
    synthesiser(files, {}, checks, threads=1)
    assert loaded == ["dnsmos", "base"]
