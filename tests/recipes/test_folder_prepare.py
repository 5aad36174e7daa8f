"""Tests of data preparation for a folder of audio files.

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


def test_speakers_are_held_out(corpus, prepare):
    names = [f"speaker {number}" for number in range(30)]
    corpus.write(*(f"{name}/a/{i}.wav" for name in names for i in range(2)))
    train, valid, test = corpus.run(prepare, valid_share=0.1, test_share=0.2)
    speakers = [corpus.speakers(rows) for rows in (train, valid, test)]
    assert all(speakers)
    assert sum(len(split) for split in speakers) == 30
    assert set.union(*speakers) == set(names)
    assert len(train) == 2 * len(speakers[0])


def test_adding_speakers_keeps_the_splits(corpus, prepare):
    corpus.write(*(f"s{number}/a.wav" for number in range(40)))
    before = [set(corpus.wavs(rows)) for rows in corpus.run(prepare)]
    corpus.write(*(f"added{number}/a.wav" for number in range(10)))
    after = [set(corpus.wavs(rows)) for rows in corpus.run(prepare)]
    assert all(old <= new for old, new in zip(before, after, strict=True))
    assert sum(map(len, after)) == 50


def test_split_by_share_ignores_speakers(corpus, prepare):
    corpus.write(*(f"{name}/{n}.wav" for name in "abcd" for n in range(10)))
    train, valid, test = corpus.run(prepare, split_by="share", valid_share=0.2)
    assert len(train) > 20 and 3 < len(valid) < 16 and test
    assert corpus.speakers(train) == set("abcd")
    assert len(corpus.speakers(valid)) > 1


def test_files_are_split_if_there_are_only_two_speakers(
    corpus, prepare, caplog
):
    corpus.write("anna/1.wav", "anna/2.wav", "bo/1.wav", "bo/2.wav")
    with caplog.at_level(logging.INFO):
        train, valid, test = corpus.run(prepare)
    assert (len(train), len(valid), len(test)) == (2, 1, 1)
    assert "Too few speakers" in caplog.text


def test_split_folders_determine_the_splits(corpus, prepare, caplog):
    corpus.write("Train/anna/1.wav", "Train/anna/2.wav", "Train/loose.wav")
    corpus.write("val/bo/1.wav", "stray.wav", "other/cy/1.wav")
    train, valid, test = corpus.run(prepare)
    assert corpus.speakers(train) == {"anna", "corpus"}
    assert corpus.speakers(valid) == {"bo"}
    assert test == valid
    assert "2 files outside train, valid and test" in caplog.text


def test_dev_and_test_folders_are_used(corpus, prepare):
    corpus.write("train/a/1.wav", "dev/b/1.wav", "test/c/1.wav")
    splits = corpus.run(prepare)
    assert [corpus.wavs(rows) for rows in splits] == [
        ["train/a/1.wav"],
        ["dev/b/1.wav"],
        ["test/c/1.wav"],
    ]


def test_a_train_folder_without_other_folders_is_split(corpus, prepare):
    corpus.write("train/a/1.wav", "train/b/1.wav", "train/c/1.wav")
    assert [len(rows) for rows in corpus.run(prepare)] == [1, 1, 1]


def test_common_formats_are_found_and_hidden_files_are_ignored(corpus, prepare):
    names = ["a.WAV", "b.flac", "c.ogg", "d.mp3", "e.AIFF"]
    corpus.write(*names, rate=16000)
    # soundfile.write does not infer the format from these two suffixes.
    silence = [0.0] * 4800
    soundfile.write(corpus.root / "f.aif", silence, 48000, format="AIFF")
    opus = corpus.root / "g.opus"
    soundfile.write(opus, silence, 48000, format="OGG", subtype="OPUS")
    corpus.write('話者/こん にちは, "x".wav', "Ünal/1.wav", channels=2)
    corpus.write(".hidden.wav", ".cache/1.wav", "._a.wav")
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


def test_short_files_are_skipped(corpus, prepare):
    corpus.write(*(f"{name}/long.wav" for name in "abcd"), seconds=0.3)
    corpus.write(*(f"{name}/short.wav" for name in "abcd"), seconds=0.1)
    rows = sum(corpus.run(prepare, min_seconds=0.2), [])
    assert len(rows) == 4 and all("long" in row["wav"] for row in rows)
    with pytest.raises(UserError, match="8 shorter than 9 s"):
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
def test_invalid_options_are_rejected(corpus, prepare, options, message):
    corpus.write("a/1.wav", "b/1.wav", "c/1.wav")
    with pytest.raises(UserError, match=message):
        corpus.run(prepare, **options)


def test_fewer_than_three_files_are_rejected(corpus, prepare):
    corpus.write("a/1.wav", "b/1.wav")
    with pytest.raises(UserError, match="at least 3 audio files.*found 2"):
        corpus.run(prepare)


def test_a_corpus_without_usable_training_files_is_rejected(corpus, prepare):
    corpus.write("train/.keep.wav", "train/a/1.wav", "valid/a/1.wav")
    (corpus.root / "train/a/1.wav").write_bytes(b"broken")
    with pytest.raises(UserError, match="for training, found only 1 for valid"):
        corpus.run(prepare)


def test_missing_data_folders_and_folders_without_audio_are_rejected(
    corpus, prepare
):
    with pytest.raises(UserError, match="expected audio files.*found nothing"):
        corpus.run(prepare)
    (corpus.root / "texts").mkdir()
    with pytest.raises(UserError, match="found texts/"):
        corpus.run(prepare)
    with pytest.raises(UserError, match="no such folder"):
        prepare(corpus.root / "absent", *corpus.csvs)
    assert not corpus.out.exists()


def test_skip_prep_writes_no_manifests(corpus, prepare):
    prepare(corpus.root / "absent", *corpus.csvs, skip_prep=True)
    assert not corpus.out.exists()


def test_the_script_runs_from_the_command_line(corpus, recipe):
    corpus.write("a/1.wav", "b/1.wav", "c/1.wav")
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
