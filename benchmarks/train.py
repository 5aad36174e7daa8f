"""Compare the training speeds of this package and a reference.

    python benchmarks/train.py --data SPEECH > tables.md

Both systems run stage 1 (``hparams/pa.yaml``) and stage 2
(``hparams/vocoder.yaml``) with HuBERT-large (random weights), a full-size
HiFi-GAN and its discriminators, on the same batches and with the same losses.
The reference computes all hidden states of the complete backbone in fp32, twice
per step in stage 1 (for degraded and clean speech) and once in stage 2. Like
other HiFi-GAN recipes, it runs the discriminators separately for each loss. The
time of data loading is not included.

Prints a Markdown table of steps per second and peak memory. Each row is
measured in a separate process. For a short run, use ``--size hubert-tiny
--batch-size 2``.

Authors
 * The miipher2 authors 2026
"""

import argparse
import math
import statistics
import sys
import tempfile
import time
from pathlib import Path

import jobs
import reference
import timing
from reference import SIZES
from timing import markdown
from train_systems import SYSTEMS, load_stage

STAGES = {"1, adapters": "pa", "2, vocoder": "vocoder"}
# Clips per batch. Both YAML files use 16, but 16 clips of 10 s exceed the
# memory of many machines.
BATCH_SIZES = {"pa": 4, "vocoder": 16}
TARGET = 3  # speed-up on a CPU
HEADER = (
    "stage",
    "system",
    "batch",
    "steps per s",
    "s per step",
    "CPU s per step",
    "GiB",
    "speed-up",
    "first loss",
)


# --------------------------------------------------------------------- jobs


def corpus(job):
    """Write a corpus and the backbone."""
    folder, chunks = Path(job["folder"]), reference.speech_chunks(job["data"])
    clips = job["batch_size"]  # enough clips for one batch without repetition
    for split, speakers in (("train", clips), ("valid", 1), ("test", 1)):
        for speaker in range(speakers):
            path = folder / "speech" / split / f"{split}{speaker}" / "a.wav"
            reference.write_recording(path, chunks, job["seconds"] + 2.0)
    reference.save_backbone(job["size"], folder / "backbone")
    yield {"machine": timing.describe_machine(job["device"])}


def batches(job):
    """Save the batches of a stage and the weights that later jobs load."""
    import torch

    folder, stage = Path(job["folder"]), job["stage"]
    hparams = load_stage(job, train_csv=folder / "train.csv")
    hparams["prepare"](
        hparams["data_folder"],
        hparams["train_csv"],
        hparams["valid_csv"],
        hparams["test_csv"],
    )
    loader = iter(hparams["train_loader"](hparams["train_set"]()))
    keys = ("id", "kind", "clean", "noisy", "target", "bandwidth", "cut")
    numbers = keys[-2:]
    saved = []
    for _ in range(job["steps"] + 1):
        batch = next(loader)
        columns = [getattr(batch, key) for key in keys]
        columns = [getattr(column, "data", column) for column in columns]
        saved.append(
            [
                {
                    key: float(value) if key in numbers else value
                    for key, value in zip(keys, row, strict=True)
                }
                for row in zip(*columns, strict=True)
            ]
        )
    torch.save(saved, folder / f"{stage}.pt")
    if stage == "pa":  # stage 2 loads these adapters
        hparams["export"](hparams, f"hparams/{stage}.yaml", {})
    else:  # both systems start from the same weights
        names = ("generator", "discriminator")
        weights = {name: hparams[name].state_dict() for name in names}
        torch.save(weights, folder / "initial.pt")
    yield {
        "batch_size": job["batch_size"],
        "segment": hparams["segment_seconds"],
    }


def measure(job):
    """Measure the step times of one system after a warm-up step."""
    import torch

    if job["device"] == "cpu" and job["system"] == "reference":
        timing.limit_memory()
    path = Path(job["folder"], f"{job['stage']}.pt")
    first, *others = torch.load(path, weights_only=False)
    now = timing.device_clock(job["device"])
    seconds, cpu_seconds, losses = [], [], []
    try:
        system = SYSTEMS[job["system"], job["stage"]](job)
        losses.append(system.step(first))
        for items in others:
            start, cpu = now(), time.process_time()
            losses.append(system.step(items))
            seconds.append(now() - start)
            cpu_seconds.append(time.process_time() - cpu)
            yield {
                "seconds": timing.median_and_range(seconds),
                "cpu seconds": statistics.median(cpu_seconds),
                "peak": timing.peak_gib(job["device"]),
                "losses": losses,
            }
    except (RuntimeError, MemoryError) as error:
        if not timing.is_out_of_memory(error):
            raise
        yield {"failed": "out of memory"}


