"""Processes that read and write, and what becomes of their work.

Authors
 * The miipher2 authors 2026
"""

import os
import signal
import subprocess
import sys
import textwrap
import time

import numpy
import pytest
import soundfile
from tiny_restorer import voice

from miipher2.corpora import processes
from miipher2.corpora.engine import Engine
from miipher2.corpora.items import list_items
from miipher2.corpora.job import Settings
from miipher2.corpora.pipeline import Pipeline
from miipher2.corpora.processes import Processes
from miipher2.errors import UserError
from miipher2.restorer import Restorer


def run(kind, restorer, folder, output, report=None, workers=2):
    """Restores a folder in batches of 16 s; gives the rows by ID."""
    rows, seconds = {}, []

    def take(row):
        rows[row.ID] = row
        if report:
            report(row)

    pipeline = kind(
        Engine(restorer, batch_seconds=16),
        output,
        Settings(restorer.sample_rate),
        take,
        lambda size, new: seconds.append(new),
        workers,
    )
    pipeline.run(list_items([folder], output, ".wav"))
    return rows, sum(seconds), pipeline


@pytest.fixture
def corpus(recordings):
    """Of less than a window and more, in stereo, silent, and no sound."""
    folder = recordings({"a.wav": 0.5, "long.wav": 11.0, "c/d.flac": 3.0})
    both = numpy.stack([voice(6), voice(6, seed=1)], axis=1)
    soundfile.write(folder / "two.wav", both, 16000)
    soundfile.write(folder / "silent.wav", numpy.zeros(90000), 16000)
    (folder / "bad.wav").write_text("not sound")
    return folder


@pytest.mark.parametrize("model", ["tiny", "shipped"])
def test_threads_and_processes_make_the_same(corpus, restorer, tmp_path, model):
    """Also where something is carried from window to window."""
    if model == "shipped":
        restorer = Restorer.from_hparams(None, run_opts={"device": "cpu"})
    made = {}
    for kind in (Pipeline, Processes):
        output = tmp_path / kind.__name__
        rows, seconds, _ = run(kind, restorer, corpus, output)
        made[kind] = (
            round(seconds, 3),
            {
                row.ID: (row.status, row.reason, row.seconds, row.bytes)
                for row in rows.values()
            },
            {
                path.relative_to(output): path.read_bytes()
                for path in output.rglob("*.*")
            },
        )
    assert len(made[Processes][1]) == 6 and len(made[Processes][2]) == 5
    assert made[Processes] == made[Pipeline]


def test_what_a_lost_process_was_at_has_failed(restorer, recordings, tmp_path):
    folder = recordings({f"{number}.wav": 4.0 for number in range(60)})
    lost = []

    def kill(row):
        if not lost:  # it has others by now
            lost.append(pipelines[0].helpers[0])
            os.kill(lost[0].process.pid, signal.SIGKILL)

    pipelines = []

    def noted(*arguments):
        pipelines.append(Processes(*arguments))
        return pipelines[0]

    rows, seconds, pipeline = run(
        noted, restorer, folder, tmp_path / "out", kill, workers=1
    )
    assert len(pipeline.helpers) == 2 and len(rows) == 60
    failed = {ID for ID, row in rows.items() if row.status == "failed"}
    assert 0 < len(failed) < 50 and failed == set(lost[0].at_hand)
    for ID in failed:
        assert "ended with exit code -9" in rows[ID].reason
    assert seconds >= 4 * (60 - len(failed))
    rows, _, _ = run(Pipeline, restorer, folder, tmp_path / "again")
    assert {row.status for row in rows.values()} == {"done"}


def broken_start(*_):
    os._exit(3)


def test_processes_that_do_not_start_end_the_run(
    restorer, recordings, tmp_path, monkeypatch
):
    folder = recordings({"a.wav": 0.5})
    monkeypatch.setattr(processes, "_help", broken_start)
    with pytest.raises(UserError, match="ended with exit code 3"):
        run(Processes, restorer, folder, tmp_path / "out")


MAIN = """
import os, sys, time
from miipher2.corpora import processes
from miipher2.corpora.engine import Engine
from miipher2.corpora.items import list_items
from miipher2.corpora.job import Settings
from miipher2.restorer import Restorer

if __name__ == "__main__":
    folder, output, model = sys.argv[1:]
    restorer = Restorer.from_hparams(model, run_opts={"device": "cpu"})

    def report(row):
        print(*(helper.process.pid for helper in work.helpers), flush=True)
        time.sleep(60)

    work = processes.Processes(
        Engine(restorer), output, Settings(24000), report, lambda *_: None
    )
    work.run(list_items([folder], output, ".wav"))
"""


def test_no_process_outlives_the_main_one(recordings, tiny_model, tmp_path):
    folder = recordings({f"{number}.wav": 1.0 for number in range(6)})
    script = tmp_path / "main.py"
    script.write_text(textwrap.dedent(MAIN))
    main = subprocess.Popen(
        [sys.executable, script, folder, tmp_path / "out", tiny_model],
        stdout=subprocess.PIPE,
        text=True,
    )
    helpers = [int(pid) for pid in main.stdout.readline().split()]
    main.kill()
    main.wait()
    assert len(helpers) == 2
    end = time.monotonic() + 5
    while any(map(is_at_work, helpers)) and time.monotonic() < end:
        time.sleep(0.02)
    assert not any(map(is_at_work, helpers))


def is_at_work(pid):
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False
