"""Tests of ``miipher2 degrade`` and ``miipher2 rooms``.

Authors
 * The miipher2 authors 2026
"""

import csv
import importlib.util
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile
from tiny_audio import RATE, speech_like

from miipher2.cli import main
from miipher2.dataio.manifests import read_manifest

FAST = ["--only", "clipping"]


@pytest.fixture
def clean(tmp_path):
    """Return a folder of two speakers with mixed formats and sample rates."""
    folder = tmp_path / "clean"
    for name, rate in (
        ("anna/1.wav", 16000),
        ("anna/2.flac", 48000),
        ("bob/1.wav", 8000),
    ):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        wave = speech_like(len(name), seconds=1.0, rate=rate)
        soundfile.write(folder / name, wave, rate)
    return folder


def rows_of(manifest):
    with open(manifest, newline="") as file:
        return list(csv.DictReader(file))


def test_output_folder_has_the_tree_of_the_input(clean, tmp_path):
    noisy = tmp_path / "noisy"
    assert main(["degrade", str(clean), str(noisy), *FAST]) == 0
    rows = rows_of(noisy / "manifest.csv")
    assert [row["ID"] for row in rows] == [
        "anna/1.wav",
        "anna/2.flac",
        "bob/1.wav",
    ]
    assert read_manifest(noisy / "manifest.csv", noisy)[1]["duration"] == 1.0
    for row in rows:
        wave, rate = soundfile.read(
            row["wav"].replace("$data_root", str(noisy))
        )
        assert (rate, len(wave)) == (RATE, RATE)
        steps = json.loads(row["metadata"])["steps"]
        assert [step["name"] for step in steps] == ["clipping"]
    assert not list(noisy.rglob("*.partial"))
    assert soundfile.info(noisy / "anna/2.flac").subtype == "PCM_16"


def test_degradation_depends_on_the_seed_but_not_on_other_files(
    clean, tmp_path
):
    def run(name, *more):
        main(["degrade", str(clean), str(tmp_path / name), *more])
        return (tmp_path / name / "bob" / "1.wav").read_bytes()

    first = run("a", "--seed", "3")
    (clean / "anna" / "1.wav").unlink()  # must not affect other files
    assert run("b", "--seed", "3") == first
    assert run("c", "--seed", "4") != first


@pytest.mark.parametrize("splits", [("train", "val"), (".",)])
def test_paired_recipe_reads_the_pairs(clean, tmp_path, splits):
    data = tmp_path / "data"
    for split in splits:
        target = str(data / split)
        assert main(["degrade", str(clean), target, "--pairs", *FAST]) == 0
    script = Path(__file__).parents[2] / "recipes/Paired/paired_prepare.py"
    spec = importlib.util.spec_from_file_location("paired_prepare", script)
    paired = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(paired)
    csvs = [tmp_path / f"{split}.csv" for split in ("train", "valid", "test")]
    paired.prepare_paired(data, *csvs)
    manifests = [read_manifest(path, data) for path in csvs]
    rows = manifests[0]
    sizes = (3, 3, 3) if len(splits) == 2 else (1, 1, 1)
    assert tuple(map(len, manifests)) == sizes
    assert {row["spk_id"] for row in rows} <= {"anna", "bob"}
    for row in rows:
        pair = [soundfile.read(row[key]) for key in ("wav", "noisy_wav")]
        assert [rate for _, rate in pair] == [RATE, RATE]
        assert len(pair[0][0]) == len(pair[1][0])
        assert not np.array_equal(pair[0][0], pair[1][0])
    # The manifest that the command writes can be read too.
    folder = data / splits[0]
    rows = read_manifest(folder / "manifest.csv", folder)
    assert soundfile.info(rows[0]["noisy_wav"]).samplerate == RATE


def test_single_file_prints_its_metadata(clean, tmp_path, capsys):
    source, output = clean / "anna/1.wav", tmp_path / "out.flac"
    assert main(["degrade", str(source), str(output), *FAST]) == 0
    assert soundfile.info(output).samplerate == RATE
    assert '"name": "clipping"' in capsys.readouterr().out


def test_corpora_are_read_from_folders_and_manifests(clean, corpora, tmp_path):
    noise = tmp_path / "noise"
    noise.mkdir()
    shutil.copy(f"{corpora['noise_root']}/short.flac", noise / "short.flac")
    options = ["--noise", str(noise), "--rirs", corpora["rir_csv"]]
    for only, key, value in (
        ("noise", "noise", "short.flac"),
        ("reverb", "rir", "rt"),
    ):
        out = tmp_path / only
        main(["degrade", str(clean), str(out), *options, "--only", only])
        for row in rows_of(out / "manifest.csv"):
            drawn = json.loads(row["metadata"])["steps"][0]
            assert drawn[key].startswith(value)


def test_files_with_the_same_stem_do_not_collide(tmp_path):
    clean = tmp_path / "clean"
    clean.mkdir()
    for name in ("a.wav", "a.flac"):
        soundfile.write(clean / name, speech_like(0, 0.5), RATE)
    main(["degrade", str(clean), str(tmp_path / "out"), *FAST])
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == [
        "a.flac.flac",
        "a.wav.wav",
        "manifest.csv",
    ]


