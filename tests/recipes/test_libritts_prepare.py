"""Tests of data preparation for LibriTTS.

Authors
 * The miipher2 authors 2026
"""

import logging

import pytest

from miipher2.errors import UserError


@pytest.fixture(scope="module")
def prepare(recipe):
    return recipe("LibriTTS/libritts_prepare.py").prepare_libritts


def utterance(subset, speaker, number=0):
    name = f"{speaker}_198_000000_{number:06d}"
    return f"{subset}/{speaker}/198/{name}.wav"


FILES = [
    utterance("train-clean-100", 19),
    utterance("train-clean-360", 14),
    utterance("train-other-500", 20),
    utterance("dev-clean", 84),
    utterance("dev-other", 116),
    utterance("test-clean", 61),
    utterance("test-other", 367),
]


@pytest.mark.parametrize("parent", ["", "LibriTTS/", "LibriTTS_R/"])
def test_the_splits_of_the_corpus_are_used(corpus, prepare, parent):
    corpus.write(*(parent + path for path in FILES), rate=24000)
    text = corpus.root / parent / FILES[0].replace(".wav", ".normalized.txt")
    text.write_text("A text.")
    train, valid, test = corpus.run(prepare)
    assert corpus.wavs(train) == [parent + path for path in FILES[:3]]
    assert corpus.speakers(valid) == {"84", "116"}
    assert corpus.speakers(test) == {"61", "367"}


def test_missing_subsets_are_skipped(corpus, prepare):
    corpus.write(FILES[0], FILES[3], FILES[5])
    assert [len(rows) for rows in corpus.run(prepare)] == [1, 1, 1]


def test_subsets_can_be_selected(corpus, prepare):
    corpus.write(*FILES)
    subsets = ["train-clean-100", "dev-clean", "test-clean"]
    splits = corpus.run(prepare, subsets=subsets)
    assert sum(map(corpus.wavs, splits), []) == [FILES[0], FILES[3], FILES[5]]
    with pytest.raises(UserError, match="found train-clean$"):
        corpus.run(prepare, subsets=["train-clean"])


def test_speakers_are_held_out_if_only_a_train_subset_exists(
    corpus, prepare, caplog
):
    speakers = range(10, 20)
    corpus.write(*(utterance("train-clean-100", s, 0) for s in speakers))
    corpus.write(*(utterance("train-clean-100", s, 1) for s in speakers))
    with caplog.at_level(logging.INFO):
        splits = corpus.run(prepare)
    assert "All files are in the training split" in caplog.text
    assert all(splits)
    assert sum(len(corpus.speakers(rows)) for rows in splits) == 10


def test_an_invalid_data_folder_is_rejected(corpus, prepare):
    (corpus.root / "VCTK").mkdir()
    with pytest.raises(UserError, match="train-clean-100/.*found VCTK/"):
        corpus.run(prepare)
    corpus.write(*("LibriTTS/" + path for path in FILES))
    corpus.write(*("LibriTTS_R/" + path for path in FILES))
    with pytest.raises(UserError, match="LibriTTS and LibriTTS_R"):
        corpus.run(prepare)
    with pytest.raises(UserError, match="no such folder"):
        prepare(corpus.root / "absent", *corpus.csvs)
    prepare(corpus.root / "absent", *corpus.csvs, skip_prep=True)


def test_a_corpus_without_train_subsets_is_rejected(corpus, prepare):
    corpus.write(*FILES[3:])
    with pytest.raises(UserError, match="only 2 for valid and 2 for test"):
        corpus.run(prepare)
