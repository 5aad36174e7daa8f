"""Tests of faults: permissions, full disks, kills, broken files and bugs.

Authors
 * The miipher2 authors 2026
"""

import functools
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from pathlib import Path

import numpy
import pytest
import soundfile
from tiny_restorer import voice
from tiny_runs import ROOT

from miipher2.cli import main
from miipher2.errors import UserError
from miipher2.inference.batching import Engine
from miipher2.inference.corpus import local
from miipher2.inference.corpus.inputs import list_items
from miipher2.inference.corpus.journal import Journal
from miipher2.inference.corpus.manifest import read_rows
from miipher2.inference.corpus.pipeline import Pipeline
from miipher2.inference.corpus.workers import WorkerPool
from miipher2.inference.items import Row
from miipher2.inference.job import Settings


@pytest.fixture(params=[Pipeline, WorkerPool])
def pipeline_class(request, monkeypatch):
    """Pipeline class that uses threads or worker processes."""
    monkeypatch.setattr(local, "pipeline_for", lambda device: request.param)
    return request.param


def run(restorer, folder, output, pipeline_class=Pipeline, workers=2):
    """Restore a folder; return the rows by ID."""
    items = list_items([folder], output, ".wav")
    with Journal(output) as journal:
        pipeline = pipeline_class(
            Engine(restorer),
            output,
            Settings(restorer.sample_rate),
            journal.append,
            lambda size, seconds: None,
            workers,
        )
        pipeline.run(item for item in items if not item.status)
        for item in items:
            if item.status:
                journal.append(Row.of(item))
        return {row.ID: row for row in journal.finish()}


def start_child(function, uid=None):
    """Start a child process that runs a function; return its process ID."""
    process = os.fork()
    if process:
        return process
    code = 70
    try:
        if uid is not None:
            os.setuid(uid)
        code = function() or 0
    except SystemExit as exit_:
        code = exit_.code
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(code)


def wait(process):
    """Wait for a child process; return its exit code."""
    return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])


NOBODY = 65534


