"""Tests of the Ray engine, including killed actors.

Authors
 * The miipher2 authors 2026
"""

import logging
import os
import signal
import sys
import tarfile
import threading
from pathlib import Path

import pytest
import soundfile
from tiny_restorer import voice

from miipher2.cli import main
from miipher2.dataio.atomic import partial_path
from miipher2.inference.corpus import ray_engine
from miipher2.inference.corpus.manifest import read_rows
from miipher2.inference.items import Item

STATM = Path("/proc/self/statm")


@pytest.fixture(scope="module")
def two_cpus():
    """Start Ray with two CPUs, independently of any running cluster."""
    ray = pytest.importorskip("ray")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        try:
            started = ray.init(
                "local",
                num_cpus=2,
                object_store_memory=100 * 2**20,
                include_dashboard=False,
                log_to_driver=False,
                logging_level=logging.ERROR,
            )
        except Exception as error:  # for example a timeout on a busy machine
            pytest.skip(f"Ray does not start on this machine: {error}")
        with started:
            yield


def restore(folder, output, model, *options):
    arguments = ["restore", folder, output, "--model", model, *options]
    return main([*map(str, arguments), "--device", "cpu", "--workers", "2"])


def actors():
    """Return the process IDs of this process's actors."""
    processes = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            # pid (name) state parent ...
            stat = path.read_text().rpartition(")")[2].split()
            title = path.with_name("cmdline").read_text()
        except OSError:  # the process has ended
            continue
        processes[int(path.parent.name)] = int(stat[1]), title
    return {
        process
        for process, (parent, title) in processes.items()
        if title.startswith("ray::") and "(Actor)" in title
        if os.getpid() in (parent, processes.get(parent, (0,))[0])
    }


class Killer(threading.Thread):
    """Thread that kills an actor after the first output.

    ``seen`` contains the process IDs of all actors found so far.
    """

    def __init__(self, output):
        super().__init__(daemon=True)
        self.output = output
        self.killed, self.seen = None, set()
        self.finished = threading.Event()

    def run(self):
        while not self.finished.wait(0.02):
            found = actors()
            self.seen |= found
            if not self.killed and found and any(self.output.glob("*.wav")):
                self.killed = min(found)
                os.kill(self.killed, signal.SIGKILL)


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.glob("*.wav")}


def comparable(rows):
    """Return the rows as dictionaries without times and input paths."""
    return [
        {**vars(row), "seconds_spent": 0, "finished": "", "input": ""}
        for row in rows
    ]


@pytest.mark.slow
@pytest.mark.skipif(not STATM.exists(), reason="finds actors through /proc")
def test_killed_actor_is_replaced(
    two_cpus, recordings, tiny_model, tmp_path, capsys
):
    folder = recordings({f"{n}.wav": 4.0 + n for n in range(16)})
    (folder / "bad.wav").write_text("not audio")
    local, output = tmp_path / "local", tmp_path / "out"
    assert restore(folder, local, tiny_model, "--quiet") == 1
    ray = ("--engine", "ray", "--actors", 2)
    killer = Killer(output)
    killer.start()
    assert restore(folder, output, tiny_model, *ray) == 1
    killer.finished.set()
    killer.join()
    assert "2 actors with 1 CPU each" in capsys.readouterr().out
    assert killer.killed and len(killer.seen) > 2  # one actor was restarted
    assert contents(output) == contents(local)
    rows = read_rows(output / "manifest.csv")
    assert comparable(rows) == comparable(read_rows(local / "manifest.csv"))
    assert [row.status for row in rows].count("done") == 16
    assert not list(output.glob(".*"))
    # Both engines skip recordings that the Ray engine has restored.
    (folder / "bad.wav").unlink()
    inodes = {path: path.stat().st_ino for path in output.iterdir()}
    for options in (ray, ()):
        assert restore(folder, output, tiny_model, *options) == 0
        assert "16 recordings (16 already done)" in (capsys.readouterr().out)
    inodes.pop(output / "manifest.csv")
    assert inodes == {path: path.stat().st_ino for path in inodes}


def run_when_unpickled(code, name, monkeypatch):
    """Make actors run ``code`` when they unpickle the item ``name``."""

    class Code(Item):
        def __reduce__(self):
            return eval, (code,)

    def replaced(items):
        return [Code(*i) if i.ID == name else i for i in items]

    monkeypatch.setattr(ray_engine, "_absolute_inputs", replaced)


