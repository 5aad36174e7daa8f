"""Tests of data packs, ``recipes/Compact/pack.py``.

Authors
 * The miipher2 authors 2026
"""

import csv
import io
import tarfile

import numpy
import pytest
import soundfile

from miipher2.dataio.manifests import read_manifest

CSVS = ["train", "valid", "test", "noise", "noise_valid", "rir", "rir_valid"]
CSVS = {f"{name}.csv" for name in CSVS}
FILES = [
    # path, rate, channels, licence
    ("speech/train/anna/1.flac", 16000, 1, "CC BY 4.0"),
    ("speech24/x/train/bo/1.flac", 24000, 2, "CC0 1.0"),
    ("speech24/x/valid/cy/1.ogg", 24000, 1, "CC0 1.0"),
    ("noise/x/train/hiss.flac", 16000, 1, "CC0 1.0"),
    ("noise/x/train/saw.flac", 16000, 1, "GPL-2+"),
    ("noise/x/valid/rain.ogg", 16000, 1, "GPL-2+ or CC BY-SA 2.0"),
    ("rir/x/train/room.flac", 16000, 1, "CC0 1.0"),
    ("rir/x/valid/hall.flac", 16000, 1, "CC0 1.0"),
    ("paired/train/noisy/1.wav", 16000, 1, "CC BY 4.0"),
]


