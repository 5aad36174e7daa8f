"""Tests of checking restored recordings, with a toy check.

Authors
 * The miipher2 authors 2026
"""

import argparse
import json

import numpy
import pytest
import soundfile
from tiny_restorer import voice

from miipher2.errors import UserError
from miipher2.inference.batching import Engine
from miipher2.inference.check import Check
from miipher2.inference.corpus.command import add_parser
from miipher2.inference.corpus.inputs import list_items
from miipher2.inference.corpus.manifest import read_rows
from miipher2.inference.corpus.run import restore
from miipher2.inference.corpus.workers import WorkerPool
from miipher2.inference.job import Settings


class MaxDuration(Check):
    """Check that rejects recordings longer than ``seconds``."""

    def __init__(self, seconds, fallback=None, interrupt_after=99):
        super().__init__(fallback)
        self.seconds = seconds
        self.interrupt_after = interrupt_after
        self.scored, self.written = [], None

    def score(self, source, path):
        if len(self.scored) == self.interrupt_after:
            raise RuntimeError("killed")
        assert path.exists()
        self.scored.append(path.name)
        return {"seconds": soundfile.info(source).duration}

    def reasons(self, scores):
        long = scores["seconds"] > self.seconds
        return [f"longer than {self.seconds} s"] if long else []

    def is_complete(self, scores):
        return "seconds" in scores

    def write(self, folder, rows, writer=""):
        self.written = {
            row.ID: self.reasons(json.loads(row.scores)) for row in rows
        }
        return "written"


DURATIONS = {"a.wav": 1.0, "b.wav": 2.0, "c/d.wav": 3.0}


@pytest.fixture
def run(recordings, tiny_model, tmp_path):
    """Return a function that restores a folder and checks the outputs.

    The function returns the exit code, the outputs and the rows by ID.
    """
    folder = recordings(DURATIONS, rate=16000)
    subparsers = argparse.ArgumentParser().add_subparsers()
    parser = add_parser(subparsers)

    def run(check, *options, inputs=folder, output=tmp_path / "out"):
        line = [inputs, output, "--device", "cpu", "--model", tiny_model]
        line += ["--workers", "1", "--quiet", *options]
        code = restore(parser.parse_args(list(map(str, line))), check)
        found = {
            path.relative_to(output).as_posix(): path.read_bytes()
            for path in output.rglob("*.wav")
        }
        rows = {row.ID: row for row in read_rows(output / "manifest.csv")}
        return code, found, rows

    return run


@pytest.mark.parametrize("fallback", [None, "input", "none"])
def test_fallback_decides_what_happens_to_rejected_recordings(
    run, fallback, tmp_path
):
    check = MaxDuration(1.5, fallback)
    code, outputs, rows = run(check)
    assert code == 0 and sorted(check.scored) == ["a.wav", "b.wav", "d.wav"]
    reasons = ["longer than 1.5 s"]
    assert check.written == {"a.wav": [], "b.wav": reasons, "c/d.wav": reasons}
    assert outputs.keys() == ({"a.wav"} if fallback == "none" else set(rows))
    status = "rejected" if fallback else "done"
    assert [row.status for row in rows.values()] == ["done", status, status]
    assert [row.reason for row in rows.values()] == [
        "",
        *(["longer than 1.5 s"] * 2 if fallback else ["", ""]),
    ]
    for name, content in outputs.items():
        assert rows[name].bytes == len(content)
    if fallback == "input":
        wav, rate = soundfile.read(tmp_path / "out" / "c" / "d.wav")
        assert rate == 24000 and len(wav) == 72000
        source = voice(3.0, 16000, seed=2)
        level, expected = numpy.abs(wav).mean(), numpy.abs(source).mean()
        assert level == pytest.approx(expected, rel=0.02)
    _, again, same = run(check)
    assert len(check.scored) == 3 and (again, same) == (outputs, rows)


def test_resumed_run_scores_only_the_remaining_recordings(run):
    for _ in range(2):  # each run ends while it scores its second recording
        with pytest.raises(RuntimeError, match="killed"):
            run(MaxDuration(1.5, "none", interrupt_after=1))
    check = MaxDuration(1.5, "none")
    code, outputs, rows = run(check)
    assert code == 0 and len(check.scored) == 1
    assert outputs.keys() == {"a.wav"}
    assert [r.status for r in rows.values()] == ["done", "rejected", "rejected"]
    assert list(check.written.values()).count([]) == 1


def test_only_recordings_affected_by_new_thresholds_are_restored_again(run):
    _, outputs, _ = run(MaxDuration(9.0))
    stricter = MaxDuration(2.5)
    assert run(stricter)[1] == outputs and not stricter.scored
    assert list(stricter.written.values()).count([]) == 2
    replacing = MaxDuration(2.5, "none")
    run(replacing)
    assert replacing.scored == ["d.wav"]
    looser = MaxDuration(9.0, "none")
    assert run(looser)[1] == outputs and looser.scored == ["d.wav"]


def test_recordings_restored_without_a_check_are_scored(run):
    run(None)
    check = MaxDuration(9.0)
    run(check)
    assert len(check.scored) == 3


def test_last_shard_writes_the_results_of_the_check(run):
    checks = [MaxDuration(1.5) for _ in range(2)]
    for index, check in enumerate(checks):
        run(check, "--num-shards", "2", "--shard-index", str(index))
    assert checks[0].written is None and len(checks[1].written) == 3
    assert sum(len(check.scored) for check in checks) == 3


def test_worker_processes_check_their_outputs(recordings, restorer, tmp_path):
    folder, rows = recordings(DURATIONS), {}
    settings = Settings(24000, check=MaxDuration(1.5, "none"))
    pool = WorkerPool(
        Engine(restorer, batch_seconds=8),
        tmp_path / "out",
        settings,
        lambda row: rows.update({row.ID: row}),
        lambda size, seconds: None,
        workers=1,
    )
    pool.run(list_items([folder], tmp_path / "out", ".wav"))
    assert [rows[ID].status for ID in sorted(rows)] == [
        *("done", "rejected", "rejected")
    ]
    assert [p.name for p in (tmp_path / "out").rglob("*.wav")] == ["a.wav"]


def test_single_files_and_tars_cannot_be_checked(run, tmp_path):
    (tmp_path / "in" / "shard.tar").write_bytes(b"")
    with pytest.raises(UserError, match=r"shard\.tar: --evaluate does not"):
        run(MaxDuration(1.0))
    with pytest.raises(UserError, match="--evaluate needs an output folder"):
        run(
            MaxDuration(1),
            inputs=tmp_path / "in/a.wav",
            output=tmp_path / "a.wav",
        )
