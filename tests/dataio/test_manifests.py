"""Tests of manifests: atomic writing, order of rows, SpeechBrain's format.

Authors
 * The miipher2 authors 2026
"""

import os

import pytest
from speechbrain.dataio.dataset import DynamicItemDataset

from miipher2.dataio.manifests import read_manifest, write_manifest
from miipher2.errors import UserError


def row(name, **changes):
    return {
        "ID": name,
        "duration": 1.5,
        "wav": f"$data_root/{name}.wav",
        "spk_id": "anna",
        **changes,
    }


def test_speechbrain_reads_written_manifests(tmp_path):
    path, root = tmp_path / "new/train.csv", tmp_path / "a\\1 b"
    names = ["話者 1-ü", 'comma, "quote"', "plain"]
    rows = [row(n, noisy_wav=f"$data_root/noisy/{n}.wav") for n in names]
    write_manifest(path, rows)
    ours = read_manifest(path, root)
    theirs = DynamicItemDataset.from_csv(path, {"data_root": str(root)}).data
    assert {r.pop("ID"): r for r in ours} == theirs
    assert theirs["話者 1-ü"]["noisy_wav"] == f"{root}/noisy/話者 1-ü.wav"
    assert theirs["plain"]["duration"] == 1.5


def test_rows_are_sorted(tmp_path):
    path = tmp_path / "a.csv"
    write_manifest(path, [row("b"), row("a", duration=1 / 3)])
    assert path.read_text() == (
        "ID,duration,wav,spk_id\n"
        "a,0.333333,$data_root/a.wav,anna\n"
        "b,1.500000,$data_root/b.wav,anna\n"
    )


@pytest.mark.parametrize("function", ["fsync", "replace"])
def test_interrupted_write_keeps_the_old_file(tmp_path, monkeypatch, function):
    path = tmp_path / "a.csv"
    write_manifest(path, [row("old")])

    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, function, interrupt)
    with pytest.raises(KeyboardInterrupt):
        write_manifest(path, [row("new")])
    assert [r["ID"] for r in read_manifest(path, "")] == ["old"]
    assert os.listdir(tmp_path) == ["a.csv"]


def test_speechbrain_manifests_are_read(tmp_path):
    path = tmp_path / "noise.csv"
    path.write_text(
        "\ufeffID, duration, wav, wav_format, wav_opts\n"
        "noise1, 33.1, $noise_folder/noise1.wav, wav,\n"
        "noise2, 5.0, noise/cost $5/2.wav, wav, start:0\n\n"
    )
    rows = read_manifest(path, "/data")
    assert [r["wav"] for r in rows] == [
        "/data/noise1.wav",
        "noise/cost $5/2.wav",
    ]


@pytest.mark.parametrize(
    "text, message",
    [
        ("ID,duration,path\na,1,a\n", "found ID,duration,path; wav missing"),
        ("", "found none"),
        ("ID,duration,wav\n", "at least one row"),
        ("ID,duration,wav\na,1,a\nb,long,b\n", "line 3: .*found 'long'"),
        ("ID,duration,wav\na,-1,a\n", "line 2: .*found '-1'"),
        ("ID,duration,wav\na,nan,a\n", "line 2: .*found 'nan'"),
        ("ID,duration,wav\na\n", "line 2: .*found None"),
        ("ID,duration,wav\na,1,\n", "line 2: wav is empty"),
        ("ID,duration,wav,noisy_wav\na,1,a,\n", "line 2: noisy_wav is empty"),
        ("ID,duration,wav\na,1,a\na,1,b\n", "line 3: .*'a' is already used in"),
        (b"ID,duration,wav\na\xff,1,a\n", "UTF-8"),
    ],
)
def test_invalid_manifests_raise(tmp_path, text, message):
    path = tmp_path / "bad.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(UserError, match=message) as caught:
        read_manifest(path, "/data")
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_missing_manifest_and_missing_column_raise(tmp_path):
    with pytest.raises(UserError, match="absent.csv: .*No such file"):
        read_manifest(tmp_path / "absent.csv", "")
    write_manifest(tmp_path / "a.csv", [row("a")])
    with pytest.raises(UserError, match="noisy_wav missing"):
        read_manifest(tmp_path / "a.csv", "", ("ID", "wav", "noisy_wav"))
