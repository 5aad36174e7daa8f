"""WorkerPool that read and write, and what becomes of their work.

Authors
 * The miipher2 authors 2026
"""

import multiprocessing
import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import numpy
import pytest
import soundfile
from tiny_restorer import voice

from miipher2.errors import UserError
from miipher2.inference.batching import Engine
from miipher2.inference.corpus import worker_process
from miipher2.inference.corpus.inputs import list_items
from miipher2.inference.corpus.pipeline import Pipeline
from miipher2.inference.corpus.workers import WorkerPool
from miipher2.inference.job import Settings
from miipher2.inference.restorer import Restorer


def run(kind, restorer, items, output, report=None, workers=2):
    """Restores items in batches of 16 s; gives the rows by ID."""
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
    pipeline.run(items)
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
    for kind in (Pipeline, WorkerPool):
        output = tmp_path / kind.__name__
        items = list_items([corpus], output, ".wav")
        rows, seconds, _ = run(kind, restorer, items, output)
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
    assert len(made[WorkerPool][1]) == 6 and len(made[WorkerPool][2]) == 5
    assert made[WorkerPool] == made[Pipeline]


class Deadly(type(Path())):
    """A path that ends the process that it is sent to."""

    def __reduce__(self):
        return os._exit, (7,)


def test_what_ends_its_process_fails_alone(restorer, recordings, tmp_path):
    folder = recordings({f"{number}.wav": 30.0 for number in range(6)})
    items = list_items([folder], tmp_path / "out", ".wav")
    items[3] = items[3]._replace(input=Deadly(items[3].input))
    rows, seconds, pipeline = run(WorkerPool, restorer, items, tmp_path / "out")
    assert len(rows) == 6 and not pipeline.workers
    assert "died twice, exit code 7" in rows.pop("3.wav").reason
    assert {row.status for row in rows.values()} == {"done"}
    assert seconds >= 5 * 30


def test_a_lost_process_is_replaced(restorer, recordings, tmp_path):
    folder = recordings({f"{number}.wav": 30.0 for number in range(8)})
    killed = []

    def kill(row):
        if not killed:  # it has others by now
            killed.extend(multiprocessing.active_children())
            os.kill(killed[0].pid, signal.SIGKILL)

    items = list_items([folder], tmp_path / "out", ".wav")
    rows, _, _ = run(
        WorkerPool, restorer, items, tmp_path / "out", kill, workers=1
    )
    assert len(killed) == 1 and len(rows) == 8
    assert {row.status for row in rows.values()} == {"done"}
    assert {path.name for path in (tmp_path / "out").iterdir()} == set(rows)


@pytest.mark.parametrize("where", ["items", "process", "report"])
def test_a_fault_ends_the_run_at_once(restorer, recordings, tmp_path, where):
    folder = recordings({f"{number}.wav": 0.5 for number in range(40)})
    items = list_items([folder], tmp_path / "out", ".wav")
    done = []

    def faulty():
        yield from items[:3]
        if where == "items":
            raise ValueError("a fault")
        if where == "process":
            yield items[3]._replace(input=5)
        for number in range(10**6):  # it would take for ever
            yield items[3]._replace(ID=str(number), output=f"{number}.wav")

    def report(row):
        done.append(row)
        if where == "report" and len(done) == 20:
            time.sleep(2)  # others wait to tell something
            raise ValueError("a fault")

    kinds = {"process": (RuntimeError, "TypeError")}
    kind, words = kinds.get(where, (ValueError, "a fault"))
    with pytest.raises(kind, match=words):
        run(WorkerPool, restorer, faulty(), tmp_path / "out", report)
    assert not multiprocessing.active_children()
    assert not list((tmp_path / "out").glob(".*"))


def broken_start(*_):
    os._exit(3)


def test_processes_that_do_not_start_end_the_run(
    restorer, recordings, tmp_path, monkeypatch
):
    items = list_items([recordings({"a.wav": 0.5})], tmp_path / "out", ".wav")
    monkeypatch.setattr(worker_process, "run_worker", broken_start)
    with pytest.raises(UserError, match="died with exit code 3"):
        run(WorkerPool, restorer, items, tmp_path / "out")


MAIN = """
import os, sys, time
from miipher2.inference.batching import Engine
from miipher2.inference.corpus.inputs import list_items
from miipher2.inference.corpus.workers import WorkerPool
from miipher2.inference.job import Settings
from miipher2.inference.restorer import Restorer

if __name__ == "__main__":
    folder, output, model = sys.argv[1:]
    restorer = Restorer.from_hparams(model, run_opts={"device": "cpu"})

    def report(row):
        print(*(helper.process.pid for helper in pool.workers), flush=True)
        time.sleep(60)

    pool = WorkerPool(
        Engine(restorer), output, Settings(24000), report, lambda *_: None
    )
    pool.run(list_items([folder], output, ".wav"))
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
    end = time.monotonic() + 30
    while any(map(is_at_work, helpers)) and time.monotonic() < end:
        time.sleep(0.02)
    assert not any(map(is_at_work, helpers))


def is_at_work(pid):
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False
