"""Data preparation of a folder of audio files.

Authors
 * The miipher2 authors 2026
"""

import logging
import subprocess
import sys

import pytest
import soundfile

from miipher2.errors import UserError


@pytest.fixture(scope="module")
def prepare(recipe):
    return recipe("Folder/folder_prepare.py").prepare_folder


def test_whole_speakers_are_held_out(corpus, prepare):
    names = [f"speaker {number}" for number in range(30)]
    corpus.tree(*(f"{name}/a/{i}.wav" for name in names for i in range(2)))
    train, valid, test = corpus.run(prepare, valid_share=0.1, test_share=0.2)
    sides = [corpus.speakers(rows) for rows in (train, valid, test)]
    assert all(sides)
    assert sum(len(side) for side in sides) == 30
    assert set.union(*sides) == set(names)
    assert len(train) == 2 * len(sides[0])


def test_adding_speakers_keeps_the_splits(corpus, prepare):
    corpus.tree(*(f"s{number}/a.wav" for number in range(40)))
    before = [set(corpus.wavs(rows)) for rows in corpus.run(prepare)]
    corpus.tree(*(f"added{number}/a.wav" for number in range(10)))
    after = [set(corpus.wavs(rows)) for rows in corpus.run(prepare)]
    assert all(old <= new for old, new in zip(before, after, strict=True))
    assert sum(map(len, after)) == 50


def test_split_by_share_ignores_speakers(corpus, prepare):
    corpus.tree(*(f"{name}/{n}.wav" for name in "abcd" for n in range(10)))
    train, valid, test = corpus.run(prepare, split_by="share", valid_share=0.2)
    assert len(train) > 20 and 3 < len(valid) < 16 and test
    assert corpus.speakers(train) == set("abcd")
    assert len(corpus.speakers(valid)) > 1


def test_two_speakers_fall_back_to_files(corpus, prepare, caplog):
    corpus.tree("anna/1.wav", "anna/2.wav", "bo/1.wav", "bo/2.wav")
    with caplog.at_level(logging.INFO):
        train, valid, test = corpus.run(prepare)
    assert (len(train), len(valid), len(test)) == (2, 1, 1)
    assert "Too few speakers" in caplog.text


def test_split_folders_decide(corpus, prepare, caplog):
    corpus.tree("Train/anna/1.wav", "Train/anna/2.wav", "Train/loose.wav")
    corpus.tree("val/bo/1.wav", "stray.wav", "other/cy/1.wav")
    train, valid, test = corpus.run(prepare)
    assert corpus.speakers(train) == {"anna", "corpus"}
    assert corpus.speakers(valid) == {"bo"}
    assert test == valid
    assert "2 files outside train, valid and test" in caplog.text


def test_test_folder_and_dev_folder(corpus, prepare):
    corpus.tree("train/a/1.wav", "dev/b/1.wav", "test/c/1.wav")
    sides = corpus.run(prepare)
    assert [corpus.wavs(rows) for rows in sides] == [
        ["train/a/1.wav"],
        ["dev/b/1.wav"],
        ["test/c/1.wav"],
    ]


def test_train_folder_alone_is_split(corpus, prepare):
    corpus.tree("train/a/1.wav", "train/b/1.wav", "train/c/1.wav")
    assert [len(rows) for rows in corpus.run(prepare)] == [1, 1, 1]


def test_formats_names_and_hidden_files(corpus, prepare):
    names = ["a.WAV", "b.flac", "c.ogg", "d.mp3", "e.AIFF"]
    corpus.tree(*names, rate=16000)
    # soundfile does not infer the format from these two suffixes.
    tone = [0.0] * 4800
    soundfile.write(corpus.root / "f.aif", tone, 48000, format="AIFF")
    opus = corpus.root / "g.opus"
    soundfile.write(opus, tone, 48000, format="OGG", subtype="OPUS")
    corpus.tree('話者/こん にちは, "x".wav', "Ünal/1.wav", channels=2)
    corpus.tree(".hidden.wav", ".cache/1.wav", "._a.wav")
    (corpus.root / "notes.txt").write_text("no audio")
    rows = sum(corpus.run(prepare, split_by="share"), [])
    assert set(corpus.wavs(rows)) == {
        *names,
        "f.aif",
        "g.opus",
        '話者/こん にちは, "x".wav',
        "Ünal/1.wav",
    }
    assert corpus.speakers(rows) == {"話者", "Ünal", "corpus"}


def test_min_seconds(corpus, prepare):
    corpus.tree(*(f"{name}/long.wav" for name in "abcd"), seconds=0.3)
    corpus.tree(*(f"{name}/short.wav" for name in "abcd"), seconds=0.1)
    rows = sum(corpus.run(prepare, min_seconds=0.2), [])
    assert len(rows) == 4 and all("long" in row["wav"] for row in rows)
    with pytest.raises(UserError, match="8 under 9 s"):
        corpus.run(prepare, min_seconds=9.0)


@pytest.mark.parametrize(
    "options, message",
    [
        (
            {"split_by": "speakers"},
            "split_by: expected one of speaker, share; found speakers",
        ),
        ({"valid_share": 0.5, "test_share": 0.5}, "valid_share=0.5, test_sh"),
        ({"valid_share": 0.0}, "above 0"),
    ],
)
def test_wrong_options(corpus, prepare, options, message):
    corpus.tree("a/1.wav", "b/1.wav", "c/1.wav")
    with pytest.raises(UserError, match=message):
        corpus.run(prepare, **options)


def test_too_few_files(corpus, prepare):
    corpus.tree("a/1.wav", "b/1.wav")
    with pytest.raises(UserError, match="at least 3 audio files.*found 2"):
        corpus.run(prepare)


def test_held_out_folders_without_train(corpus, prepare):
    corpus.tree("train/.keep.wav", "train/a/1.wav", "valid/a/1.wav")
    (corpus.root / "train/a/1.wav").write_bytes(b"broken")
    with pytest.raises(UserError, match="for training, found only 1 valid"):
        corpus.run(prepare)


def test_empty_and_wrong_data_folders(corpus, prepare):
    with pytest.raises(UserError, match="expected audio files.*found nothing"):
        corpus.run(prepare)
    (corpus.root / "texts").mkdir()
    with pytest.raises(UserError, match="found texts/"):
        corpus.run(prepare)
    with pytest.raises(UserError, match="no such folder"):
        prepare(corpus.root / "absent", *corpus.csvs)
    assert not corpus.out.exists()


def test_skip_prep(corpus, prepare):
    prepare(corpus.root / "absent", *corpus.csvs, skip_prep=True)
    assert not corpus.out.exists()


def test_command_line(corpus, recipe):
    corpus.tree("a/1.wav", "b/1.wav", "c/1.wav")
    script = recipe("Folder/folder_prepare.py").__file__
    run = [sys.executable, script, str(corpus.root), str(corpus.out)]
    done = subprocess.run(
        [*run, "--split_by", "share"], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert len(corpus.rows(corpus.csvs[0])) == 1
    done = subprocess.run(
        [*run, "--min_seconds", "9"], capture_output=True, text=True
    )
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1].startswith("error: ")
    assert "Traceback" not in done.stderr