def best(job):
    """Find the default precision of the device."""
    from miipher2.inference.precision import best_precision

    yield {"best": best_precision(job["device"])}


JOBS = {"corpus": corpus, "batches": batches, "measure": measure, "best": best}


# --------------------------------------------------------------------- main


def run(arguments, folder):
    """Measure both stages.

    Arguments
    ---------
    arguments : argparse.Namespace
        Parsed command line.
    folder : Path
        Folder for all outputs.

    Returns
    -------
    rows : list of list
        Cells of ``HEADER`` for each stage and system.
    machine : str
        Description of the machine.
    """
    execute = jobs.runner(
        __file__,
        ("measure",),
        folder=str(folder),
        device=arguments.device,
        size=arguments.size,
    )
    sizes = {
        stage: arguments.batch_size or default
        for stage, default in BATCH_SIZES.items()
    }
    machine = execute(
        "corpus",
        data=arguments.data,
        seconds=arguments.segment_seconds,
        batch_size=max(sizes.values()),
    )["machine"]
    precisions = dict.fromkeys(("fp32", execute("best")["best"]))
    systems = [("reference", "fp32"), *(("recipe", p) for p in precisions)]
    rows = []
    for title, stage in STAGES.items():
        print(f"{title} ...", file=sys.stderr, flush=True)
        longest = 4.0 if stage == "vocoder" else math.inf
        common = {
            "stage": stage,
            "seconds": min(longest, arguments.segment_seconds),
            "batch_size": sizes[stage],
        }
        execute("batches", steps=arguments.repeats, **common)
        common["limit"] = arguments.limit
        for name, cells in measure_stage(execute, systems, common):
            batch = f"{common['batch_size']} x {common['seconds']:g} s"
            rows.append([title, name, batch, *cells])
    return rows, machine


def measure_stage(execute, systems, common):
    """Measure all systems in one stage; yield their names and cells."""
    baseline = None
    for system, precision in systems:
        name = f"{system}, {precision}"
        figures = execute(
            "measure", system=system, precision=precision, **common
        )
        print(f"  {name}: {figures}", file=sys.stderr, flush=True)
        if system == "reference" and "seconds" in figures:
            baseline = figures["seconds"]["median"]
        yield name, format_cells(figures, baseline)


def format_cells(figures, baseline):
    """Return the cells of ``HEADER`` after the first three."""
    if "seconds" not in figures:
        return [figures["failed"], *[None] * 5]
    seconds = figures["seconds"]["median"]
    return [
        1 / seconds,
        timing.format_range(figures["seconds"]),
        figures["cpu seconds"],
        timing.format_memory(figures["peak"]),
        baseline and baseline / seconds,
        figures["losses"][0],
    ]


def report(rows, machine, arguments):
    """Format the rows as Markdown; on a CPU, add the speed-up target."""
    gpu = arguments.device != "cpu"
    blocks = [
        f"{machine}, {arguments.device}. {arguments.size}; median of "
        f"{arguments.repeats} steps. Memory: "
        f"peak resident{' + GPU' if gpu else ''} memory.",
        markdown(HEADER, rows),
    ]
    if not gpu:
        lines = []
        for title in STAGES:
            found = [row[7] for row in rows if row[0] == title and row[7]]
            fastest, met = max(found, default=None), "-"
            if found:
                met = "yes" if fastest >= TARGET else "**no**"
            lines.append([title, f">= {TARGET}", fastest, met])
        header = ("speed-up, stage", "target", "found", "met")
        blocks.append(markdown(header, lines))
    return "\n\n".join(blocks) + "\n"


def main(arguments=None):
    """Parse the command line, measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    jobs.add_options(parser)
    parser.add_argument(
        "--size",
        choices=SIZES,
        default="hubert-large",
        help="backbone; hubert-tiny is for short runs",
    )
    parser.add_argument(
        "--batch-size",
        type=int,
        metavar="N",
        help="clips per batch; default: 4 in stage 1, 16 in stage 2",
    )
    parser.add_argument(
        "--segment-seconds",
        type=float,
        default=10.0,
        metavar="S",
        help="duration of a clip; at most 4 s in stage 2",
    )
    arguments = parser.parse_args(arguments)
    if arguments.job:
        jobs.run_job(JOBS, arguments.job)
        return
    start = time.time()
    with tempfile.TemporaryDirectory() as folder:
        rows, machine = run(arguments, Path(folder))
    print(report(rows, machine, arguments))
    print(f"{time.time() - start:.0f} s in total", file=sys.stderr)


if __name__ == "__main__":
    main()
