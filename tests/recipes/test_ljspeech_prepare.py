"""Tests of data preparation for LJ Speech.

Authors
 * The miipher2 authors 2026
"""

import pytest

from miipher2.errors import UserError


@pytest.fixture(scope="module")
def prepare(recipe):
    return recipe("LJSpeech/ljspeech_prepare.py").prepare_ljspeech


def chapters(corpus, rows):
    names = (wav.rsplit("/", 1)[1] for wav in corpus.wavs(rows))
    return {name.split("-")[0] for name in names}


@pytest.mark.parametrize("parent", ["", "LJSpeech-1.1/"])
def test_chapters_are_held_out(corpus, prepare, parent):
    corpus.write(
        *(
            f"{parent}wavs/LJ{chapter:03d}-{number:04d}.wav"
            for chapter in range(1, 21)
            for number in (1, 2)
        ),
        rate=22050,
    )
    (corpus.root / parent / "metadata.csv").write_text("LJ001-0001|A.|A.\n")
    splits = corpus.run(prepare)
    assert [sorted(chapters(corpus, rows)) for rows in splits[1:]] == [
        ["LJ006", "LJ009"],
        ["LJ010", "LJ012"],
    ]
    assert [len(rows) for rows in splits] == [32, 4, 4]
    assert corpus.speakers(sum(splits, [])) == {"LJ"}


def test_an_invalid_data_folder_is_rejected(corpus, prepare):
    (corpus.root / "metadata.csv").write_text("LJ001-0001|A.|A.\n")
    message = "expected wavs/LJ001-0001.wav.*found metadata.csv"
    with pytest.raises(UserError, match=message):
        corpus.run(prepare)
    with pytest.raises(UserError, match="no such folder"):
        prepare(corpus.root / "absent", *corpus.csvs)
    prepare(corpus.root / "absent", *corpus.csvs, skip_prep=True)