def test_nothing_is_overwritten(clean, tmp_path, capsys):
    def refused(*arguments):
        with pytest.raises(SystemExit) as end:
            main(["degrade", *map(str, arguments), *FAST])
        assert end.value.code == 2
        return capsys.readouterr().err

    single = clean / "anna/1.wav", tmp_path / "out.wav"
    folder = clean, tmp_path / "out"
    pairs = clean, tmp_path / "pairs", "--pairs"
    for arguments in (single, folder, pairs):
        assert main(["degrade", *map(str, arguments), *FAST]) == 0
    files = {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()}
    assert "out.wav: would be overwritten; remove" in refused(*single)
    assert "1.wav: would be overwritten (and 3 other files)" in refused(*folder)
    assert "1.wav: would be overwritten (and 6 other files)" in refused(*pairs)
    after = {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()}
    assert after == files


def test_steps_without_a_corpus_are_printed(clean, tmp_path, capsys):
    out = tmp_path / "out"
    main(["degrade", str(clean), str(out), "--speech", str(clean)])
    printed = capsys.readouterr().out
    assert "degrading 3 recordings with: babble, coloured" in printed
    assert (
        "left out: reverb (needs --rirs), noise (needs --noise), music (needs "
        "--music)\n"
    ) in printed


def test_files_without_samples_are_reported(clean, tmp_path, capsys):
    soundfile.write(clean / "empty.wav", np.zeros(0), RATE)
    assert main(["degrade", str(clean), str(tmp_path / "out"), *FAST]) == 1
    assert "empty.wav: contains no samples" in capsys.readouterr().err


def test_unreadable_files_are_counted(clean, tmp_path, capsys):
    (clean / "anna" / "0.wav").write_bytes(b"not audio")
    assert main(["degrade", str(clean), str(tmp_path / "out"), *FAST]) == 1
    captured = capsys.readouterr()
    assert "anna/0.wav" in captured.err
    assert "3 written, 1 failed" in captured.out
    assert len(rows_of(tmp_path / "out" / "manifest.csv")) == 3


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["{clean}", "{clean}"], "would overwrite"),
        (["{clean}/none", "{out}"], "no such file"),
        (["/dev/null", "{out}"], "found a device"),
        (["{clean}", "{out}", "--only", "babble"], "give --speech FOLDER"),
        (
            ["{clean}", "{out}", "--noise", "/nope"],
            "no such file or folder: /nope",
        ),
        (
            ["{clean}", "{out}", "--noise", "{clean}/bob/1.wav"],
            "found a recording",
        ),
        (["{clean}/anna/1.wav", "{out}"], "ends in .wav or .flac"),
        (["{empty}", "{out}"], "no recordings"),
        (["{clean}", "{out}", "--only", "noise"], "no manifest"),
        (["{clean}", "{out}", "--only", "fog"], "'fog'"),
        (["{clean}", "{out}", "--noise", "{empty}"], "no usable recordings"),
        (["{clean}", "{out}", "--noise", "{clean}/n.csv"], "n.csv"),
        (["{clean}", "{out}", "--noise", "{empty_csv}"], "empty.csv"),
        (["{clean}", "{out}", "--degrade", "{clean}/n.yaml"], "n.yaml"),
        (["{clean}", "{out}", "--degrade", "{bad}"], "no 'chain' key"),
        (["{clean}", "{out}", "--degrade", "{empty_csv}"], "empty.csv"),
    ],
)
def test_errors_are_one_line(clean, tmp_path, capsys, arguments, message):
    paths = {
        "clean": clean,
        "out": tmp_path / "out",
        "empty": tmp_path / "empty",
        "empty_csv": tmp_path / "empty.csv",
        "bad": tmp_path / "bad.yaml",
    }
    paths["empty"].mkdir()
    paths["empty_csv"].write_text("ID,duration,wav\n")
    paths["bad"].write_text("a: 1\n")
    with pytest.raises(SystemExit) as end:
        main(["degrade", *(text.format(**paths) for text in arguments)])
    assert end.value.code == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ") and error.count("\n") == 1
    assert message in error


def test_simulated_rooms_can_be_used_by_degrade(tmp_path, clean):
    pytest.importorskip("pyroomacoustics")
    rooms = tmp_path / "rooms"
    main(["rooms", str(rooms), "--count", "2", "--seed", "1"])
    rows = rows_of(rooms / "rooms.csv")
    assert [row["ID"] for row in rows] == ["room_00000", "room_00001"]
    for row in rows:
        target, measured = (
            float(row[f"rt60_{kind}_s"]) for kind in ("target", "measured")
        )
        assert measured == pytest.approx(target, rel=0.15)
        assert len(row["room_m"].split("x")) == 3
    out = tmp_path / "wet"
    options = ["--rirs", str(rooms / "rooms.csv"), "--only", "reverb"]
    assert main(["degrade", str(clean), str(out), *options]) == 0
