"""Tests of data preparation for VCTK.

Authors
 * The miipher2 authors 2026
"""

import pytest

from miipher2.errors import UserError

SPEAKERS = [f"p{number}" for number in range(225, 255)] + ["s5"]


@pytest.fixture(scope="module")
def prepare(recipe):
    return recipe("VCTK/vctk_prepare.py").prepare_vctk


@pytest.fixture
def vctk(corpus):
    """Create a corpus with the layout of version 0.92; p280 has no mic2."""
    root = "wav48_silence_trimmed"
    for speaker in SPEAKERS:
        for mic in ("mic1", "mic2"):
            corpus.write(f"{root}/{speaker}/{speaker}_001_{mic}.flac")
    corpus.write(f"{root}/p280/p280_001_mic1.flac")
    (corpus.root / root / "log.txt").write_text("p225 ...")
    (corpus.root / "speaker-info.txt").write_text("ID AGE GENDER ...")
    return corpus


@pytest.mark.parametrize("mic", ["mic1", "mic2"])
def test_the_other_microphone_is_used_only_if_a_recording_is_missing(
    vctk, prepare, mic
):
    splits = vctk.run(prepare, mic=mic)
    wavs = {w.rsplit("/", 1)[1] for rows in splits for w in vctk.wavs(rows)}
    assert wavs == {
        *(f"{speaker}_001_{mic}.flac" for speaker in SPEAKERS),
        "p280_001_mic1.flac",
    }


def test_speakers_are_held_out(vctk, prepare):
    train, valid, test = (vctk.speakers(rows) for rows in vctk.run(prepare))
    # The splits depend on the names only and must not change between versions.
    assert valid == {"p238", "p249"}
    assert test == {"p225", "p230", "p251"}
    assert train == {*SPEAKERS, "p280"} - valid - test


@pytest.mark.parametrize("parent", ["", "VCTK-Corpus/"])
def test_the_layout_of_earlier_versions_is_read(corpus, prepare, parent):
    wavs = [f"{parent}wav48/{s}/{s}_001.wav" for s in SPEAKERS[:5]]
    corpus.write(*wavs, f"{parent}wav48/p225/p225_002.wav", rate=48000)
    rows = sum(corpus.run(prepare), [])
    assert len(rows) == 6
    assert corpus.speakers(rows) == set(SPEAKERS[:5])


def test_an_invalid_data_folder_or_microphone_is_rejected(corpus, prepare):
    (corpus.root / "wav16").mkdir()
    with pytest.raises(UserError, match="wav48_silence_trimmed/p225.*wav16/"):
        corpus.run(prepare)
    with pytest.raises(
        UserError, match="mic: expected one of mic1, mic2; found mic3"
    ):
        corpus.run(prepare, mic="mic3")
    with pytest.raises(UserError, match="no such folder"):
        prepare(corpus.root / "absent", *corpus.csvs)
    prepare(corpus.root / "absent", *corpus.csvs, skip_prep=True)
