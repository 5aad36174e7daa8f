"""Measure the CPU cost of reading and writing audio for a GPU.

    python benchmarks/host.py --data SPEECH > tables.md

Restores a folder with a model that returns its input, first with threads that
read and write, and then with worker processes, as on a GPU. For every batch of
640 s, Python launches about as many small operations as a real network launches
GPU kernels. If the launches take longer than on an idle machine, a GPU would
have to wait. Prints a Markdown table.

Authors
 * The miipher2 authors 2026
"""

import argparse
import os
import statistics
import tempfile
import time

from timing import describe_machine, markdown, processor_seconds

LAUNCHES = 1500  # about the number of kernels of HuBERT-large and HiFi-GAN


class Echo:
    """Stand-in for ``Restorer`` that returns its input."""

    device, identity = "cpu", "echo"
    input_rate = sample_rate = 16000
    hop_length = 320
    input_level = {}

    def __init__(self):
        from miipher2.inference.windows import WindowPlan

        self.plan = WindowPlan(1000, 100, self.hop_length)
        self.launch_seconds = []

    def restore_windows(self, wavs, lengths=None, windows=(), states=None):
        """Launch operations and return the batch unchanged."""
        self.launch_seconds.append(launch())
        return wavs, None, {}

    def output_samples(self, samples):
        """Return the number of output samples, which equals ``samples``."""
        return samples


def launch():
    """Launch small operations; return the duration in seconds."""
    import torch

    start, x = time.perf_counter(), torch.zeros(4)
    for _ in range(LAUNCHES):
        x = x + 1
    return time.perf_counter() - start


def measure(device, items, workers):
    """Restore items and return a row of the table."""
    from miipher2.inference.batching import Engine
    from miipher2.inference.corpus import local
    from miipher2.inference.job import Settings

    echo, rows = Echo(), []
    with tempfile.TemporaryDirectory() as output:
        pipeline = local.pipeline_for(device)(
            Engine(echo, batch_seconds=640),
            output,
            Settings(echo.sample_rate),
            rows.append,
            lambda size, seconds: None,
            workers,
        )
        before, start = processor_seconds(), time.perf_counter()
        pipeline.run(items)
        seconds = time.perf_counter() - start
    own, others = (
        after - earlier
        for after, earlier in zip(processor_seconds(), before, strict=True)
    )
    failed = [row for row in rows if row.status == "failed"]
    if failed:
        raise RuntimeError(f"{failed[0].input}: {failed[0].reason}")
    audio = sum(row.seconds * row.channels for row in rows)
    return {
        "I/O in": {"cpu": "threads", "cuda": "processes"}[device],
        "workers": workers,
        "x real time": round(audio / seconds),
        "CPU s per hour": round(3600 * (own + others) / audio, 2),
        "main process, CPU s per hour": round(3600 * own / audio, 2),
        "ms to launch a batch": round(
            1e3 * statistics.median(echo.launch_seconds), 1
        ),
    }


def main():
    """Parse the command line and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", required=True, help="folder of recordings")
    parser.add_argument(
        "--workers",
        type=int,
        nargs="+",
        default=[1, 2, min(8, os.cpu_count() or 1)],
        help="numbers of workers to try",
    )
    parser.add_argument(
        "--copies",
        type=int,
        default=1,
        help="number of times that the folder is restored in one run",
    )
    arguments = parser.parse_args()
    import torch

    from miipher2.inference.corpus.inputs import list_items

    torch.set_num_threads(1)
    items = [
        item._replace(ID=f"{copy}/{item.ID}", output=f"{copy}/{item.output}")
        for copy in range(arguments.copies)
        for item in list_items([arguments.data], "/nowhere", ".wav")
    ]
    alone = statistics.median(launch() for _ in range(20))
    print(
        f"{describe_machine('cpu')}. "
        f"{LAUNCHES} operations on the idle machine: "
        f"{1e3 * alone:.1f} ms"
    )
    print()
    table = [
        measure(device, items, workers)
        for workers in sorted(set(arguments.workers))
        for device in ("cpu", "cuda")
    ]
    print(markdown(list(table[0]), [list(row.values()) for row in table]))


if __name__ == "__main__":
    main()
