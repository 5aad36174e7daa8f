"""Tests of repeated, interrupted and sharded evaluations, and of Parquet.

Authors
 * The miipher2 authors 2026
"""

import os
import shutil
import signal
import subprocess
import sys
import time

import pytest
from toy_metrics import speech, write

from miipher2.errors import UserError
from miipher2.evaluation import evaluate, scorer

CLIPS = 240


@pytest.fixture
def recordings(tmp_path):
    for index in range(CLIPS):
        clean = speech(index % 4, seconds=0.4)
        for side in ("clean", "restored"):
            path = tmp_path / side / str(index % 3) / f"{index}.wav"
            write(path, clean * (1.0 if side == "clean" else 0.7))
    return tmp_path


def command(folder, report):
    options = ["--metrics=lsd,sisdr", "--workers=2", "--quiet"]
    for name in ("restored", "clean"):
        option = "--reference" if name == "clean" else "--restored"
        options += [option, str(folder / name)]
    command = [sys.executable, "-m", "miipher2", "evaluate", *options]
    return subprocess.Popen([*command, "--output", str(folder / report)])


def lines(path):
    return path.read_bytes().count(b"\n") if path.exists() else 0


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGKILL")
def test_a_killed_run_is_resumed_and_writes_the_same_files_csv(recordings):
    assert command(recordings, "expected").wait(120) == 0
    journal = recordings / "report" / "files.0-of-1.jsonl"
    for count in (CLIPS // 4, CLIPS // 2):
        process = command(recordings, "report")
        deadline = time.monotonic() + 120
        while lines(journal) < count:
            assert process.poll() is None and time.monotonic() < deadline
            time.sleep(0.005)
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert count <= lines(journal) < CLIPS
        with open(journal, "ab") as file:
            file.write(b'{"columns": "')  # an incomplete line
    assert command(recordings, "report").wait(120) == 0
    expected, resumed = (
        (recordings / name / "files.csv").read_bytes()
        for name in ("expected", "report")
    )
    assert resumed == expected
    assert resumed.count(b"\n") == CLIPS + 1
    assert not journal.exists()


def record_scored(monkeypatch):
    """Return a list to which each file is added when it is scored."""
    scored, score = [], scorer.Scorer.score

    def record(self, file, *arguments):
        scored.append(file)
        return score(self, file, *arguments)

    monkeypatch.setattr(scorer.Scorer, "score", record)
    return scored


def run(folders, **options):
    return evaluate.evaluate(
        folders / "restored",
        folders / "report",
        source=folders / "input",
        quiet=True,
        **options,
    )


def test_an_interrupted_run_is_resumed(folders, toy_metrics, monkeypatch):
    run(folders)
    expected = (folders / "report/files.csv").read_bytes()
    shutil.rmtree(folders / "report")
    with monkeypatch.context() as patch:
        scored, score = [], scorer.Scorer.score

        def interrupted(self, file, *arguments):
            if len(scored) == 2:
                raise KeyboardInterrupt
            scored.append(file)
            return score(self, file, *arguments)

        patch.setattr(scorer.Scorer, "score", interrupted)
        with pytest.raises(KeyboardInterrupt):
            run(folders)
    with open(folders / "report/files.0-of-1.jsonl", "ab") as file:
        file.write(b'{"columns": "')  # an incomplete line
    again = record_scored(monkeypatch)
    run(folders)
    assert (scored, again) == (
        ["hiss/a.wav", "hiss/b.wav"],
        ["room/a.wav", "room/b.wav"],
    )
    assert (folders / "report/files.csv").read_bytes() == expected


def test_only_changed_files_are_scored_again(folders, toy_metrics, monkeypatch):
    run(folders)
    before = (folders / "report/files.csv").read_bytes()
    scored = record_scored(monkeypatch)
    run(folders)
    assert scored == []
    assert (folders / "report/files.csv").read_bytes() == before
    write(folders / "input/room/b.wav", speech(9))
    os.utime(folders / "input/hiss/a.wav", ns=(1, 1))
    write(folders / "restored/new.wav", speech(9))
    (folders / "restored/hiss/b.wav").unlink()
    report = run(folders)
    assert scored == ["hiss/a.wav", "hiss/b.wav", "new.wav", "room/b.wav"]
    status = dict(zip(report.scores.files, report.scores.status, strict=True))
    assert status["hiss/b.wav"] == "missing"
    assert sorted(status.values()) == 4 * ["done"] + ["missing"]
    shutil.rmtree(folders / "restored/hiss")
    shutil.rmtree(folders / "input/hiss")
    assert len(run(folders).scores) == 3  # rows of removed files are dropped


def test_new_conditions_need_no_new_scores(folders, toy_metrics, monkeypatch):
    run(folders)
    scored = record_scored(monkeypatch)
    table = folders / "conditions.csv"
    table.write_text("ID,condition\na,first\nroom/b,second\n")
    report = run(folders, conditions=table)
    assert scored == []
    assert report.scores.conditions == ["first", "", "first", "second"]
    assert list(report.scores.groups()) == ["first", "second", "all"]


def test_a_condition_named_all_raises(folders, toy_metrics):
    table = folders / "conditions.csv"
    table.write_text("ID,condition\na,all\n")
    with pytest.raises(
        UserError, match="'all': this name stands for all files"
    ):
        run(folders, conditions=table)
    (folders / "restored/hiss").rename(folders / "restored/all")
    (folders / "input/hiss").rename(folders / "input/all")
    (folders / "clean/hiss").rename(folders / "clean/all")
    with pytest.raises(UserError, match="another name with --conditions CSV"):
        run(folders)


def test_shards_write_the_same_files_csv(folders, toy_metrics):
    run(folders)
    expected = (folders / "report/files.csv").read_bytes()
    shutil.rmtree(folders / "report")
    assert run(folders, shard=0, num_shards=2) is None
    assert not (folders / "report/files.csv").exists()
    assert len(run(folders, shard=1, num_shards=2).scores) == 4
    assert (folders / "report/files.csv").read_bytes() == expected


def test_parquet_has_the_rows_of_files_csv(folders, toy_metrics):
    parquet = pytest.importorskip("pyarrow.parquet")
    (folders / "restored/bad.wav").write_text("not audio")
    report = run(folders, parquet=True)
    rows = parquet.read_table(folders / "report/files.parquet").to_pylist()
    assert [row["file"] for row in rows] == report.scores.files
    assert rows[0]["status"] == "failed" and rows[0]["seconds"] is None
    assert rows[1]["restored_peak"] == report.scores["restored_peak"][1]
