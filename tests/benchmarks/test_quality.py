"""Tests of the fixed test set of ``benchmarks/quality.py`` and its scores.

Authors
 * The miipher2 authors 2026
"""

import csv
import json
import math
import shutil
from pathlib import Path

import numpy
import pytest
import quality
import quality_clips
import quality_set
import quality_targets
import soundfile
import systems
import torch
from tiny_voice import voice

from miipher2.dataio.speech_level import active_samples
from miipher2.errors import UserError
from miipher2.evaluation import base, metrics

RATE = 16000
SPEAKERS = "abcdef"


def read(path):
    return soundfile.read(path)[0]


def rows_of(path):
    with open(path, encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def files_of(folder):
    return {
        path.relative_to(folder): path.read_bytes()
        for path in Path(folder).rglob("*.*")
    }


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Corpus with speakers a to f in valid, h in train, and g in both."""
    root = tmp_path_factory.mktemp("data")
    rng = numpy.random.default_rng(0)
    rows = []

    def add(path, wav, split, speaker="", rate=RATE):
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(root / path, wav, rate)
        seconds = len(wav) / rate
        rows.append([path, f"{seconds:.3f}", speaker, split])

    for speaker in SPEAKERS:
        for take in (1, 2):
            wav = voice(rng, 4.7 + take / 2)
            name = f"speech/valid/{speaker}/{take}.flac"
            add(name, wav, "valid", speaker)
    add("speech/valid/a/short.flac", voice(rng, 4.0), "valid", "a")
    add("speech24/x/valid/g/1.flac", voice(rng, 5, 24000), "valid", "g", 24000)
    add("speech24/x/train/g/2.flac", voice(rng, 1), "train", "g")
    add("speech16/x/train/h/1.flac", voice(rng, 1), "train", "h")
    hiss = 0.1 * rng.standard_normal(4 * RATE)
    add("noise/x/valid/hiss.flac", hiss, "valid")
    add("noise/x/train/hiss.flac", hiss, "train")
    add("noise/x/valid/music_a.flac", hiss[::-1], "valid")
    rir = numpy.exp(-numpy.arange(4000) / 800) * rng.standard_normal(4000)
    add("rir/x/valid/room.flac", numpy.r_[0.9, 0.1 * rir], "valid")
    with open(root / "manifest.csv", "w", newline="") as file:
        table = csv.writer(file)
        table.writerows([["path", "seconds", "speaker", "split"], *rows])
    return root


def make(data, output, clips=3, seed=1):
    arguments = ["make", "--data", data, "--output", output]
    arguments += [f"--clips={clips}", f"--seed={seed}"]
    quality.main(list(map(str, arguments)))
    return output


@pytest.fixture(scope="module")
def quality_folder(data, tmp_path_factory):
    return make(data, tmp_path_factory.mktemp("made") / "set")


def test_set_is_reproducible(data, quality_folder, tmp_path):
    again = files_of(make(data, tmp_path / "again"))
    assert again == files_of(quality_folder)
    other = files_of(make(data, tmp_path / "other", seed=2))
    assert other != again
    with pytest.raises(UserError, match="already exists"):
        make(data, quality_folder)


def test_set_has_every_condition(quality_folder):
    rows = rows_of(quality_folder / "set.csv")
    conditions = [*quality_set.DEGRADED, "clean"]
    *rows, _, _, _ = rows  # no-speech clips are last; see test_quality_extra.py
    assert [row["condition"] for row in rows] == 3 * conditions
    speakers = {row["speaker"] for row in rows}
    assert len(speakers) == 3 and speakers <= set(SPEAKERS)
    for row in rows:
        clean, noisy = (
            read(
                quality_folder / side / row["condition"] / f"{row['clip']}.wav"
            )
            for side in ("clean", "input")
        )
        assert len(clean) == len(noisy) == round(float(row["seconds"]) * RATE)
        assert 4.6 <= float(row["seconds"]) <= 5.4
        same = numpy.array_equal(clean, noisy)
        assert same == (row["condition"] == "clean")
        levels = [
            quality_clips.level(torch.from_numpy(wav)) for wav in (clean, noisy)
        ]
        assert levels[0] == pytest.approx(levels[1], rel=0.01)
        steps = json.loads(row["drawn"])["steps"]
        if row["condition"] == "mixed":
            assert len(steps) > 1
        # Degradations and parameters introduced later must not change the set
        assert not {"calls", "knocks"} & {step["name"] for step in steps}
        assert not any("speed" in step for step in steps)
        if row["condition"] == "babble":
            voices = [name.split("/")[2] for name in steps[0]["voices"]]
            assert row["speaker"] not in voices and len(voices) >= 4
        assert bool(row["cutoff_hz"]) == (row["condition"] == "band-limit")


def test_noise_and_band_limit_match_the_recorded_parameters(quality_folder):
    for row in rows_of(quality_folder / "set.csv")[:-3]:
        file = f"{row['condition']}/{row['clip']}.wav"
        clean, noisy = (
            read(quality_folder / side / file) for side in ("clean", "input")
        )
        drawn = json.loads(row["drawn"])
        if row["condition"] == "noise":
            assert drawn["steps"][0]["noise"] == "noise/x/valid/hiss.flac"
            noise = noisy / drawn["gain"] - clean
            active = active_samples(clean, RATE)
            snr = 10 * math.log10(
                (clean[active] ** 2).mean() / (noise[active] ** 2).mean()
            )
            assert snr == pytest.approx(drawn["steps"][0]["snr_db"], abs=0.1)
        if row["condition"] == "band-limit":
            cutoff = float(row["cutoff_hz"])
            assert 2000 <= cutoff <= 4000
            above = numpy.fft.rfftfreq(len(clean), 1 / RATE) > 1.3 * cutoff
            powers = [
                (abs(numpy.fft.rfft(wav))[above] ** 2).sum()
                for wav in (noisy, clean)
            ]
            assert powers[0] < 0.1 * powers[1]


def test_clips_are_distributed_over_speakers(data):
    files = rows_of(data / "manifest.csv")
    chosen = quality_clips.choose(files, 8, 1, data)
    speakers = [row["speaker"] for row in chosen]
    assert set(speakers) == set(SPEAKERS) and len(speakers) == 8
    assert max(map(speakers.count, SPEAKERS)) == 2
    with pytest.raises(UserError, match="there are 12"):
        quality_clips.choose(files, 13, 1, data)


def test_incomplete_data_raises_an_error(data, tmp_path):
    with pytest.raises(UserError, match="cannot be read"):
        make(tmp_path, tmp_path / "set")
    rows = rows_of(data / "manifest.csv")
    rows = [row for row in rows if not row["path"].startswith("rir")]
    with pytest.raises(UserError, match="no rirs"):
        quality_set.conditions(data, rows, "a", tmp_path)


class Peak(base.Metric):
    """Metric without dependencies that replaces DNSMOS."""

    columns = {"ovrl": "OVRL"}
    meaning = "peak"

    def score(self, wav, target=None):
        return [float(abs(wav).max())]


def test_silence_raises_an_error(data, tmp_path):
    silent = tmp_path / "data"
    shutil.copytree(data, silent)
    for file in (silent / "speech/valid").rglob("*.flac"):
        soundfile.write(file, numpy.zeros(6 * RATE), RATE)
    with pytest.raises(UserError, match=r"flac: silence; remove its row"):
        make(silent, tmp_path / "set")


@pytest.fixture
def scored(quality_folder, tmp_path, monkeypatch):
    """Return a function that scores a copy of the test set."""
    home = tmp_path / "set"
    shutil.copytree(quality_folder, home)
    monkeypatch.setattr(
        quality, "load_metrics", lambda _: ([Peak(), metrics.LSD()], ["none"])
    )
    monkeypatch.setattr(quality, "rnnoise", lambda wav: 0.5 * wav)

    def run(*options):
        quality.main(["score", str(home), *map(str, options)])
        return home

    return run


def test_report_compares_systems(scored, tmp_path, capsys):
    home = scored()
    text = capsys.readouterr().out
    assert "| OVRL | input | RNNoise | clean |" in text
    assert "target" not in text
    restored = tmp_path / "restored"
    shutil.copytree(home / "clean", restored)
    shutil.copytree(home / "extra/clean", restored / "extra")
    scored("--restored", restored, "--output", tmp_path / "report")
    text = (tmp_path / "report/quality.md").read_text("utf-8")
    assert text in capsys.readouterr().out
    lines = [line.split(" | ", 1) for line in text.splitlines()]
    lines = {line[0]: line[1] for line in lines if len(line) == 2}
    assert "| OVRL | input | RNNoise | restored | clean |" in text
    assert lines["| LSD minus input, mean"].endswith("| yes |")
    assert lines["| LSD above the cut-off, relative to the input"] == (
        "<= 0.6 | 0.00 | yes |"
    )
    assert lines["| speed (x real time)"] == ">= 20 | - | - |"
    rows = rows_of(tmp_path / "report/files.csv")
    assert len(rows) == 30
    assert all(float(row["restored_lsd"]) < 1e-6 for row in rows[:27])
    assert all(float(row["restored_level_change"]) == 0 for row in rows[27:])
    banded = {r["condition"] for r in rows if r["clean_lsd_above"]}
    assert banded == {"band-limit"}
    denoised = home / "rnnoise/noise" / f"{rows[0]['clip']}.wav"
    assert read(denoised).std() > 0


def test_scores_are_cached_by_content(scored, tmp_path, capsys):
    home = scored()
    assert " 0 new scores" not in capsys.readouterr().out
    scored()
    assert " 0 new scores" in capsys.readouterr().out
    path = next((home / "input/noise").iterdir())
    soundfile.write(path, 0.7 * read(path), RATE)
    scored()
    # Two metrics each for the input and the output of RNNoise
    assert " 4 new scores" in capsys.readouterr().out
    (home / "scores.json").write_text("{")
    with pytest.raises(UserError, match="not valid JSON"):
        scored()


def test_missing_restored_files_raise_an_error(scored, tmp_path):
    with pytest.raises(UserError, match="restore every input"):
        scored("--restored", tmp_path)


def test_rnnoise_is_left_out_if_it_is_not_installed(
    scored, monkeypatch, capsys
):
    def absent(wav):
        raise ImportError("No module named 'pyrnnoise'")

    monkeypatch.setattr(quality, "rnnoise", absent)
    scored()
    text = capsys.readouterr().out
    assert "| OVRL | input | clean |" in text
    assert "RNNoise: left out" in text


def test_targets_are_checked():
    conditions = [*quality_set.DEGRADED, "mean", "clean input"]
    better = {"input": 2.0, "rnnoise": 2.2, "restored": 2.5, "clean": 3.0}
    figures = {"ovrl": dict.fromkeys(conditions, better)}
    figures["ovrl"]["codec"] = {**better, "restored": 1.8}
    text = quality_targets.check_targets(
        figures, {"speed": 30, "load": 5, "memory": 1}
    )
    for line in (
        "| OVRL minus input, mean | >= 0.45 | 0.50 | yes |",
        "| OVRL minus input, lowest of all degraded conditions | >= -0.1 "
        "| -0.20 (codec) | **no** |",
        "| speaker similarity, mean | >= 0.8 | - | - |",
        "| speed (x real time) | >= 20 | 30.00 | yes |",
        "| seconds to load the model | < 3 | 5.00 | **no** |",
    ):
        assert line in text


def test_rnnoise_reduces_noise_without_delay():
    pytest.importorskip("pyrnnoise")
    rng = numpy.random.default_rng(0)
    clean = voice(rng, 3.0).astype("float32")
    noisy = clean + 0.01 * rng.standard_normal(len(clean)).astype("float32")
    denoised = systems.rnnoise(noisy)
    assert denoised.shape == noisy.shape
    assert denoised.dtype == numpy.float32
    assert abs(systems.find_delay(denoised, noisy, RATE)) <= 1
    pauses = abs(clean) < 1e-3
    assert denoised[pauses].std() < 0.5 * noisy[pauses].std()
