"""Tests of the names of output files.

Authors
 * The miipher2 authors 2026
"""

from collections import Counter
from pathlib import Path

import pytest

from miipher2.dataio import output_names
from miipher2.dataio.output_names import check_overwriting, unique_stems
from miipher2.errors import UserError


def test_stems_are_unique():
    names = ["a.wav", "a.mp3", "a.wav.flac", "a.wav.wav.ogg", "b.wav"]
    stems = unique_stems(names)
    assert list(stems) == names
    assert len(set(stems.values())) == len(names)
    assert stems["b.wav"] == "b"


def test_equal_stems_in_different_folders_do_not_collide():
    stems = unique_stems(["x/a.wav", "y/a.wav", "x.y/a"])
    assert list(stems.values()) == ["x/a", "y/a", "x.y/a"]


@pytest.mark.parametrize("number", [10, 1000])
def test_number_of_passes_does_not_depend_on_the_number_of_names(
    monkeypatch, number
):
    passes = []

    def counting(stems):
        passes.append(len(stems))
        return Counter(stems)

    monkeypatch.setattr(output_names, "Counter", counting)
    unique_stems(
        f"{index // 2}.{'wav' if index % 2 else 'mp3'}"
        for index in range(number)
    )
    # The first pass finds the equal stems, the second finds none.
    assert passes == [number, number]


def test_output_that_would_overwrite_an_input_raises(tmp_path):
    source = tmp_path / "a.wav"
    source.touch()
    (tmp_path / "link").symlink_to(tmp_path)
    check_overwriting([(source, tmp_path / "b.wav")])
    with pytest.raises(UserError, match="would overwrite an input"):
        check_overwriting([(source, tmp_path / "link" / Path("a.wav"))])
