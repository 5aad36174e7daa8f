"""Manifests: what is written is whole, the same on every run, and readable.

Authors
 * The miipher2 authors 2026
"""

import logging
import os

import numpy
import pytest
import soundfile
from speechbrain.dataio.dataset import DynamicItemDataset

from miipher2.dataio import manifests
from miipher2.dataio.audio_files import list_audio
from miipher2.dataio.manifests import (
    prepare_manifests,
    prepare_noise,
    prepare_rirs,
    read_manifest,
    write_manifest,
)
from miipher2.dataio.splits import Utterance
from miipher2.errors import UserError

SPLITS = ("train", "valid", "test")


def audio(path, seconds=0.1, rate=8000):
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, numpy.zeros(round(seconds * rate)), rate)


def row(name, **changes):
    return {
        "ID": name,
        "duration": 1.5,
        "wav": f"$data_root/{name}.wav",
        "spk_id": "anna",
        **changes,
    }


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
    """The files whose headers were read."""
    names, info = [], soundfile.info

    def counting(path):
        names.append(os.path.basename(path))
        return info(path)

    monkeypatch.setattr(soundfile, "info", counting)
    return names


def prepare(folder, csvs, **options):
    files = [Utterance(file, file.folders[0]) for file in list_audio(folder)]
    prepare_manifests(folder, files, csvs, "audio", **options)


def contents(csvs):
    return [path.read_bytes() for path in csvs.values()]


# Writing and reading


def test_speechbrain_reads_what_is_written(tmp_path):
    path, root = tmp_path / "new/train.csv", tmp_path / "a\\1 b"
    names = ["話者 1-ü", 'comma, "quote"', "plain"]
    rows = [row(n, noisy_wav=f"$data_root/noisy/{n}.wav") for n in names]
    write_manifest(path, rows)
    ours = read_manifest(path, root)
    theirs = DynamicItemDataset.from_csv(path, {"data_root": str(root)}).data
    assert {r.pop("ID"): r for r in ours} == theirs
    assert theirs["話者 1-ü"]["noisy_wav"] == f"{root}/noisy/話者 1-ü.wav"
    assert theirs["plain"]["duration"] == 1.5


def test_sorted_whatever_the_order(tmp_path):
    path = tmp_path / "a.csv"
    write_manifest(path, [row("b"), row("a", duration=1 / 3)])
    assert path.read_text() == (
        "ID,duration,wav,spk_id\n"
        "a,0.333333,$data_root/a.wav,anna\n"
        "b,1.500000,$data_root/b.wav,anna\n"
    )


@pytest.mark.parametrize("fails", ["fsync", "replace"])
def test_an_interrupted_write_leaves_the_old_file(tmp_path, monkeypatch, fails):
    path = tmp_path / "a.csv"
    write_manifest(path, [row("old")])

    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, fails, interrupt)
    with pytest.raises(KeyboardInterrupt):
        write_manifest(path, [row("new")])
    assert [r["ID"] for r in read_manifest(path, "")] == ["old"]
    assert os.listdir(tmp_path) == ["a.csv"]


def test_speechbrains_own_samples(tmp_path):
    path = tmp_path / "noise.csv"
    path.write_text(
        "\ufeffID, duration, wav, wav_format, wav_opts\n"
        "noise1, 33.1, $noise_folder/noise1.wav, wav,\n"
        "noise2, 5.0, noise/cost $5/2.wav, wav, start:0\n\n"
    )
    rows = read_manifest(path, "/data")
    assert [r["wav"] for r in rows] == [
        "/data/noise1.wav",
        "noise/cost $5/2.wav",
    ]


@pytest.mark.parametrize(
    "text, message",
    [
        ("ID,duration,path\na,1,a\n", "found ID,duration,path; wav missing"),
        ("", "found none"),
        ("ID,duration,wav\n", "at least one row"),
        ("ID,duration,wav\na,1,a\nb,long,b\n", "line 3: .*found 'long'"),
        ("ID,duration,wav\na,-1,a\n", "line 2: .*found '-1'"),
        ("ID,duration,wav\na,nan,a\n", "line 2: .*found 'nan'"),
        ("ID,duration,wav\na\n", "line 2: .*found None"),
        ("ID,duration,wav\na,1,\n", "line 2: wav is empty"),
        ("ID,duration,wav,noisy_wav\na,1,a,\n", "line 2: noisy_wav is empty"),
        ("ID,duration,wav\na,1,a\na,1,b\n", "line 3: ID a was in line 2"),
        (b"ID,duration,wav\na\xff,1,a\n", "UTF-8"),
    ],
)
def test_manifests_that_cannot_be_used(tmp_path, text, message):
    path = tmp_path / "bad.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(UserError, match=message) as caught:
        read_manifest(path, "/data")
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_missing_manifest_and_missing_noisy_side(tmp_path):
    with pytest.raises(UserError, match="absent.csv: .*No such file"):
        read_manifest(tmp_path / "absent.csv", "")
    write_manifest(tmp_path / "a.csv", [row("a")])
    with pytest.raises(UserError, match="noisy_wav missing"):
        read_manifest(tmp_path / "a.csv", "", ("ID", "wav", "noisy_wav"))


