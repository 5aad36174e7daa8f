"""Tests of listing audio files.

Authors
 * The miipher2 authors 2026
"""

import os

import pytest

from miipher2.dataio.audio_files import contents, list_audio
from miipher2.dataio.formats import RECORDING_SUFFIXES
from miipher2.errors import UserError


def paths(files):
    return [file.path for file in files]


def test_each_linked_folder_is_visited_once(tmp_path):
    (tmp_path / "corpus/a").mkdir(parents=True)
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "corpus/a/1.wav").touch()
    (tmp_path / "elsewhere/2.wav").touch()
    os.symlink(tmp_path / "corpus", tmp_path / "corpus/a/loop")
    os.symlink(tmp_path / "elsewhere", tmp_path / "corpus/b")
    os.symlink(tmp_path / "elsewhere", tmp_path / "corpus/c")
    assert paths(list_audio(tmp_path / "corpus")) == ["a/1.wav", "b/2.wav"]


def test_only_the_given_folders_are_searched(tmp_path):
    for name in ("a", "b", "c"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "1.wav").write_bytes(b"12345")
    folders = [tmp_path / name for name in ("b", "a", "absent")]
    files = list_audio(tmp_path, *folders)
    assert paths(files) == ["a/1.wav", "b/1.wav"]
    assert files[0].size == 5
    assert files[0].mtime_ns == (tmp_path / "a/1.wav").stat().st_mtime_ns


def test_unreadable_folder_is_logged(tmp_path, monkeypatch, caplog):
    (tmp_path / "locked").mkdir()
    (tmp_path / "1.wav").touch()
    scandir = os.scandir

    def locked(path):
        if os.path.basename(path) == "locked":
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", locked)
    assert paths(list_audio(tmp_path)) == ["1.wav"]
    assert "locked: skipped: Permission denied" in caplog.text


def test_file_instead_of_folder_raises(tmp_path):
    (tmp_path / "a.wav").touch()
    with pytest.raises(UserError, match="expected a folder.*found a file"):
        list_audio(tmp_path / "a.wav")


def test_summary_of_a_folder(tmp_path):
    assert contents(tmp_path) == "nothing"
    for number in range(9):
        (tmp_path / str(number)).touch()
    assert contents(tmp_path) == "0, 1, 2, 3, 4, 5 and 3 more"


def test_case_and_trailing_dots_or_spaces_do_not_affect_suffixes(tmp_path):
    names = ["a.wav ", "b.WAV.", "c.oga", "d.mp2", "e.wav . "]
    for name in [*names, "f.wav!", ".g.wav", "h.txt"]:
        (tmp_path / name).touch()
    assert paths(list_audio(tmp_path)) == names


def test_skipped_audio_files_are_reported(tmp_path, caplog):
    for name in ("a.wav", "b.m4a", "c.m4a", "d.aax", "e.txt"):
        (tmp_path / name).touch()
    assert paths(list_audio(tmp_path)) == ["a.wav"]
    assert (
        "b.m4a and 1 other: skipped: .m4a is not supported; convert it to .wav"
    ) in caplog.text
    skipped = []
    files = list_audio(
        tmp_path,
        suffixes=RECORDING_SUFFIXES,
        on_skip=lambda *skip: skipped.append(skip),
    )
    assert paths(files) == ["a.wav", "b.m4a", "c.m4a"]
    assert [(file.path, reason) for file, reason in skipped] == [
        ("d.aax", ".aax is not supported; convert it to .wav or .flac")
    ]
