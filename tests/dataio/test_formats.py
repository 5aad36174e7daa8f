"""File formats.

Authors
 * The miipher2 authors 2026
"""

import pytest

from miipher2.dataio.formats import (
    CORPUS_SUFFIXES,
    RECORDING_SUFFIXES,
    output_format,
)
from miipher2.errors import UserError


@pytest.mark.parametrize("name", ["out.xyz", "out", ".wav"])
def test_unknown_output_formats_are_refused(name):
    with pytest.raises(UserError, match=r"use .wav, .flac or .ogg"):
        output_format(name)


def test_suffix_decides_in_any_case():
    assert output_format("a.b/c.OGG") == "OGG"
    assert output_format("a.mp3", formats=("mp3",)) == "MP3"


def test_recordings_include_corpora():
    assert set(CORPUS_SUFFIXES) < set(RECORDING_SUFFIXES)
    assert len(set(RECORDING_SUFFIXES)) == len(RECORDING_SUFFIXES)