# Preparing


def test_movable_and_the_same_bytes_everywhere(corpus, csvs, tmp_path):
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
    "manifest gone": lambda corpus, csvs: csvs["test"].unlink(),
    "manifest edited": lambda corpus, csvs: csvs["valid"].write_text("ID\n"),
    "stamp gone": lambda corpus, csvs: stamp(csvs).unlink(),
    "stamp damaged": lambda corpus, csvs: stamp(csvs).write_text("[]"),
}


def stamp(csvs):
    return csvs["train"].with_name("train.stamp.json")


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_changes_are_seen(corpus, csvs, read, change):
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


def test_changed_arguments_are_seen(corpus, csvs, read):
    prepare(corpus, csvs)
    prepare(corpus, csvs, valid_share=0.3)
    assert len(read) == 12


def test_interrupted_between_two_manifests(corpus, csvs, read, monkeypatch):
    prepare(corpus, csvs)
    audio(corpus / "new/1.wav")
    write = manifests.write_manifest

    def interrupted(path, rows):
        if path == csvs["valid"]:
            raise KeyboardInterrupt
        write(path, rows)

    monkeypatch.setattr(manifests, "write_manifest", interrupted)
    with pytest.raises(KeyboardInterrupt):
        prepare(corpus, csvs)
    monkeypatch.undo()
    prepare(corpus, csvs)
    total = sum(len(read_manifest(p, corpus)) for p in csvs.values())
    assert total == 7


def test_what_cannot_be_used_is_named_and_left_out(corpus, csvs, caplog):
    (corpus / "a").mkdir()
    (corpus / "a/text.wav").write_text("this is no sound")
    (corpus / "a/zero bytes.flac").touch()
    audio(corpus / "a/no samples.wav", seconds=0.0)
    audio(corpus / "a/$HOME.wav")
    os.symlink("gone.wav", corpus / "a/link.wav")
    whole = (corpus / "話者 0/ä, 1.wav").read_bytes()
    (corpus / "a/cut.wav").write_bytes(whole[:20])
    prepare(corpus, csvs)
    rows = [r for path in csvs.values() for r in read_manifest(path, corpus)]
    assert len(rows) == 6
    for line in (
        "a/text.wav: left out: Format not recognised",
        "a/zero bytes.flac: left out: an empty file",
        "a/no samples.wav: left out: holds no samples",
        "a/$HOME.wav: left out: '$' in the name",
        "a/link.wav: left out: No such file",
        "a/cut.wav: left out: ",
        "6 of 12 files left out",
    ):
        assert line in caplog.text
    caplog.clear()
    prepare(corpus, csvs)
    assert "6 files were left out; remove" in caplog.text


def test_names_that_are_not_utf8(corpus, csvs, caplog):
    name = os.fsencode(corpus) + b"/\xff.wav"
    try:
        open(name, "wb").close()
    except OSError:
        pytest.skip("this file system takes no such names")
    files = [Utterance(file, "anna") for file in list_audio(corpus)]
    prepare_manifests(corpus, files, csvs, "audio")
    assert "\\udcff.wav: left out: the name is not valid" in caplog.text


def test_nothing_but_broken_files(tmp_path, csvs):
    for name in "abc":
        (tmp_path / name).mkdir()
        (tmp_path / name / "1.wav").write_text("this is no sound")
    with pytest.raises(UserError, match="none of 3 .*a/1.wav: Format not"):
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


def test_noise_folders_decide(noise):
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
def test_little_noise(noise, prepare):
    assert noise("1.wav", prepare=prepare) == [["1.wav"], ["1.wav"]]
    train, valid = noise("2.wav", prepare=prepare)
    assert sorted(train + valid) == ["1.wav", "2.wav"] and train and valid


def test_noise_train_folder_alone(noise):
    train, valid = noise("train/1.wav", "train/2.wav")
    assert len(train) == len(valid) == 1


def test_noise_is_skipped_too(noise, read, tmp_path):
    noise("a/1.wav", "a/2.wav")
    noise()
    assert len(read) == 2
    noise(valid_share=0.2)
    assert len(read) == 4
    prepare_rirs(tmp_path / "absent", "x.csv", "y.csv", skip_prep=True)


def test_noise_that_is_not_there(noise, tmp_path):
    with pytest.raises(UserError, match="audio files at any depth; found noth"):
        noise()
    with pytest.raises(UserError, match="absent: .*nothing there"):
        prepare_noise(tmp_path / "absent", "x.csv", "y.csv")
