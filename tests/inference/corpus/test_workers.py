"""Tests of worker processes.

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
from tiny_restorer import save_tiny_restorer, voice

from miipher2.errors import UserError
from miipher2.inference.batching import Engine
from miipher2.inference.corpus import worker_process
from miipher2.inference.corpus.inputs import list_items
from miipher2.inference.corpus.pipeline import Pipeline
from miipher2.inference.corpus.workers import WorkerPool
from miipher2.inference.job import Settings
from miipher2.inference.restorer import Restorer


def run(kind, restorer, items, output, report=None, workers=2):
    """Restore items; return rows by ID, seconds of audio and the pipeline."""
    rows, seconds = {}, []

    def collect(row):
        rows[row.ID] = row
        if report:
            report(row)

    pipeline = kind(
        Engine(restorer, batch_seconds=16),
        output,
        Settings(restorer.sample_rate),
        collect,
        lambda size, new: seconds.append(new),
        workers,
    )
    pipeline.run(items)
    return rows, sum(seconds), pipeline


@pytest.fixture
def corpus(recordings):
    """Short, long, stereo, silent and broken recordings."""
    folder = recordings({"a.wav": 0.5, "long.wav": 11.0, "c/d.flac": 3.0})
    both = numpy.stack([voice(6), voice(6, seed=1)], axis=1)
    soundfile.write(folder / "two.wav", both, 16000)
    soundfile.write(folder / "silent.wav", numpy.zeros(90000), 16000)
    (folder / "bad.wav").write_text("not audio")
    return folder


@pytest.mark.parametrize("model", ["tiny", "harmonic", "bundled"])
def test_workers_give_the_same_outputs_as_threads(
    corpus, restorer, tmp_path, model
):
    """Outputs are the same, even if the vocoder keeps state across windows."""
    source = None
    if model == "harmonic":
        vocoder = "harmonic.HarmonicVocoder"
        source = save_tiny_restorer(tmp_path / "model", vocoder=vocoder)
    if model != "tiny":
        restorer = Restorer.from_hparams(source, run_opts={"device": "cpu"})
    results = {}
    for kind in (Pipeline, WorkerPool):
        output = tmp_path / kind.__name__
        items = list_items([corpus], output, ".wav")
        rows, seconds, _ = run(kind, restorer, items, output)
        results[kind] = (
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
    assert len(results[WorkerPool][1]) == 6 and len(results[WorkerPool][2]) == 5
    assert results[WorkerPool] == results[Pipeline]


class KillsProcess(type(Path())):
    """A path that ends the process that unpickles it."""

    def __reduce__(self):
        return os._exit, (7,)


def test_only_the_item_that_kills_its_worker_fails(
    restorer, recordings, tmp_path
):
    folder = recordings({f"{number}.wav": 30.0 for number in range(6)})
    items = list_items([folder], tmp_path / "out", ".wav")
    items[3] = items[3]._replace(input=KillsProcess(items[3].input))
    rows, seconds, pipeline = run(WorkerPool, restorer, items, tmp_path / "out")
    assert len(rows) == 6 and not pipeline.workers
    assert "died twice, exit code 7" in rows.pop("3.wav").reason
    assert {row.status for row in rows.values()} == {"done"}
    assert seconds >= 5 * 30


def test_dead_worker_is_replaced(restorer, recordings, tmp_path):
    folder = recordings({f"{number}.wav": 30.0 for number in range(8)})
    killed = []

    def kill(row):
        if not killed:  # the worker has more items by now
            killed.extend(multiprocessing.active_children())
            os.kill(killed[0].pid, signal.SIGKILL)

    items = list_items([folder], tmp_path / "out", ".wav")
    rows, _, _ = run(
        WorkerPool, restorer, items, tmp_path / "out", kill, workers=1
    )
    assert len(killed) == 1 and len(rows) == 8
    assert {row.status for row in rows.values()} == {"done"}
    assert {path.name for path in (tmp_path / "out").iterdir()} == set(rows)


@pytest.mark.parametrize("where", ["items", "worker", "report"])
def test_bug_stops_the_run(restorer, recordings, tmp_path, where):
    folder = recordings({f"{number}.wav": 0.5 for number in range(40)})
    items = list_items([folder], tmp_path / "out", ".wav")
    done = []

    def items_with_a_bug():
        yield from items[:3]
        if where == "items":
            raise ValueError("a bug")
        if where == "worker":
            yield items[3]._replace(input=5)
        for number in range(10**6):  # almost endless unless stopped
            yield items[3]._replace(ID=str(number), output=f"{number}.wav")

    def report(row):
        done.append(row)
        if where == "report" and len(done) == 20:
            time.sleep(2)  # the worker may block on its results
            raise ValueError("a bug")

    kinds = {"worker": (RuntimeError, "TypeError")}
    kind, words = kinds.get(where, (ValueError, "a bug"))
    with pytest.raises(kind, match=words):
        run(WorkerPool, restorer, items_with_a_bug(), tmp_path / "out", report)
    assert not multiprocessing.active_children()
    assert not list((tmp_path / "out").glob(".*"))


def broken_start(*_):
    os._exit(3)


def test_worker_that_does_not_start_stops_the_run(
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
        print(*(worker.process.pid for worker in pool.workers), flush=True)
        time.sleep(60)

    pool = WorkerPool(
        Engine(restorer), output, Settings(24000), report, lambda *_: None
    )
    pool.run(list_items([folder], output, ".wav"))
"""


def test_workers_end_with_the_main_process(recordings, tiny_model, tmp_path):
    folder = recordings({f"{number}.wav": 1.0 for number in range(6)})
    script = tmp_path / "main.py"
    script.write_text(textwrap.dedent(MAIN))
    main = subprocess.Popen(
        [sys.executable, script, folder, tmp_path / "out", tiny_model],
        stdout=subprocess.PIPE,
        text=True,
    )
    pids = [int(pid) for pid in main.stdout.readline().split()]
    main.kill()
    main.wait()
    assert len(pids) == 2
    end = time.monotonic() + 30
    while any(map(is_running, pids)) and time.monotonic() < end:
        time.sleep(0.02)
    assert not any(map(is_running, pids))


def is_running(pid):
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False
