"""File formats.

Authors
 * The miipher2 authors 2026
"""

import contextlib

import pytest

from miipher2.dataio.formats import (
    CORPUS_SUFFIXES,
    PYAV_SUFFIXES,
    RECORDING_SUFFIXES,
    UNREADABLE_SUFFIXES,
    output_format,
)
from miipher2.errors import UserError


@pytest.mark.parametrize("name", ["out.xyz", "out", ".wav"])
def test_unknown_output_formats_are_refused(name):
    with pytest.raises(UserError, match=r"use .wav, .flac or .ogg"):
        output_format(name)


def test_the_formats_that_were_passed_are_named():
    with pytest.raises(UserError, match=r"a.mp3: .*: .mp3; use .flac or .au$"):
        output_format("a.mp3", formats=("flac", "au"))


def test_suffix_decides_in_any_case():
    assert output_format("a.b/c.OGG") == "OGG"
    assert output_format("a.mp3", formats=("mp3",)) == "MP3"


def test_recordings_include_corpora():
    assert set(CORPUS_SUFFIXES) < set(RECORDING_SUFFIXES)
    suffixes = RECORDING_SUFFIXES + UNREADABLE_SUFFIXES
    assert len(set(suffixes)) == len(suffixes)


def test_every_suffix_of_pyav_is_known_to_it():
    av = pytest.importorskip("av")
    # Suffixes of formats that FFmpeg recognises by their content alone.
    known = {"dsf", "m4r", "qcp", "weba"}
    for name in av.formats_available:
        for mode in "rw":
            with contextlib.suppress(ValueError):
                known |= av.format.ContainerFormat(name, mode).extensions
    assert {suffix[1:] for suffix in PYAV_SUFFIXES} <= known
