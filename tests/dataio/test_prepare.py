"""Tests of data preparation: unusable files, splits and unchanged data.

Authors
 * The miipher2 authors 2026
"""

import logging
import os

import numpy
import pytest
import soundfile

from miipher2.dataio import headers
from miipher2.dataio import prepare as prepare_module
from miipher2.dataio.audio_files import list_audio
from miipher2.dataio.manifests import read_manifest
from miipher2.dataio.prepare import (
    prepare_manifests,
    prepare_noise,
    prepare_rirs,
)
from miipher2.dataio.sound_file import SoundFile
from miipher2.dataio.splits import Utterance
from miipher2.errors import UserError

SPLITS = ("train", "valid", "test")


def audio(path, seconds=0.1, rate=8000):
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, numpy.zeros(round(seconds * rate)), rate)


@pytest.fixture
def corpus(tmp_path):
    for number in range(6):
        audio(tmp_path / f"corpus/話者 {number}/ä, 1.wav")
    return tmp_path / "corpus"


@pytest.fixture
def csvs(tmp_path):
    return {split: tmp_path / f"out/{split}.csv" for split in SPLITS}


@pytest.fixture
def read(monkeypatch):
    """Record the files whose headers are read."""
    names = []

    def counting(path):
        names.append(os.path.basename(path))
        return SoundFile(path)

    monkeypatch.setattr(headers, "SoundFile", counting)
    return names


def prepare(folder, csvs, **options):
    files = [Utterance(file, file.folders[0]) for file in list_audio(folder)]
    prepare_manifests(folder, files, csvs, "audio", **options)


def contents(csvs):
    return [path.read_bytes() for path in csvs.values()]


def test_manifests_do_not_depend_on_the_location(corpus, csvs, tmp_path):
    prepare(corpus, csvs)
    moved = corpus.rename(tmp_path / "moved")
    elsewhere = {s: tmp_path / f"elsewhere/{s}.csv" for s in SPLITS}
    prepare(moved, elsewhere)
    assert contents(elsewhere) == contents(csvs)
    rows = [r for path in csvs.values() for r in read_manifest(path, moved)]
    assert len(rows) == 6
    assert all(os.path.isfile(r["wav"]) for r in rows)


def test_a_second_run_reads_no_header(corpus, csvs, read, caplog):
    prepare(corpus, csvs)
    assert len(read) == 6
    before, times = contents(csvs), [p.stat() for p in csvs.values()]
    with caplog.at_level(logging.INFO):
        prepare(corpus, csvs)
    assert len(read) == 6
    assert contents(csvs) == before
    assert [p.stat().st_mtime_ns for p in csvs.values()] == [
        time.st_mtime_ns for time in times
    ]
    assert "nothing has changed" in caplog.text
    assert caplog.text.count("train.csv: 3 files, 3 speakers, 0.30 s") == 1


def test_the_split_rule_is_logged(corpus, csvs, caplog):
    with caplog.at_level(logging.INFO):
        prepare(corpus, csvs)
    assert (
        "Assigning 6 files to splits by a hash of the name: a fraction of 0.05 "
        "to valid and 0.05 to test, at least one each, and all others to train"
    ) in caplog.text
    assert "test.csv: 1 file, 1 speaker, 0.10 s" in caplog.text


CHANGES = {
    "added": lambda corpus, csvs: audio(corpus / "new/1.wav"),
    "removed": lambda corpus, csvs: next(corpus.glob("*/*.wav")).unlink(),
    "longer": lambda corpus, csvs: audio(next(corpus.glob("*/*.wav")), 0.2),
    "touched": lambda corpus, csvs: os.utime(
        next(corpus.glob("*/*.wav")), (1, 1)
    ),
    "renamed": lambda corpus, csvs: next(corpus.glob("*")).rename(
        corpus / "renamed"
    ),
    "manifest missing": lambda corpus, csvs: csvs["test"].unlink(),
    "manifest edited": lambda corpus, csvs: csvs["valid"].write_text("ID\n"),
    "record missing": lambda corpus, csvs: record_of(csvs).unlink(),
    "record damaged": lambda corpus, csvs: record_of(csvs).write_text("[]"),
}


def record_of(csvs):
    return csvs["train"].with_name("train.stamp.json")


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_changed_files_and_manifests_are_detected(corpus, csvs, read, change):
    prepare(corpus, csvs)
    change(corpus, csvs)
    read.clear()
    prepare(corpus, csvs)
    assert len(read) == len(list_audio(corpus))
    rows = [r for path in csvs.values() for r in read_manifest(path, corpus)]
    assert {r["wav"] for r in rows} == {
        f"{corpus}/{file.path}" for file in list_audio(corpus)
    }
    assert max(r["duration"] for r in rows) == max(
        soundfile.info(r["wav"]).duration for r in rows
    )


def test_changed_arguments_are_detected(corpus, csvs, read):
    prepare(corpus, csvs)
    prepare(corpus, csvs, valid_share=0.3)
    assert len(read) == 12


def test_the_run_after_an_interrupted_run_is_complete(
    corpus, csvs, read, monkeypatch
):
    prepare(corpus, csvs)
    audio(corpus / "new/1.wav")
    write = prepare_module.write_manifest

    def interrupted(path, rows):
        if path == csvs["valid"]:
            raise KeyboardInterrupt
        write(path, rows)

    monkeypatch.setattr(prepare_module, "write_manifest", interrupted)
    with pytest.raises(KeyboardInterrupt):
        prepare(corpus, csvs)
    monkeypatch.undo()
    prepare(corpus, csvs)
    total = sum(len(read_manifest(p, corpus)) for p in csvs.values())
    assert total == 7


