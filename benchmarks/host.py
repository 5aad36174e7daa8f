"""What reading and writing takes of a machine, beside a model that is free.

    python benchmarks/host.py --data SPEECH > tables.md

Restores a folder by a model that gives back what it gets, with threads that
read and write and with processes, as there are beside a GPU. Meanwhile, for
every batch of 640 s, a network's worth of tiny operations is launched by
Python, as a GPU has to be told each of them; what that takes longer than alone
is what a GPU would wait. Prints a table in Markdown.

Authors
 * The miipher2 authors 2026
"""

import argparse
import os
import statistics
import tempfile
import time

from speed import machine, markdown, processor_seconds

LAUNCHES = 1500  # about as many as HuBERT-large and HiFi-GAN have


class Echo:
    """Stands where the model is; counts how long launching takes."""

    device, identity = "cpu", "echo"
    input_rate = sample_rate = 16000
    hop_length = 320

    def __init__(self):
        from miipher2.inference.windows import WindowPlan

        self.plan = WindowPlan(1000, 100, self.hop_length)
        self.launching = []

    def restore_windows(self, wavs, lengths=None, windows=(), states=None):
        """Gives back the batch."""
        self.launching.append(launch())
        return wavs, {}

    def output_samples(self, samples):
        """As many."""
        return samples


def launch():
    """Seconds that tiny operations take, one by one."""
    import torch

    start, x = time.perf_counter(), torch.zeros(4)
    for _ in range(LAUNCHES):
        x = x + 1
    return time.perf_counter() - start


def measure(kind, items, workers):
    """Restores items; gives a row of the table."""
    from miipher2.inference.batching import Engine
    from miipher2.inference.corpus import local
    from miipher2.inference.job import Settings

    echo, rows = Echo(), []
    with tempfile.TemporaryDirectory() as output:
        pipeline = local.pipeline_for(kind)(
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
    lost = [row for row in rows if row.status == "failed"]
    if lost:
        raise RuntimeError(f"{lost[0].input}: {lost[0].reason}")
    sound = sum(row.seconds * row.channels for row in rows)
    return {
        "beside": {"cpu": "threads", "cuda": "processes"}[kind],
        "workers": workers,
        "x real time": round(sound / seconds),
        "processor s an hour": round(3600 * (own + others) / sound, 2),
        "of it the main process": round(3600 * own / sound, 2),
        "ms to launch": round(1e3 * statistics.median(echo.launching), 1),
    }


def main():
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", required=True, help="a folder of recordings")
    parser.add_argument(
        "--workers",
        type=int,
        nargs="+",
        default=[1, 2, min(8, os.cpu_count() or 1)],
    )
    parser.add_argument(
        "--copies", type=int, default=1, help="of the folder, one after another"
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
        f"{machine('cpu')}. {LAUNCHES} operations alone: {1e3 * alone:.1f} ms"
    )
    print()
    table = [
        measure(kind, items, workers)
        for workers in sorted(set(arguments.workers))
        for kind in ("cpu", "cuda")
    ]
    print(markdown(list(table[0]), [list(row.values()) for row in table]))


if __name__ == "__main__":
    main()