@pytest.fixture
def open_folder():
    """Folder that other users can read, unlike ``tmp_path``."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


def test_missing_permissions_are_reported(restorer, open_folder):
    source, output = open_folder / "in", open_folder / "out"
    for folder in (source / "a", source / "b", source / "c", output / "b"):
        folder.mkdir(parents=True)
    (source / "c").chmod(0)
    for name in ("a/good.wav", "a/secret.wav", "b/nowhere.wav"):
        soundfile.write(source / name, voice(0.3), 16000)
    (source / "a/secret.wav").chmod(0)
    output.chmod(0o777)
    (output / "b").chmod(0o555)
    uid = NOBODY if os.getuid() == 0 else None
    assert (
        wait(start_child(lambda: run(restorer, source, output) and 0, uid)) == 0
    )
    rows = {row.ID: row for row in read_rows(output / "manifest.csv")}
    assert rows["a/good.wav"].status == "done"
    assert rows["a/secret.wav"].reason == "Permission denied"
    assert (rows["c"].status, rows["c"].reason) == (
        "failed",
        "cannot be listed: Permission denied",
    )
    assert (
        rows["b/nowhere.wav"].reason == "cannot be written: Permission denied"
    )
    # A read-only output folder.
    (output / "manifest.csv").unlink()
    output.chmod(0o555)

    def expect_error():
        with pytest.raises(UserError, match="choose a different output folder"):
            run(restorer, source, output)

    assert wait(start_child(expect_error, uid)) == 0
    output.chmod(0o755)


def test_broken_files_do_not_affect_other_files(restorer, tmp_path):
    folder = tmp_path / "in"
    folder.mkdir()
    wav = voice(0.5)
    good = [
        "a b.wav",
        "two\nlines.wav",
        "早い.flac",
        os.fsdecode(b"\xff.wav"),
    ]
    for name in good:
        with open(folder / name, "wb") as file:
            kind = name.rpartition(".")[2].upper()
            soundfile.write(file, wav, 16000, format=kind)
    (folder / "empty.wav").write_bytes(b"")
    (folder / "text.wav").write_text("text")
    (folder / "loop.wav").symlink_to(folder / "loop.wav")
    (folder / "gone.wav").symlink_to(folder / "nowhere.wav")
    nan = numpy.where(numpy.arange(8000) == 4000, numpy.nan, wav)
    soundfile.write(folder / "nan.wav", nan, 16000, subtype="FLOAT")
    rows = run(restorer, folder, tmp_path / "out", workers=3)
    assert len(rows) == 9
    done = {name for name, row in rows.items() if row.status == "done"}
    assert done == set(good)
    for name, row in rows.items():
        assert (name in good) == (row.reason == "")
        written = tmp_path / "out" / row.output
        assert written.exists() == (name in good)
    assert not list((tmp_path / "out").glob(".*"))


def test_file_deleted_before_it_is_read_fails(restorer, tmp_path):
    folder = tmp_path / "in"
    folder.mkdir()
    soundfile.write(folder / "a.wav", voice(0.5), 16000)
    items = list_items([folder], tmp_path / "out", ".wav")
    (folder / "a.wav").unlink()
    rows = []
    Pipeline(
        Engine(restorer),
        tmp_path / "out",
        Settings(24000),
        rows.append,
        lambda size, seconds: None,
    ).run(items)
    assert [(row.status, row.reason) for row in rows] == [
        ("failed", "No such file or directory")
    ]


def test_full_disk_fails_only_outputs_that_do_not_fit(
    restorer, tmp_path, pipeline_class
):
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=200k", "tmpfs", str(disk)]
    if shutil.which("mount") is None or subprocess.call(mount):
        pytest.skip("a tmpfs cannot be mounted")
    try:
        folder = tmp_path / "in"
        folder.mkdir()
        for name, seconds in (("a", 0.5), ("b", 30.0), ("c", 0.5), ("d", 9.0)):
            soundfile.write(folder / f"{name}.wav", voice(seconds), 16000)
        rows = run(restorer, folder, disk, pipeline_class, workers=1)
        assert [row.status for row in rows.values()] == [
            *("done", "failed", "done", "failed"),
        ]
        for name in ("b.wav", "d.wav"):
            assert rows[name].reason.endswith("No space left on device")
        assert {path.name for path in disk.iterdir()} == {
            *("a.wav", "c.wav", "manifest.csv"),
        }
    finally:
        subprocess.check_call(["umount", str(disk)])


@pytest.mark.parametrize("fails", ["restore_windows", "report"])
def test_bug_stops_the_run(
    restorer, tmp_path, monkeypatch, pipeline_class, fails
):
    """The error is raised, and no partial file remains."""
    folder = tmp_path / "in"
    folder.mkdir()
    for number in range(30):
        soundfile.write(folder / f"{number}.wav", voice(0.2), 16000)
    items = list_items([folder], tmp_path / "out", ".wav")

    def broken(*_):
        raise ZeroDivisionError("a bug")

    if fails == "restore_windows":
        monkeypatch.setattr(restorer, "restore_windows", broken)
    report = broken if fails == "report" else lambda row: None
    pipeline = pipeline_class(
        Engine(restorer),
        tmp_path / "out",
        Settings(24000),
        report,
        lambda *_: None,
    )
    with pytest.raises(ZeroDivisionError, match="a bug"):
        pipeline.run(items)
    assert not list((tmp_path / "out").rglob(".*"))


def test_infinite_samples_fail_the_recording(restorer, tmp_path, monkeypatch):
    folder, restore_windows = tmp_path / "in", restorer.restore_windows
    folder.mkdir()
    for name, seconds in (("a", 0.2), ("b", 0.4)):
        soundfile.write(folder / f"{name}.wav", voice(seconds), 16000)

    def overflowing(wavs, *arguments):
        restored, *rest = restore_windows(wavs, *arguments)
        return restored / 0 if wavs.shape[1] > 4000 else restored, *rest

    monkeypatch.setattr(restorer, "restore_windows", overflowing)
    run(restorer, folder, tmp_path / "out")
    first, second = read_rows(tmp_path / "out" / "manifest.csv")
    assert (first.status, second.status) == ("done", "failed")
    assert second.reason.startswith(
        "the model returned NaN or infinite samples"
    )
    assert not (tmp_path / "out" / "b.wav").exists()


def command(folder, output, model):
    arguments = ["restore", folder, output, "--model", model]
    options = ["--device", "cpu", "--batch-seconds", "8", "--workers", "2"]
    return main([*map(str, arguments), *options, "--quiet"])


@pytest.fixture
def corpus(tmp_path):
    """Recordings shorter and longer than a window, and a broken file."""
    folder = tmp_path / "in"
    shutil.copytree(ROOT / "examples" / "noisy", folder)
    wavs = [soundfile.read(path) for path in sorted(folder.glob("*.flac"))]
    long = numpy.concatenate([wav for wav, _ in wavs])
    soundfile.write(folder / "long.wav", long, wavs[0][1])
    for number in range(6):
        part = long[number * 9000 :][: 4000 * (number + 1)]
        soundfile.write(folder / f"part{number}.ogg", part, wavs[0][1])
    (folder / "bad.wav").write_text("not audio")
    return folder


def contents(folder):
    return {
        p.name: p.read_bytes() for p in folder.iterdir() if p.suffix == ".wav"
    }


def count_outputs(folder):
    return len(list(folder.glob("*.wav")))


def test_run_can_be_resumed_after_ctrl_c(
    corpus, tiny_model, tmp_path, pipeline_class
):
    output, stderr = tmp_path / "out", tmp_path / "stderr"

    def interrupted():
        # SIGINT is ignored if a shell started the tests in the background.
        signal.signal(signal.SIGINT, signal.default_int_handler)
        os.setsid()  # SIGINT goes to the process group, as on a terminal
        os.dup2(os.open(stderr, os.O_CREAT | os.O_WRONLY), 2)
        sys.stderr = os.fdopen(2, "w", buffering=1)
        append, rows = Journal.append, []

        def appending(journal, row):
            append(journal, row)
            rows.append(row)
            if len(rows) == 3:
                os.killpg(0, signal.SIGINT)
                time.sleep(1)  # the signal must arrive before the run ends

        Journal.append = appending
        return command(corpus, output, tiny_model)

    process = start_child(interrupted)
    assert wait(process) == 130
    lines = [line for line in stderr.read_text().splitlines() if line]
    assert lines[-1] == "interrupted; run the same command again to resume"
    assert all(line.startswith("failed: ") for line in lines[:-1])
    assert (
        not list(output.glob(".*")) and not (output / "manifest.csv").exists()
    )
    assert command(corpus, output, tiny_model) == 1
    assert len(read_rows(output / "manifest.csv")) == len(contents(output)) + 1


@pytest.mark.slow
def test_outputs_are_the_same_after_20_kills(
    corpus, tiny_model, tmp_path, pipeline_class
):
    arguments = (corpus, tmp_path / "complete", tiny_model)
    start = time.monotonic()
    assert wait(start_child(functools.partial(command, *arguments))) == 1
    duration = time.monotonic() - start
    expected = contents(tmp_path / "complete")
    rng, kills, rounds, output = random.Random(0), 0, 0, None
    counts = []  # number of outputs at each kill
    while kills < 20:
        if output is None:
            rounds += 1
            output = tmp_path / f"killed{rounds}"
        arguments = (corpus, output, tiny_model)
        process = start_child(functools.partial(command, *arguments))
        # Every second kill waits for a random number of new outputs, because
        # workers write all of their outputs at about the same time.
        wanted = rng.randrange(1, 10) if kills % 2 else len(expected)
        end = time.monotonic() + rng.uniform(0.2, 1.0) * duration
        before = count_outputs(output)
        while (
            count_outputs(output) - before < wanted and time.monotonic() < end
        ):
            time.sleep(0.002)
        if os.waitpid(process, os.WNOHANG) == (0, 0):
            os.kill(process, signal.SIGKILL)
            os.waitpid(process, 0)
            kills += 1
            counts.append(count_outputs(output))
        # Outputs under their final names are complete.
        for name, content in (
            contents(output).items() if output.exists() else ()
        ):
            assert content == expected[name]
        if (output / "manifest.csv").exists():
            output = None
    print(f"{kills} kills in {rounds} runs; outputs at each kill: {counts}")
    for number in range(1, rounds + 1):
        output = tmp_path / f"killed{number}"
        inodes = {p.name: p.stat().st_ino for p in output.glob("*.wav")}
        journal = output / "manifest.0-of-1.jsonl"
        lines = journal.read_text() if journal.exists() else ""
        assert command(corpus, output, tiny_model) == 1
        assert contents(output) == expected
        rows = read_rows(output / "manifest.csv")
        assert sorted(row.output for row in rows) == sorted(
            [*expected, "bad.wav"]
        )
        for row in rows:  # finished outputs were not written again
            if f'"output": "{row.output}", "status": "done"' in lines:
                assert (output / row.output).stat().st_ino == inodes[row.output]
        assert {p.name for p in output.iterdir()} == {*expected, "manifest.csv"}


def write_mutated(folder, count, seed=0):
    """Write recordings with random byte errors, and truncate some of them."""
    rng = random.Random(seed)
    formats = [("wav", None), ("flac", None), ("mp3", None), ("ogg", "VORBIS")]
    sources = []
    for suffix, subtype in formats:
        path = folder.parent / f"intact.{suffix}"
        soundfile.write(path, voice(0.4), 16000, subtype=subtype)
        sources.append((suffix, path.read_bytes()))
    folder.mkdir()
    for number in range(count):
        suffix, content = sources[number % len(sources)]
        content = bytearray(content)
        for _ in range(rng.choice([0, 1, 3, 30])):
            # Most errors are in the headers.
            end = rng.choice([64, 512, len(content)])
            content[rng.randrange(min(end, len(content)))] = rng.randrange(256)
        if rng.random() < 0.4:
            content = content[: rng.randrange(len(content))]
        (folder / f"{number:04d}.{suffix}").write_bytes(content)


def test_mutated_files_are_restored_or_fail(restorer, tmp_path, pipeline_class):
    write_mutated(tmp_path / "in", 40)
    rows = run(restorer, tmp_path / "in", tmp_path / "out", pipeline_class)
    assert len(rows) == 40
    found = {row.status for row in rows.values()}
    assert found <= {"done", "silent", "failed"} and len(found) > 1


def resident():
    """Return the resident memory of this process in bytes."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


