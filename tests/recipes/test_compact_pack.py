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


def test_what_is_in_it(pack, data, tmp_path, capsys):
    (piece,) = pack()
    assert "left out: noise, GPL-2+: 0.00 h" in capsys.readouterr().out
    found = files_in(piece)
    assert set(found) - CSVS == {
        "speech/train/anna/1.ogg",
        "speech24/x/train/bo/1.ogg",
        "speech24/x/valid/cy/1.ogg",
        "noise/x/train/hiss.ogg",
        "noise/x/valid/rain.ogg",
        "rir/x/train/room.flac",
        "rir/x/valid/hall.flac",
    }
    for name, content in found.items():
        if (data / name).exists():
            assert content == (data / name).read_bytes()
        elif name not in CSVS:
            made = soundfile.info(io.BytesIO(content))
            assert (made.subtype, made.samplerate) == ("OPUS", 16000)
            assert (made.channels, made.frames) == (1, 16000)
    with tarfile.open(piece) as tar:
        tar.extractall(tmp_path / "there", filter="data")
    rows = read_manifest(tmp_path / "there/train.csv", tmp_path / "there")
    assert [(row["ID"], row["spk_id"]) for row in rows] == [
        ("speech-train-anna-1", "anna"),
        ("speech-train-anna-1-again1", "anna"),
        ("speech24-x-train-bo-1", "bo"),
        ("speech24-x-train-bo-1-again1", "bo"),
    ]
    assert all(soundfile.info(row["wav"]).duration == 1 for row in rows)
    assert found["valid.csv"] == found["test.csv"]


def test_many_voices_and_lasting_noise_come_more_often(recipe):
    times = recipe("Compact/pack.py").times
    spoken = [("a", 2.0), ("a", 14.0), ("b", 80.0), ("b", 9.0), ("b", 1.1)]
    rows = [
        {"path": "x.ogg", "speaker": who, "seconds": str(seconds)}
        for who, seconds in spoken
    ]
    assert times(("speech", "train"), rows) == [2, 10, 27, 3, 1]
    assert times(("speech", "valid"), rows) == [1] * 5
    heard = [("x/rain", 8.0), ("x/knock", 7.9), ("x/music_a", 20.0)]
    rows = [
        {"path": f"{path}.ogg", "speaker": "", "seconds": str(seconds)}
        for path, seconds in heard
    ]
    assert times(("noise", "train"), rows) == [3, 1, 1]
    assert times(("rir", "train"), rows) == [1] * 3


def test_the_same_bytes_again(pack):
    (first,), (second,) = pack(), pack(out="again")
    assert first.read_bytes() == second.read_bytes()


def test_pieces(pack, tmp_path):
    (tmp_path / "pack").mkdir()
    stale = tmp_path / "pack/piece_9.tar"
    stale.touch()
    whole = files_in(pack(out="whole")[0])
    pieces = pack("--piece-megabytes", "0.04")
    assert len(pieces) > 1 and stale not in pieces
    assert all(piece.stat().st_size <= 40000 for piece in pieces)
    names = [name for piece in pieces for name in set(files_in(piece)) - CSVS]
    assert len(names) == len(set(names)) == len(whole) - len(CSVS)
    for piece in pieces:
        assert files_in(piece).items() <= whole.items()
        assert set(files_in(piece)) >= CSVS


def test_licences(pack):
    (piece,) = pack("--licences", "CC0*", "GPL-2+*")
    assert "speech/train/anna/1.ogg" not in files_in(piece)
    assert "noise/x/train/saw.ogg" in files_in(piece)


@pytest.mark.parametrize(
    "options, message",
    [
        (["--licences", "CC BY*"], "no speech for valid with a licence"),
        (["--piece-megabytes", "0.01"], "does not fit into a piece"),
    ],
)
def test_what_cannot_be_packed(pack, capsys, options, message):
    with pytest.raises(SystemExit):
        pack(*options)
    error = capsys.readouterr().err.splitlines()[-1]
    assert error.startswith("error: ") and message in error


def test_files_that_are_not_there(pack, data, capsys):
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


def test_a_stream_number_changes_no_sound(recipe):
    script = recipe("Compact/pack.py")
    samples = 0.1 * numpy.random.default_rng(0).standard_normal(48000)
    ogg = io.BytesIO()
    soundfile.write(ogg, samples, 16000, format="OGG", subtype="OPUS")
    other = script.with_serial(ogg.getvalue(), 7)
    assert other != ogg.getvalue()
    assert other == script.with_serial(other, 7)
    heard = [
        soundfile.read(io.BytesIO(content))[0]
        for content in (ogg.getvalue(), other)
    ]
    assert numpy.array_equal(*heard)
