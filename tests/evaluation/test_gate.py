"""Tests of the gate, ``keep.csv`` and ``reject.csv``.

Authors
 * The miipher2 authors 2026
"""

import csv
import importlib.util
import re
import sys

import numpy
import pytest
from toy_metrics import speech, write

from miipher2.cli import main
from miipher2.dataio.manifests import read_manifest
from miipher2.evaluation.gate import THRESHOLDS, Gate
from miipher2.evaluation.keep_reject import write_keep_reject

ROW = {
    "file": "anna/1.wav",
    "seconds": 2.0,
    "restored_speaker": 0.9,
    "restored_per": 12.0,
    "input_ovrl": 2.0,
    "restored_ovrl": 3.0,
}


def table(path):
    with open(path, encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_default_gate_keeps_a_good_recording_and_names_every_threshold():
    gate = Gate.load()
    assert gate.reasons(ROW) == {}
    text = (gate.source).read_text("utf-8")
    assert [key for key in THRESHOLDS if f"\n{key}:" not in text] == []


@pytest.mark.parametrize(
    "threshold, value, reason",
    [
        ("min_speaker_similarity: 0.95", 0, "speaker similarity 0.90 < 0.95"),
        ("min_speaker_similarity: 0.9", 0, None),
        ("max_per: 10", 0, "phoneme error rate 12.0 % > 10 %"),
        ("max_per: 11.99", 0, "phoneme error rate 12.0 % > 11.99 %"),
        ("min_dnsmos: 3.5", 0, "DNSMOS 3.00 < 3.5"),
        ("min_dnsmos_gain: 1.5", 0, "DNSMOS gain 1.00 < 1.5"),
        ("min_seconds: 3", 0, "duration 2.0 s < 3 s"),
        ("max_seconds: 1", 0, "duration 2.0 s > 1 s"),
        ("max_cer: 5", 0, "no character error rate: silence; hiss"),
        ("min_dnsmos: 2.99996", 2.99995, "DNSMOS 2.99995 < 2.99996"),
    ],
)
def test_reasons_name_score_value_and_threshold(
    threshold, value, reason, tmp_path
):
    path = tmp_path / "gate.yaml"
    path.write_text(f"{threshold}\n")
    row = {**ROW, "notes": "silence; hiss"}
    if value:
        row["restored_ovrl"] = value
    expected = [] if reason is None else [reason]
    assert list(Gate.load(path).reasons(row).values()) == expected


def test_recordings_without_scores_are_rejected():
    gate = Gate({"min_speaker_similarity": 0.5, "max_per": 50})
    row = {**ROW, "restored_speaker": float("nan"), "notes": "too short"}
    assert list(gate.reasons(row).values()) == [
        "no speaker similarity: too short"
    ]
    assert list(
        gate.reasons({"file": "a.wav", "notes": "broken"}).values()
    ) == ["not scored: broken"]


@pytest.mark.parametrize(
    "text, message",
    [
        ("max_perr: 3", "max_perr: unknown key; expected one of min_"),
        (
            "min_speaker_similarity: 75",
            "expected a number from -1 to 1 or an empty value",
        ),
        (
            "max_per: high",
            "max_per: expected a number of at least 0 or an empty value",
        ),
        ("max_per: true", "max_per: expected a number"),
        ("max_per: .nan", "max_per: expected a number"),
        ("max_per:", "no threshold; expected at least one of min_"),
        ("", "gate.yaml: "),
        ("- 3", "gate.yaml: "),
        ("max_per: [", "not a valid YAML file"),
        (None, "cannot be read: No such file"),
    ],
)
def test_invalid_gates_are_rejected_with_one_line(
    text, message, tmp_path, capsys
):
    path = tmp_path / "gate.yaml"
    if text is not None:
        path.write_text(text)
    for command in (
        ["evaluate", "--restored", "r", "--output", "o", "--gate", str(path)],
        ["restore", "in", "out", "--evaluate", "--gate", str(path)],
    ):
        with pytest.raises(SystemExit) as exit_:
            main(command)
        error = capsys.readouterr().err
        assert exit_.value.code == 2 and error.count("\n") == 1
        assert str(path) in error and message in error


def test_gate_options_need_evaluate(capsys):
    for option in (["--gate", "g"], ["--fallback", "none"]):
        with pytest.raises(SystemExit):
            main(["restore", "in", "out", *option])
        assert f"{option[0]} needs --evaluate" in capsys.readouterr().err


def test_keep_csv_is_a_manifest_and_reject_csv_has_the_reasons(tmp_path):
    rows = [
        ROW,
        {**ROW, "file": "anna/1.flac"},
        {**ROW, "file": "b\udce9.wav"},
        {**ROW, "file": "bo/2.wav", "restored_per": 60.0},
        {"file": "bo/3.wav", "wav": "/in/3.wav", "notes": "broken"},
    ]
    line = write_keep_reject(tmp_path, rows, Gate({"max_per": 40}), "/data/out")
    assert line == (
        "kept 2 of 5 recordings; rejected by: name 1, phoneme error rate 1, "
        "not scored 1"
    )
    kept = read_manifest(tmp_path / "keep.csv", "/data/out")
    assert [row["ID"] for row in kept] == ["anna/1", "anna/1.flac"]
    assert kept[0] == {
        "ID": "anna/1",
        "duration": 2.0,
        "wav": "/data/out/anna/1.wav",
        "spk_id": "anna",
        "restored_per": "12.0000",
    }
    with open(tmp_path / "reject.csv", errors="surrogateescape") as file:
        rejected = list(csv.DictReader(file))
    assert [(row["wav"], row["reasons"]) for row in rejected] == [
        ("$data_root/b\udce9.wav", "its name is not valid UTF-8"),
        ("$data_root/bo/2.wav", "phoneme error rate 60.0 % > 40 %"),
        ("/in/3.wav", "not scored: broken"),
    ]


@pytest.fixture
def validation_set(tmp_path):
    """Write inputs and good and bad restored files; return the folder."""
    for index, name in enumerate(("better", "worse", "other", "silent")):
        clean, different = speech(index), speech(index + 9)
        hiss = 0.005 * numpy.random.default_rng(9).standard_normal(len(clean))
        restored = {
            "better": clean,
            "worse": clean + 2 * hiss,
            "other": different,
            "silent": 0 * clean,
        }[name]
        write(tmp_path / "input" / f"{name}.wav", clean + hiss)
        write(tmp_path / "restored" / f"{name}.wav", restored)
    return tmp_path


def test_only_the_better_recording_of_a_set_is_kept(
    validation_set, toy_gate_metrics, capsys
):
    gate = validation_set / "gate.yaml"
    gate.write_text(
        "min_speaker_similarity: 0.75\n"
        "min_dnsmos_gain: 0\n"
        "min_bandwidth: 6000\n"
    )
    command = [
        "evaluate",
        "--workers=1",
        "--gate",
        gate,
        "--output",
        validation_set / "report",
    ]
    for side in ("input", "restored"):
        command += [f"--{side}", validation_set / side]
    main(list(map(str, command)))
    assert "kept 1 of 4 recordings; rejected by: " in capsys.readouterr().out
    keep, reject = (
        table(validation_set / "report" / f"{name}.csv")
        for name in ("keep", "reject")
    )
    assert [row["ID"] for row in keep] == ["better"]
    assert float(keep[0]["restored_speaker"]) > 0.75
    assert float(keep[0]["restored_bandwidth"]) == 8000
    reasons = {row["ID"]: row["reasons"] for row in reject}
    assert reasons["other"].startswith("speaker similarity ")
    assert "DNSMOS gain -" in reasons["worse"]
    assert reasons["silent"].startswith("not scored: ")


def test_missing_packages_and_options_exit_with_one_line(
    validation_set, monkeypatch, capsys
):
    for name in ("hama", "resemblyzer"):
        monkeypatch.setitem(sys.modules, name, None)
    gate = validation_set / "gate.yaml"
    folders = [f"--restored={validation_set / 'restored'}", "--output=o"]
    dnsmos = importlib.util.find_spec("speechmos")
    missing = "needs --input" if dnsmos else "No module named 'speechmos'"
    for text, options, message in (
        (
            "max_per: 5",
            ["--input"],
            "max_per: PER %: left out: .*install .*hama",
        ),
        ("max_cer: 5", ["--input"], "max_cer: .*no --recogniser given"),
        ("min_dnsmos_gain: 0", [], f"min_dnsmos_gain: .*{missing}"),
    ):
        gate.write_text(text)
        sides = [f"{o}={validation_set / 'input'}" for o in options]
        with pytest.raises(SystemExit):
            main(["evaluate", *folders, *sides, f"--gate={gate}"])
        error = capsys.readouterr().err
        assert error.count("\n") == 1
        assert re.search(message, error), error