@pytest.mark.slow
def test_mutated_files_increase_memory_by_less_than_5_percent(
    restorer, tmp_path
):
    write_mutated(tmp_path / "warm", 200, seed=1)
    run(restorer, tmp_path / "warm", tmp_path / "out0")
    before = resident()
    write_mutated(tmp_path / "in", 1000)
    rows = run(restorer, tmp_path / "in", tmp_path / "out")
    grown = resident() - before
    assert len(rows) == 1000
    statuses = [row.status for row in rows.values()]
    print({status: statuses.count(status) for status in set(statuses)})
    print(f"{before / 2**20:.0f} MiB, grown by {grown / 2**20:.1f} MiB")
    assert all(row.reason for row in rows.values() if row.status == "failed")
    assert grown < 0.05 * before


# The peak that resource.getrusage reports would include the memory inherited
# from the parent process before exec.
PEAK = """
import re, sys
from miipher2.cli import main
code = main(sys.argv[1:])
status = open("/proc/self/status").read()
print(code, re.search(r"VmHWM:\\s+(\\d+)", status)[1])
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    "long, options", [(180, []), (60, ["--batch-seconds", "16"])], ids=str
)
def test_long_files_need_less_than_10_percent_more_memory_than_3_minutes(
    tiny_model, tmp_path, long, options
):
    peaks, voices = {}, [voice(60, seed=seed) for seed in range(3)]
    for minutes in (3, long):
        path = tmp_path / f"{minutes}.wav"
        with soundfile.SoundFile(path, "w", 16000, 1) as file:
            for minute in range(minutes):
                file.write(voices[minute % 3])
        arguments = ["restore", path, tmp_path / f"out{minutes}.wav"]
        arguments += ["--model", tiny_model, "--device", "cpu", *options]
        start = time.monotonic()
        done = subprocess.run(
            [sys.executable, "-c", PEAK, *map(str, arguments)],
            capture_output=True,
            text=True,
            check=True,
        )
        code, peaks[minutes] = map(int, done.stdout.split("\n")[-2].split())
        assert code == 0
        info = soundfile.info(tmp_path / f"out{minutes}.wav")
        assert info.frames == minutes * 60 * 24000
        elapsed = time.monotonic() - start
        print(
            f"{minutes} min: {peaks[minutes] / 1024:.1f} MiB, {elapsed:.0f} s"
        )
    assert peaks[long] < 1.1 * peaks[3]
