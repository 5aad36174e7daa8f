"""Tests of ``whisper24_prepare.py``, which writes manifests with bandwidths.

Authors
 * The miipher2 authors 2026
"""

import csv

import numpy as np
import pytest
import soundfile

from miipher2.dataio.manifests import read_manifest

HEAD = ("path", "seconds", "sample_rate", "speaker", "split", "licence")


@pytest.fixture
def data(tmp_path):
    """Write noise bursts as speech, noise and room impulse responses."""
    rng = np.random.default_rng(0)
    rows = []
    for kind in ("speech24", "noise", "noise/music_", "rir"):
        for split in ("train", "valid"):
            for licence in ("CC0 1.0", "GPL-2"):
                folder, _, prefix = kind.partition("/")
                path = f"{folder}/{split}/{prefix}{licence[:2]}.wav"
                (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
                time = np.arange(4 * 24000) / 24000
                wav = 0.1 * rng.standard_normal(len(time)) * (time % 0.4 < 0.2)
                soundfile.write(tmp_path / path, wav, 24000)
                row = path, "4.0", "24000", "anna", split, licence
                rows.append(dict(zip(HEAD, row, strict=True)))
    with open(tmp_path / "manifest.csv", "w", newline="") as file:
        writer = csv.DictWriter(file, HEAD)
        writer.writeheader()
        writer.writerows(rows)
    return tmp_path


def test_speech_has_a_bandwidth_and_gpl_files_are_excluded(
    recipe, data, tmp_path, capsys
):
    recipe("Whisper24/whisper24_prepare.py").main(
        [str(data), str(tmp_path / "out")]
    )
    names = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert names == sorted(
        f"{name}.csv"
        for name in (
            *("train", "valid", "test", "noise", "music", "noise_valid"),
            *("rir", "rir_valid"),
        )
    )
    rows = read_manifest(tmp_path / "out/train.csv", data)
    assert {row["bandwidth"] for row in rows} == {12000.0}
    assert {row["wav"] for row in rows} == {str(data / "speech24/train/CC.wav")}
    # speech of a speaker with less than 90 s is listed twice
    assert len(rows) == 2
    noise = read_manifest(tmp_path / "out/noise.csv", data)
    assert "bandwidth" not in noise[0]
    music = read_manifest(tmp_path / "out/music.csv", data)
    assert music == [row for row in noise if "music_" in row["wav"]]
    assert len(music) == 1
    assert "excluded: speech, GPL-2" in capsys.readouterr().out
