"""Tests of data preparation for FLEURS.

Authors
 * The miipher2 authors 2026
"""

import pytest

from miipher2.errors import UserError


@pytest.fixture(scope="module")
def prepare(recipe):
    return recipe("FLEURS/fleurs_prepare.py").prepare_fleurs


@pytest.fixture
def fleurs(corpus):
    for language in ("en_us", "ja_jp", "yo_ng"):
        for split in ("train", "dev", "test"):
            name = f"{10**18 + len(language + split)}.wav"
            corpus.write(f"{language}/audio/{split}/{name}", rate=16000)
            table = corpus.root / language / f"{split}.tsv"
            table.write_text(f"1\t{name}\tA text.\ta text\ta\t1600\tMALE\n")
            (corpus.root / language / f"audio/{split}.tar.gz").touch()
    return corpus


def test_the_splits_of_the_corpus_are_used(fleurs, prepare):
    for rows, split in zip(
        fleurs.run(prepare), ("train", "dev", "test"), strict=True
    ):
        assert [row["spk_id"] for row in rows] == ["en_us", "ja_jp", "yo_ng"]
        assert all(f"/audio/{split}/" in row["wav"] for row in rows)
        assert all(row["ID"].startswith(row["spk_id"]) for row in rows)


def test_files_of_the_same_name_in_two_languages_have_different_ids(
    corpus, prepare
):
    for language in ("da_dk", "sv_se"):
        corpus.write(
            *(f"{language}/{s}/1.wav" for s in ("train", "dev", "test"))
        )
    train, valid, test = corpus.run(prepare)
    assert corpus.wavs(train) == ["da_dk/train/1.wav", "sv_se/train/1.wav"]
    assert len({row["ID"] for row in train + valid + test}) == 6


def test_languages_can_be_selected(fleurs, prepare):
    train, _, _ = fleurs.run(prepare, languages=["ja_jp"])
    assert fleurs.speakers(train) == {"ja_jp"}
    message = "expected de_de/audio/train.*found en_us, ja_jp, yo_ng"
    with pytest.raises(UserError, match=message):
        fleurs.run(prepare, languages=["ja_jp", "de_de"])


def test_an_invalid_data_folder_is_rejected(corpus, prepare):
    (corpus.root / "en_us/audio").mkdir(parents=True)
    (corpus.root / "en_us/audio/train.tar.gz").touch()
    with pytest.raises(UserError, match="en_us/audio/train/.*found en_us/"):
        corpus.run(prepare)
    with pytest.raises(UserError, match="no such folder"):
        prepare(corpus.root / "absent", *corpus.csvs)
    prepare(corpus.root / "absent", *corpus.csvs, skip_prep=True)
