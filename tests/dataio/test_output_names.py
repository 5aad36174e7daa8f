"""Tests of the names of output files.

Authors
 * The miipher2 authors 2026
"""

import time
from pathlib import Path

import pytest

from miipher2.dataio.output_names import check_overwriting, unique_stems
from miipher2.errors import UserError


def test_stems_are_unique():
    names = ["a.wav", "a.mp3", "a.wav.flac", "a.wav.wav.ogg", "b.wav"]
    stems = unique_stems(names)
    assert list(stems) == names
    assert len(set(stems.values())) == len(names)
    assert stems["b.wav"] == "b"


def test_stems_of_other_folders_do_not_collide():
    stems = unique_stems(["x/a.wav", "y/a.wav", "x.y/a"])
    assert list(stems.values()) == ["x/a", "y/a", "x.y/a"]


def test_run_time_grows_linearly():
    def seconds(count):
        names = [f"{i // 2}.{'wav' if i % 2 else 'mp3'}" for i in range(count)]
        start = time.perf_counter()
        unique_stems(names)
        return time.perf_counter() - start

    # A quadratic algorithm takes 1600 times as long for 40 times the names.
    assert seconds(200_000) < 400 * max(seconds(5_000), 1e-3)


def test_an_input_is_not_overwritten(tmp_path):
    source = tmp_path / "a.wav"
    source.touch()
    (tmp_path / "link").symlink_to(tmp_path)
    check_overwriting([(source, tmp_path / "b.wav")])
    with pytest.raises(UserError, match="would overwrite an input"):
        check_overwriting([(source, tmp_path / "link" / Path("a.wav"))])
