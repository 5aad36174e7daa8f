"""Tests of the evaluation of damaged, silent and missing recordings.

Authors
 * The miipher2 authors 2026
"""

import csv
import os

import numpy
import pytest
import soundfile
from toy_metrics import RATE, speech, write

from miipher2.cli import main


@pytest.fixture
def bad(tmp_path):
    """Write all sides of some files, most of them faulty; return the folder."""
    for name in (
        "good 48000 long short silent silent_input nan one_sample corrupt "
        "no_input no_clean missing empty bad_input bad_clean"
    ).split():
        wav = speech(3, seconds=1.2)
        for side in ("input", "restored", "clean"):
            write(tmp_path / side / f"{name}.wav", wav)
    restored, source = tmp_path / "restored", tmp_path / "input"
    write(restored / "48000.wav", speech(3, seconds=3.6), 48000)
    write(restored / "long.wav", speech(3, seconds=2.0))
    write(restored / "short.wav", speech(3, seconds=0.3))
    write(restored / "silent.wav", numpy.zeros(RATE))
    write(source / "silent_input.wav", numpy.zeros(RATE))
    wav = numpy.full(RATE, numpy.nan)
    soundfile.write(restored / "nan.wav", wav, RATE, subtype="FLOAT")
    write(restored / "one_sample.wav", numpy.full(1, 0.5))
    (restored / "corrupt.wav").write_bytes(b"RIFF" + bytes(range(99)))
    (source / "no_input.wav").unlink()
    (tmp_path / "clean/no_clean.wav").unlink()
    (restored / "missing.wav").unlink()
    for side in ("input", "restored", "clean"):
        write(tmp_path / side / "empty.wav", numpy.zeros(0))
    (source / "bad_input.wav").write_text("not audio")
    (tmp_path / "clean/bad_clean.wav").write_text("not audio")
    return tmp_path


EXPECTED = {
    "good": ("done", ""),
    "48000": ("done", ""),
    "long": ("done", "restored is 0.80 s longer than clean"),
    "short": ("done", "restored is 0.90 s shorter than clean"),
    "silent": ("failed", "restored is silent"),
    "silent_input": ("done", "input is silent"),
    "nan": ("failed", "samples that are NaN"),
    "one_sample": ("failed", "restored is silent"),
    "corrupt": ("failed", "cannot be read as audio"),
    "no_input": ("done", "no input"),
    "no_clean": ("done", "no clean"),
    "missing": ("missing", "no restored"),
    "empty": ("silent", "restored is empty"),
    "bad_input": ("done", "bad_input.wav: cannot be read as audio"),
    "bad_clean": ("done", "bad_clean.wav: cannot be read as audio"),
}


def evaluate(folder, *options):
    sides = {"restored": "restored", "input": "input", "reference": "clean"}
    folders = [f"--{name}={folder / side}" for name, side in sides.items()]
    output = f"--output={folder / 'report'}"
    code = main(["evaluate", *folders, output, "--workers=1", *options])
    with open(folder / "report/files.csv", newline="") as file:
        return code, {row["file"][:-4]: row for row in csv.DictReader(file)}


def check(rows):
    assert set(rows) == set(EXPECTED)
    for name, (status, note) in EXPECTED.items():
        row = rows[name]
        assert row["status"] == status, row
        assert note in row["notes"], row
        assert bool(row["seconds"]) == (status == "done"), row
        if not note:
            assert row["notes"] == "", row


def test_each_file_has_a_row_with_its_status_and_notes(bad, capsys):
    code, rows = evaluate(bad, "--metrics=lsd,sisdr,mcd")
    assert code == 1
    check(rows)
    assert float(rows["good"]["restored_lsd"]) == 0
    assert rows["no_clean"]["restored_lsd"] == ""
    assert rows["bad_input"]["restored_lsd"] == "0.0000"
    printed = capsys.readouterr()
    assert "9 scored, 4 failed, 1 missing, 1 silent" in printed.out
    assert "failed: corrupt.wav: restored: " in printed.err
    assert "Traceback" not in printed.err + printed.out


def test_a_file_that_is_silent_on_all_sides_has_not_failed(tmp_path):
    for side in ("input", "restored", "clean"):
        write(tmp_path / side / "a.wav", numpy.zeros(RATE))
    code, rows = evaluate(tmp_path, "--metrics=lsd")
    assert code == 0 and rows["a"]["status"] == "silent"


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
def test_invalid_options_exit_with_code_2_and_a_message(bad, capsys):
    for options, message in (
        (
            ["--metrics=lsd,loudness"],
            "'loudness': expected one or more of dnsmos",
        ),
        (["--workers=0"], "'0': expected 1 or more"),
        (["--shard-index=2"], "--shard-index 2: expected 0 to 0"),
        (["--conditions=no.csv"], "no.csv: cannot be read"),
        (["--reference=/dev/full"], "expected a folder"),
    ):
        with pytest.raises(SystemExit) as error:
            evaluate(bad, *options)
        assert error.value.code == 2
        printed = capsys.readouterr().err
        assert message in printed.splitlines()[-1]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_bad_input_has_the_same_status_and_notes_with_all_metrics(bad):
    _, rows = evaluate(bad)
    for name, (status, note) in EXPECTED.items():
        assert rows[name]["status"] == status
        assert note in rows[name]["notes"]
        assert "Traceback" not in rows[name]["notes"]
