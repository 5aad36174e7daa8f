"""Data preparation of LibriTTS.

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


TREE = [
    utterance("train-clean-100", 19),
    utterance("train-clean-360", 14),
    utterance("train-other-500", 20),
    utterance("dev-clean", 84),
    utterance("dev-other", 116),
    utterance("test-clean", 61),
    utterance("test-other", 367),
]


@pytest.mark.parametrize("inside", ["", "LibriTTS/", "LibriTTS_R/"])
def test_splits_of_the_corpus(corpus, prepare, inside):
    corpus.tree(*(inside + path for path in TREE), rate=24000)
    text = corpus.root / inside / TREE[0].replace(".wav", ".normalized.txt")
    text.write_text("A text.")
    train, valid, test = corpus.run(prepare)
    assert corpus.wavs(train) == [inside + path for path in TREE[:3]]
    assert corpus.speakers(valid) == {"84", "116"}
    assert corpus.speakers(test) == {"61", "367"}


def test_missing_subsets_are_skipped(corpus, prepare):
    corpus.tree(TREE[0], TREE[3], TREE[5])
    assert [len(rows) for rows in corpus.run(prepare)] == [1, 1, 1]


def test_chosen_subsets(corpus, prepare):
    corpus.tree(*TREE)
    subsets = ["train-clean-100", "dev-clean", "test-clean"]
    sides = corpus.run(prepare, subsets=subsets)
    assert sum(map(corpus.wavs, sides), []) == [TREE[0], TREE[3], TREE[5]]
    with pytest.raises(UserError, match="found train-clean$"):
        corpus.run(prepare, subsets=["train-clean"])


def test_train_alone_holds_out_speakers(corpus, prepare, caplog):
    speakers = range(10, 20)
    corpus.tree(*(utterance("train-clean-100", s, 0) for s in speakers))
    corpus.tree(*(utterance("train-clean-100", s, 1) for s in speakers))
    with caplog.at_level(logging.INFO):
        sides = corpus.run(prepare)
    assert "All files are in the training split" in caplog.text
    assert sum(len(corpus.speakers(rows)) for rows in sides) == 10


def test_wrong_data_folders(corpus, prepare):
    (corpus.root / "VCTK").mkdir()
    with pytest.raises(UserError, match="train-clean-100/.*found VCTK/"):
        corpus.run(prepare)
    corpus.tree(*("LibriTTS/" + path for path in TREE))
    corpus.tree(*("LibriTTS_R/" + path for path in TREE))
    with pytest.raises(UserError, match="LibriTTS and LibriTTS_R"):
        corpus.run(prepare)
    with pytest.raises(UserError, match="no such folder"):
        prepare(corpus.root / "absent", *corpus.csvs)
    prepare(corpus.root / "absent", *corpus.csvs, skip_prep=True)


def test_no_train_subset(corpus, prepare):
    corpus.tree(*TREE[3:])
    with pytest.raises(UserError, match="only 2 valid and 2 test"):
        corpus.run(prepare)