@pytest.fixture
def data(tmp_path):
    rng = numpy.random.default_rng(0)
    folder = tmp_path / "data"
    rows = []
    for path, rate, channels, licence in FILES:
        file = folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        samples = 0.1 * rng.standard_normal((rate, channels))
        opus = {"subtype": "OPUS"} if file.suffix == ".ogg" else {}
        soundfile.write(file, samples, rate, **opus)
        split = "train" if "train" in path else "valid"
        speaker = file.parent.name if "speech" in path else ""
        rows.append([path, "1.000", speaker, split, licence])
    with open(folder / "manifest.csv", "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["path", "seconds", "speaker", "split", "licence"])
        writer.writerows(rows)
    return folder


@pytest.fixture
def pack(recipe, data, tmp_path):
    script = recipe("Compact/pack.py")

    def run(*options, out="pack"):
        script.main([str(data), str(tmp_path / out), *options])
        return sorted((tmp_path / out).iterdir())

    return run


def files_in(piece):
    with tarfile.open(piece) as tar:
        return {m.name: tar.extractfile(m).read() for m in tar}


def test_an_archive_contains_permitted_files_and_manifests(
    pack, data, tmp_path, capsys
):
    (piece,) = pack()
    assert "excluded: noise, GPL-2+: " in capsys.readouterr().out
    files = files_in(piece)
    assert set(files) - CSVS == {
        "speech/train/anna/1.ogg",
        "speech24/x/train/bo/1.ogg",
        "speech24/x/valid/cy/1.ogg",
        "noise/x/train/hiss.ogg",
        "noise/x/valid/rain.ogg",
        "rir/x/train/room.flac",
        "rir/x/valid/hall.flac",
    }
    for name, content in files.items():
        if (data / name).exists():
            assert content == (data / name).read_bytes()
        elif name not in CSVS:
            info = soundfile.info(io.BytesIO(content))
            assert (info.subtype, info.samplerate) == ("OPUS", 16000)
            assert (info.channels, info.frames) == (1, 16000)
    with tarfile.open(piece) as tar:
        tar.extractall(tmp_path / "unpacked", filter="data")
    unpacked = tmp_path / "unpacked"
    rows = read_manifest(unpacked / "train.csv", unpacked)
    assert [(row["ID"], row["spk_id"]) for row in rows] == [
        ("speech-train-anna-1", "anna"),
        ("speech-train-anna-1-again1", "anna"),
        ("speech24-x-train-bo-1", "bo"),
        ("speech24-x-train-bo-1-again1", "bo"),
    ]
    assert all(soundfile.info(row["wav"]).duration == 1 for row in rows)
    assert files["valid.csv"] == files["test.csv"]


def test_long_noise_and_speakers_with_little_speech_are_repeated(recipe):
    repetitions = recipe("Compact/pack.py").repetitions
    speech = [("a", 2.0), ("a", 14.0), ("b", 80.0), ("b", 9.0), ("b", 1.1)]
    rows = [
        {"path": "x.ogg", "speaker": speaker, "seconds": str(seconds)}
        for speaker, seconds in speech
    ]
    assert repetitions(("speech", "train"), rows) == [2, 10, 27, 3, 1]
    assert repetitions(("speech", "valid"), rows) == [1] * 5
    noise = [("x/rain", 8.0), ("x/knock", 7.9), ("x/music_a", 20.0)]
    rows = [
        {"path": f"{path}.ogg", "speaker": "", "seconds": str(seconds)}
        for path, seconds in noise
    ]
    assert repetitions(("noise", "train"), rows) == [3, 1, 1]
    assert repetitions(("rir", "train"), rows) == [1] * 3


def test_the_same_data_gives_the_same_bytes(pack):
    (first,), (second,) = pack(), pack(out="second")
    assert first.read_bytes() == second.read_bytes()


def test_the_size_of_an_archive_is_limited(pack, tmp_path):
    (tmp_path / "pack").mkdir()
    stale = tmp_path / "pack/piece_9.tar"
    stale.touch()
    all_files = files_in(pack(out="one")[0])
    pieces = pack("--piece-megabytes", "0.04")
    assert len(pieces) > 1 and stale not in pieces
    assert all(piece.stat().st_size <= 40000 for piece in pieces)
    names = [name for piece in pieces for name in set(files_in(piece)) - CSVS]
    assert len(names) == len(set(names)) == len(all_files) - len(CSVS)
    for piece in pieces:
        assert files_in(piece).items() <= all_files.items()
        assert set(files_in(piece)) >= CSVS


def test_only_files_with_a_permitted_licence_are_packed(pack):
    (piece,) = pack("--licences", "CC0*", "GPL-2+*")
    assert "speech/train/anna/1.ogg" not in files_in(piece)
    assert "noise/x/train/saw.ogg" in files_in(piece)


@pytest.mark.parametrize(
    "options, message",
    [
        (
            ["--licences", "CC BY*"],
            "no speech for valid with a permitted licence",
        ),
        (["--piece-megabytes", "0.01"], "does not fit into an archive"),
    ],
)
def test_options_that_cannot_be_satisfied_are_rejected(
    pack, capsys, options, message
):
    with pytest.raises(SystemExit):
        pack(*options)
    error = capsys.readouterr().err.splitlines()[-1]
    assert error.startswith("error: ") and message in error


def test_missing_files_and_columns_are_named(pack, data, capsys):
    (data / "noise/x/train/hiss.flac").unlink()
    with pytest.raises(SystemExit):
        pack()
    assert "hiss.flac: No such file" in capsys.readouterr().err
    (data / "manifest.csv").write_text("path,seconds\n")
    with pytest.raises(SystemExit):
        pack()
    assert "speaker,split,licence missing" in capsys.readouterr().err
    (data / "manifest.csv").unlink()
    with pytest.raises(SystemExit):
        pack()
    assert (
        "manifest.csv: cannot be read: No such file" in capsys.readouterr().err
    )


def test_the_serial_number_does_not_change_the_audio(recipe):
    script = recipe("Compact/pack.py")
    samples = 0.1 * numpy.random.default_rng(0).standard_normal(48000)
    ogg = io.BytesIO()
    soundfile.write(ogg, samples, 16000, format="OGG", subtype="OPUS")
    other = script.with_serial(ogg.getvalue(), 7)
    assert other != ogg.getvalue()
    assert other == script.with_serial(other, 7)
    decoded = [
        soundfile.read(io.BytesIO(content))[0]
        for content in (ogg.getvalue(), other)
    ]
    assert numpy.array_equal(*decoded)
