"""Tests of data preparation for JVS.

Authors
 * The miipher2 authors 2026
"""

import pytest

from miipher2.errors import UserError

FILES = {
    "parallel100": "VOICEACTRESS100_001",
    "nonpara30": "BASIC5000_0025",
    "whisper10": "VOICEACTRESS100_001",
    "falset10": "VOICEACTRESS100_001",
}


@pytest.fixture(scope="module")
def prepare(recipe):
    return recipe("JVS/jvs_prepare.py").prepare_jvs


@pytest.fixture
def jvs(corpus):
    for number in range(1, 13):
        for style, name in FILES.items():
            folder = f"jvs_ver1/jvs{number:03d}/{style}"
            corpus.write(f"{folder}/wav24kHz16bit/{name}.wav", rate=24000)
            text = corpus.root / folder / "transcripts_utf8.txt"
            text.write_text(f"{name}:また", encoding="utf-8")
    (corpus.root / "jvs_ver1/gender_f0range.txt").write_text("speaker ...")
    return corpus


def test_speakers_are_held_out(jvs, prepare):
    splits = jvs.run(prepare)
    assert [len(rows) for rows in splits] == [18, 4, 2]
    # The splits depend on the names only and must not change between versions.
    assert jvs.speakers(splits[1]) == {"jvs003", "jvs011"}
    assert jvs.speakers(splits[2]) == {"jvs002"}
    styles = {w.split("/")[2] for rows in splits for w in jvs.wavs(rows)}
    assert styles == {"parallel100", "nonpara30"}


def test_styles_can_be_selected(jvs, prepare):
    rows = sum(jvs.run(prepare, styles=["whisper10", "falset10"]), [])
    styles = {wav.split("/")[2] for wav in jvs.wavs(rows)}
    assert styles == {"whisper10", "falset10"} and len(rows) == 24
    with pytest.raises(UserError, match="styles: .*found falsetto"):
        jvs.run(prepare, styles=["falsetto"])


def test_the_folder_jvs_ver1_is_accepted(jvs, prepare):
    jvs.root /= "jvs_ver1"
    assert jvs.wavs(jvs.run(prepare)[0])[0].startswith("jvs001/nonpara30/")


def test_an_invalid_data_folder_is_rejected(corpus, prepare):
    (corpus.root / "jsut").mkdir()
    with pytest.raises(UserError, match="jvs001/parallel100/.*found jsut/"):
        corpus.run(prepare)
    with pytest.raises(UserError, match="no such folder"):
        prepare(corpus.root / "absent", *corpus.csvs)
    prepare(corpus.root / "absent", *corpus.csvs, skip_prep=True)
