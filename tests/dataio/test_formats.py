"""Tests of file formats and their suffixes.

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
def test_unknown_output_formats_raise(name):
    with pytest.raises(UserError, match=r"use .wav, .flac or .ogg"):
        output_format(name)


def test_error_names_the_allowed_formats():
    with pytest.raises(UserError, match=r"a.mp3: .*: .mp3; use .flac or .au$"):
        output_format("a.mp3", formats=("flac", "au"))


def test_suffix_determines_the_format_regardless_of_case():
    assert output_format("a.b/c.OGG") == "OGG"
    assert output_format("a.mp3", formats=("mp3",)) == "MP3"


def test_recording_suffixes_include_corpus_suffixes_without_duplicates():
    assert set(CORPUS_SUFFIXES) < set(RECORDING_SUFFIXES)
    suffixes = RECORDING_SUFFIXES + UNREADABLE_SUFFIXES
    assert len(set(suffixes)) == len(suffixes)


def test_pyav_supports_every_pyav_suffix():
    av = pytest.importorskip("av")
    # Suffixes of formats that FFmpeg recognises by their content alone.
    known = {"dsf", "m4r", "qcp", "weba"}
    for name in av.formats_available:
        for mode in "rw":
            with contextlib.suppress(ValueError):
                known |= av.format.ContainerFormat(name, mode).extensions
    assert {suffix[1:] for suffix in PYAV_SUFFIXES} <= known