def test_unusable_files_are_logged_and_skipped(corpus, csvs, caplog):
    (corpus / "a").mkdir()
    (corpus / "a/text.wav").write_text("not audio")
    (corpus / "a/zero bytes.flac").touch()
    audio(corpus / "a/no samples.wav", seconds=0.0)
    audio(corpus / "a/$HOME.wav")
    os.symlink("missing.wav", corpus / "a/link.wav")
    complete = (corpus / "話者 0/ä, 1.wav").read_bytes()
    (corpus / "a/cut.wav").write_bytes(complete[:20])
    prepare(corpus, csvs)
    rows = [r for path in csvs.values() for r in read_manifest(path, corpus)]
    assert len(rows) == 6
    for line in (
        "a/text.wav: skipped: Format not recognised",
        "a/zero bytes.flac: skipped: an empty file",
        "a/no samples.wav: skipped: contains no samples",
        "a/$HOME.wav: skipped: its path contains '$'",
        "a/link.wav: skipped: No such file",
        "a/cut.wav: skipped: ",
        "skipped 6 of 12 files",
    ):
        assert line in caplog.text
    caplog.clear()
    prepare(corpus, csvs)
    assert "6 unusable files skipped; delete" in caplog.text


def test_names_that_are_not_utf8_are_skipped(corpus, csvs, caplog):
    name = os.fsencode(corpus) + b"/\xff.wav"
    try:
        open(name, "wb").close()
    except OSError:
        pytest.skip("the file system does not support such names")
    files = [Utterance(file, "anna") for file in list_audio(corpus)]
    prepare_manifests(corpus, files, csvs, "audio")
    assert "\\udcff.wav: skipped: its name is not valid" in caplog.text


def test_corpus_without_usable_files_raises(tmp_path, csvs):
    for name in "abc":
        (tmp_path / name).mkdir()
        (tmp_path / name / "1.wav").write_text("not audio")
    with pytest.raises(UserError, match="among 3 .*a/1.wav: Format not"):
        prepare(tmp_path, csvs)
    assert not csvs["train"].parent.exists()


def test_ids_are_unique(tmp_path, csvs):
    names = ["a/b.wav", "a/b.flac", "a-b/c.wav", "a/b-c.wav", "a/b c.wav"]
    for name in names:
        audio(tmp_path / name)
    prepare(tmp_path, csvs)
    ids = {
        r["wav"]: r["ID"]
        for path in csvs.values()
        for r in read_manifest(path, "")
    }
    assert len(set(ids.values())) == len(names)
    assert ids["/a/b c.wav"] == "a-b c"
    assert ids["/a/b.wav"].startswith("a-b-")


# Noise and impulse responses


@pytest.fixture
def noise(tmp_path):
    def run(*paths, prepare=prepare_noise, **options):
        folder = tmp_path / "noise"
        folder.mkdir(exist_ok=True)
        for path in paths:
            audio(folder / path)
        csvs = tmp_path / "noise.csv", tmp_path / "noise_valid.csv"
        prepare(folder, *csvs, **options)
        return [
            [r["wav"].removeprefix("/") for r in read_manifest(path, "")]
            for path in csvs
        ]

    return run


def test_noise_is_split_by_folder_names(noise):
    train, valid = noise(
        "cafe/train/1.wav",
        "cafe/Val/1.wav",
        "dev/street/1.wav",
        "test/1.wav",
    )
    assert train == ["cafe/train/1.wav"]
    assert valid == ["cafe/Val/1.wav", "dev/street/1.wav", "test/1.wav"]


def test_noise_is_held_out_by_hash(noise):
    train, valid = noise(*(f"{number}.wav" for number in range(60)))
    assert 2 <= len(valid) <= 15 and len(train) + len(valid) == 60
    new_train, new_valid = noise(*(f"new {n}.wav" for n in range(20)))
    assert set(train) <= set(new_train) and set(valid) <= set(new_valid)


@pytest.mark.parametrize("prepare", [prepare_noise, prepare_rirs])
def test_one_file_is_in_both_manifests_and_two_are_divided(noise, prepare):
    assert noise("1.wav", prepare=prepare) == [["1.wav"], ["1.wav"]]
    train, valid = noise("2.wav", prepare=prepare)
    assert sorted(train + valid) == ["1.wav", "2.wav"] and train and valid


def test_noise_with_only_a_train_folder_is_divided(noise):
    train, valid = noise("train/1.wav", "train/2.wav")
    assert len(train) == len(valid) == 1


def test_preparation_of_unchanged_noise_is_skipped(noise, read, tmp_path):
    noise("a/1.wav", "a/2.wav")
    noise()
    assert len(read) == 2
    noise(valid_share=0.2)
    assert len(read) == 4
    prepare_rirs(tmp_path / "absent", "x.csv", "y.csv", skip_prep=True)


def test_the_log_counts_folders_of_noise(noise, caplog):
    with caplog.at_level(logging.INFO):
        noise("a/train/1.wav", "b/train/1.wav", "valid/1.wav")
    assert "noise.csv: 2 files, 2 folders, " in caplog.text
    assert "speaker" not in caplog.text


def test_missing_noise_raises(noise, tmp_path):
    with pytest.raises(UserError, match="audio files at any depth; found noth"):
        noise()
    with pytest.raises(UserError, match="absent: .*no such folder"):
        prepare_noise(tmp_path / "absent", "x.csv", "y.csv")
