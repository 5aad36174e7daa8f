"""Tests of ``miipher2 restore --evaluate``.

Authors
 * The miipher2 authors 2026
"""

import csv
import pickle

import pytest
import soundfile
from tiny_restorer import save_tiny_restorer
from toy_metrics import speech, write

from miipher2.cli import main
from miipher2.dataio.manifests import read_manifest
from miipher2.evaluation.gate import Gate
from miipher2.evaluation.restore_check import RestoreCheck
from miipher2.inference.corpus.manifest import read_rows


@pytest.fixture
def restore(tmp_path, toy_gate_metrics):
    """Return a function that restores and checks three inputs, one damaged."""
    model = save_tiny_restorer(tmp_path / "tiny")
    for name, seconds in (("anna/short.wav", 0.6), ("bo/long.wav", 1.2)):
        write(tmp_path / "in" / name, speech(seconds=seconds))
    (tmp_path / "in" / "bad.wav").write_text("not audio")

    def run(thresholds, *options):
        gate = tmp_path / "gate.yaml"
        gate.write_text(thresholds)
        command = ["restore", tmp_path / "in", tmp_path / "out", "--evaluate"]
        command += ["--gate", gate, "--model", model, "--device", "cpu"]
        # The damaged input fails
        assert main(list(map(str, [*command, *options]))) == 1
        tables = []
        for name in ("keep", "reject"):
            path = tmp_path / "out" / f"{name}.csv"
            with open(path, encoding="utf-8", newline="") as file:
                tables.append({row["ID"]: row for row in csv.DictReader(file)})
        return tables

    return run


def test_restored_recordings_are_scored_and_kept_or_rejected(
    restore, tmp_path, capsys
):
    thresholds = "min_dnsmos: 1\nmin_seconds: 1\nmin_bandwidth: 100\n"
    keep, reject = restore(thresholds, "--fallback", "none")
    assert "kept 1 of 3 recordings; rejected by: " in capsys.readouterr().out
    assert keep.keys() == {"bo/long"}
    assert float(keep["bo/long"]["restored_bandwidth"]) > 100
    assert reject["anna/short"]["reasons"] == "duration 0.6 s < 1 s"
    assert reject["bad"]["reasons"].startswith("not scored: cannot be read")
    for row in reject.values():  # rows without an output have the input's path
        assert row["wav"].startswith(str(tmp_path / "in"))
    (row,) = read_manifest(tmp_path / "out" / "keep.csv", tmp_path / "out")
    assert row["spk_id"] == "bo"
    assert row["duration"] == pytest.approx(soundfile.info(row["wav"]).duration)
    status = {r.ID: r.status for r in read_rows(tmp_path / "out/manifest.csv")}
    assert status == {
        "anna/short.wav": "rejected",
        "bad.wav": "failed",
        "bo/long.wav": "done",
    }
    again = restore(thresholds, "--fallback", "none")
    assert again == [keep, reject]


def test_a_pickled_check_loads_its_metrics_again(toy_gate_metrics):
    check = RestoreCheck(Gate({"min_dnsmos": 2}), fallback="input")
    other = pickle.loads(pickle.dumps(check))
    assert other.fallback == "input" and other.scorer is not check.scorer
    assert other.gate.thresholds == {"min_dnsmos": 2}
    assert set(other.scorer.columns) == {"ovrl"}
