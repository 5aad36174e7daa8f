"""Measure the speed of ``miipher2 evaluate``, and test resuming.

    python benchmarks/evaluate.py FOLDER --clips 5000 --workers 2

Prints the memory of the main process and the files per second of an
uninterrupted run. A second run is killed and resumed twice; its scores are
compared with the scores of the first run. The clips (input, restored and clean)
are written to FOLDER; each is 1 s of noise at 16 kHz with a speech-like
envelope. Only metrics that need no additional packages are computed, so most
of the time is spent on reading and aligning the files, sending results between
processes and writing them. Linux only.

Authors
 * The miipher2 authors 2026
"""

import argparse
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import soundfile

from miipher2.errors import UserError, one_line_errors

RATE = 16000
CONDITIONS = 10
NOISE = {"input": 0.02, "restored": 0.005, "clean": 0.0}


def write_clips(folder, clips):
    """Write the clips that do not exist yet."""
    seconds = np.arange(RATE) / RATE
    envelope = np.clip(np.sin(2 * np.pi * 3 * seconds), 0, None)
    for index in range(clips):
        rng = np.random.default_rng(index)
        clean = 0.1 * envelope * rng.standard_normal(RATE) + 1e-4
        noise = rng.standard_normal(RATE)
        for version, gain in NOISE.items():
            name = f"{index % CONDITIONS}/{index:06d}.wav"
            path = folder / version / name
            if not path.exists():
                path.parent.mkdir(parents=True, exist_ok=True)
                soundfile.write(path, clean + gain * noise, RATE)


def start(folder, report, workers):
    """Start ``miipher2 evaluate``."""
    options = {"restored": "restored", "input": "input", "reference": "clean"}
    command = [sys.executable, "-m", "miipher2", "evaluate"]
    command += [f"--{name}={folder / value}" for name, value in options.items()]
    command += ["--metrics=sisdr,lsd,mcd", f"--workers={workers}", "--quiet"]
    return subprocess.Popen([*command, f"--output={folder / report}"])


def memory(process):
    """Return the resident memory of a process in MiB, or 0 if it has ended."""
    status = Path(f"/proc/{process.pid}/status").read_text()
    lines = [line for line in status.splitlines() if "VmRSS" in line]
    return int(lines[0].split()[1]) / 1024 if lines else 0.0


def count_lines(path):
    """Return the number of lines of a file, or 0 if it does not exist."""
    return path.read_bytes().count(b"\n") if path.exists() else 0


def watch(process, journal, marks):
    """Record (files done, time, MiB) when each of ``marks`` is reached."""
    found = []
    for mark in marks:
        while process.poll() is None:
            done = count_lines(journal)
            if done >= mark:
                found.append((done, time.monotonic(), memory(process)))
                break
            time.sleep(0.1)
    return found


def main():
    """Parse the command line, run the benchmark and print the results."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "folder", type=Path, help="folder for clips and reports"
    )
    parser.add_argument("--clips", type=int, default=5000)
    parser.add_argument("--workers", type=int, default=2)
    arguments = parser.parse_args()
    folder, clips = arguments.folder, arguments.clips
    for name in ("complete", "killed"):
        if (folder / name).exists():
            raise UserError(
                f"{folder / name}: exists; choose a different folder"
            )
    write_clips(folder, clips)
    marks = [clips * part // 20 for part in (1, 5, 10, 15, 19)]
    process = start(folder, "complete", arguments.workers)
    journal = folder / "complete" / "files.0-of-1.jsonl"
    found = watch(process, journal, marks)
    print("| files done | MiB of the main process |\n|---|---|")
    for done, _, size in found:
        print(f"| {done} | {size:.0f} |")
    if process.wait() or len(found) < 2:
        raise UserError(
            "the evaluation failed or ended before it could be measured"
        )
    (first, began, _), (last, ended, _) = found[0], found[-1]
    print(f"\n{(last - first) / (ended - began):.0f} files per second")
    journal = folder / "killed" / "files.0-of-1.jsonl"
    for mark in (clips // 3, 2 * clips // 3):
        process = start(folder, "killed", arguments.workers)
        watch(process, journal, [mark])
        process.send_signal(signal.SIGKILL)
        process.wait()
        print(f"killed after {count_lines(journal)} files")
    start(folder, "killed", arguments.workers).wait()
    complete, killed = (
        (folder / name / "files.csv").read_bytes()
        for name in ("complete", "killed")
    )
    print(f"files.csv is {'the same' if complete == killed else 'DIFFERENT'}")


if __name__ == "__main__":
    with one_line_errors():
        main()