@pytest.mark.slow
def test_only_the_item_that_kills_its_actor_fails(
    two_cpus, recordings, tiny_model, tmp_path, monkeypatch
):
    code = "(os := __import__('os')).kill(os.getpid(), 9)"
    run_when_unpickled(code, "3.wav", monkeypatch)
    folder = recordings({f"{n}.wav": 0.3 for n in range(12)})
    output = tmp_path / "out"
    output.mkdir()
    partial_path(output / "3.wav").write_text("left by its actor")
    ray = ("--engine", "ray", "--actors", 1)  # blocks of three
    assert restore(folder, output, tiny_model, *ray) == 1
    assert not list(output.glob(".*"))
    rows = {row.ID: row for row in read_rows(output / "manifest.csv")}
    assert rows["3.wav"].status == "failed"
    assert rows["3.wav"].reason == ("its actor died 3 times")
    assert [row.status for row in rows.values()].count("done") == 11
    assert len(contents(output)) == 11


@pytest.mark.slow
def test_bug_stops_the_run(
    two_cpus, recordings, tiny_model, tmp_path, monkeypatch
):
    run_when_unpickled("1 / 0", "a.wav", monkeypatch)
    folder = recordings({"a.wav": 0.3})
    with pytest.raises(RuntimeError, match="ZeroDivisionError"):
        restore(folder, tmp_path / "out", tiny_model, "--engine", "ray")


def members(path):
    with tarfile.open(path) as tar:
        return {info.name: tar.extractfile(info).read() for info in tar}


@pytest.mark.slow
def test_tars_are_the_same_as_with_the_local_engine(
    two_cpus, recordings, tiny_model, tmp_path
):
    pytest.importorskip("webdataset")
    folder = recordings({f"{n}.wav": 0.3 + n / 10 for n in range(6)})
    soundfile.write(folder / "0.wav", voice(0.3), 16000, subtype="PCM_24")
    for tar, names in (("a.tar", "012"), ("b.tar", "345")):
        with tarfile.open(folder / tar, "w") as file:
            for name in names:
                file.add(folder / f"{name}.wav", f"{name}.wav")
    local, output = tmp_path / "local", tmp_path / "out"
    assert restore(folder, local, tiny_model) == 0
    assert restore(folder, output, tiny_model, "--engine", "ray") == 0
    rows = read_rows(output / "manifest.csv")
    assert comparable(rows) == comparable(read_rows(local / "manifest.csv"))
    assert contents(output) == contents(local)
    assert soundfile.info(output / "0.wav").subtype == "PCM_24"
    for tar in ("a.tar", "b.tar"):
        assert members(output / tar) == members(local / tar)


@pytest.mark.slow
def test_error_of_an_actor_is_printed(
    two_cpus, recordings, tiny_model, tmp_path, monkeypatch, capsys
):
    """If the actors cannot find the model, the last line says so."""

    def elsewhere(arguments):
        return type(arguments)(**{**vars(arguments), "model": "/nowhere"})

    monkeypatch.setattr(ray_engine, "_absolute_paths", elsewhere)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    folder = recordings({"a.wav": 0.5})
    with pytest.raises(SystemExit):
        restore(folder, tmp_path / "out", tiny_model, "--engine", "ray")
    *_, line = capsys.readouterr().err.splitlines()
    assert line.startswith("error: /nowhere: neither a folder nor")


@pytest.mark.parametrize(
    "options, variable",
    [(["--num-shards", 2], "USER"), ([], "WORLD_SIZE")],
    ids=["shards", "torchrun"],
)
def test_ray_cannot_be_combined_with_shards_or_torchrun(
    recordings, tmp_path, monkeypatch, capsys, options, variable
):
    monkeypatch.setenv(variable, "1")
    folder = recordings({"a.wav": 0.1})
    with pytest.raises(SystemExit):
        restore(folder, tmp_path, "m", "--engine", "ray", *options)
    assert (
        "cannot be combined with --num-shards or torchrun"
        in capsys.readouterr().err
    )


def test_missing_ray_is_reported(recordings, tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "ray", None)
    folder = recordings({"a.wav": 0.1})
    with pytest.raises(SystemExit):
        restore(folder, tmp_path, "m", "--engine", "ray")
    assert "pip install 'ray[data]'" in capsys.readouterr().err


@pytest.mark.parametrize(
    "resources, device, actors, expected",
    [
        ({"CPU": 16.0, "GPU": 2.0}, None, None, ("GPU", 2, {"num_gpus": 1})),
        ({"CPU": 16.0, "GPU": 2.0}, "cpu", 3, ("CPU", 3, {"num_cpus": 5})),
        ({"CPU": 9.0}, None, None, ("CPU", 4, {"num_cpus": 2})),
        ({"CPU": 1.0}, None, None, ("CPU", 1, {"num_cpus": 1})),
    ],
)
def test_actors_share_the_cluster(resources, device, actors, expected):
    import argparse

    from miipher2.inference.corpus.ray_engine import _plan

    arguments = argparse.Namespace(device=device, actors=actors)
    assert _plan(resources, arguments) == expected
