"""Tests of data preparation for pairs of noisy and clean recordings.

Authors
 * The miipher2 authors 2026
"""

import pytest

from miipher2.errors import UserError


@pytest.fixture(scope="module")
def prepare(recipe):
    return recipe("Paired/paired_prepare.py").prepare_paired


@pytest.fixture
def pairs(corpus):
    for split in ("train", "val"):
        for side in ("noisy", "clean"):
            corpus.write(f"{split}/{side}/1.wav", f"{split}/{side}/2.wav")
    return corpus


def test_the_manifests_contain_the_pairs(pairs, prepare):
    train, valid, test = pairs.run(prepare)
    assert list(train[0]) == ["ID", "duration", "wav", "spk_id", "noisy_wav"]
    assert [(row["wav"], row["noisy_wav"]) for row in train] == [
        (f"$data_root/train/clean/{n}.wav", f"$data_root/train/noisy/{n}.wav")
        for n in (1, 2)
    ]
    assert len(valid) == 2 and test == valid


def test_valid_and_test_folders_are_used(pairs, prepare):
    (pairs.root / "val").rename(pairs.root / "valid")
    pairs.write("test/noisy/1.wav", "test/clean/1.wav")
    _, valid, test = pairs.run(prepare)
    assert pairs.wavs(valid) == ["valid/clean/1.wav", "valid/clean/2.wav"]
    assert pairs.wavs(test) == ["test/clean/1.wav"]


def test_pairs_without_split_folders_are_split(corpus, prepare):
    for side in ("noisy", "clean"):
        corpus.write(*(f"{side}/{n}.wav" for n in range(4)))
    splits = corpus.run(prepare)
    assert [len(rows) for rows in splits] == [2, 1, 1]
    for row in sum(splits, []):
        name = row["wav"].removeprefix("$data_root/clean/")
        assert row["noisy_wav"] == f"$data_root/noisy/{name}"
        assert row["spk_id"] == "corpus"


def test_pairs_of_a_speaker_are_in_one_split(corpus, prepare):
    for side in ("noisy", "clean"):
        corpus.write(*(f"{side}/{s}/{n}.wav" for s in "abcd" for n in "12"))
    speakers = [corpus.speakers(rows) for rows in corpus.run(prepare)]
    assert sorted(sum(map(list, speakers), [])) == ["a", "b", "c", "d"]


def test_a_noisy_folder_next_to_split_folders_is_rejected(pairs, prepare):
    pairs.write("noisy/1.wav")
    with pytest.raises(UserError, match="expected either train and val, or"):
        pairs.run(prepare)


def test_files_are_matched_by_subfolder_and_stem(pairs, prepare):
    pairs.write("train/noisy/話者 1/ä b.wav", "train/clean/話者 1/ä b.flac")
    row = pairs.run(prepare)[0][-1]
    assert row["spk_id"] == "話者 1"
    assert row["wav"].endswith("clean/話者 1/ä b.flac")
    assert row["noisy_wav"].endswith("noisy/話者 1/ä b.wav")


def test_files_without_a_counterpart_are_rejected(pairs, prepare):
    pairs.write(*(f"train/noisy/extra{n}.wav" for n in range(6)))
    pairs.write("train/clean/lonely.wav")
    with pytest.raises(UserError) as caught:
        pairs.run(prepare)
    message = str(caught.value)
    assert "7 without a counterpart: noisy/extra0, noisy/extra1" in message
    assert "extra5" not in message and "..." in message


def test_files_that_differ_only_in_suffix_are_rejected(pairs, prepare):
    pairs.write("train/clean/1.flac")
    with pytest.raises(UserError, match="clean/1.wav and train/clean/1.flac"):
        pairs.run(prepare)


@pytest.mark.parametrize(
    "properties, message",
    [
        ({"rate": 16000}, "sample rate.*16000 Hz in .*8000 Hz in"),
        ({"channels": 2}, "channels.*found 2 in .* and 1 in"),
        ({"seconds": 0.16}, "duration.*0.16 s in .*0.1 s in"),
    ],
)
def test_pairs_that_differ_in_rate_channels_or_duration_are_rejected(
    pairs, prepare, properties, message
):
    pairs.write("val/noisy/2.wav", **properties)
    with pytest.raises(UserError, match=message) as caught:
        pairs.run(prepare)
    assert "val/noisy/2.wav" in str(caught.value)
    assert "val/clean/2.wav" in str(caught.value)
    assert not pairs.out.exists()


def test_slightly_different_durations_are_accepted(pairs, prepare):
    pairs.write("val/noisy/2.wav", seconds=0.14)
    assert len(pairs.run(prepare)[1]) == 2


def test_a_pair_with_an_unreadable_file_is_skipped(pairs, prepare, caplog):
    (pairs.root / "train/noisy/1.wav").write_bytes(b"broken")
    train, _, _ = pairs.run(prepare)
    assert pairs.wavs(train) == ["train/clean/2.wav"]
    assert "train/noisy/1.wav: skipped" in caplog.text


def test_an_invalid_data_folder_is_rejected(corpus, prepare):
    corpus.write("speech/1.wav")
    with pytest.raises(UserError, match="train/noisy, .*found speech/"):
        corpus.run(prepare)
    corpus.write("train/clean/1.wav")
    with pytest.raises(UserError, match="noisy and clean, found clean/"):
        corpus.run(prepare)
    with pytest.raises(UserError, match="no such folder"):
        prepare(corpus.root / "absent", *corpus.csvs)
    prepare(corpus.root / "absent", *corpus.csvs, skip_prep=True)
