"""Score a model on a fixed set of degraded speech.

    python benchmarks/quality.py make --data DATA --output SET
    python benchmarks/quality.py score SET --model MODEL --recogniser WHISPER

DATA is a folder with a ``manifest.csv`` (path, seconds, speaker, split): clean
speech below ``speech``, ``speech16`` and ``speech24``, noise below ``noise``
(music in files named ``music_*``), impulse responses below ``rir``. Only the
split ``valid`` is used, and the clips are from speakers without any recording in
training. The same data and seed give the same bytes.

``make`` writes ``SET/<condition>/{input,clean}/<clip>.wav`` and ``SET/set.csv``.
``score`` compares input, RNNoise, restored and clean recordings and checks the
targets. The output of RNNoise is cached in ``SET/rnnoise``, all scores in
``SET/scores.json``.

Authors
 * The miipher2 authors 2026
"""

import argparse
import math
import operator
import resource
import time
from collections import defaultdict
from pathlib import Path

import torch
from quality_clips import RATE
from quality_extra import EXTRA, EXTRA_COLUMNS, extra_scores
from quality_set import DEGRADED, make
from systems import (
    BandLSD,
    CachedRecogniser,
    ScoreCache,
    rnnoise,
    table,
)
from tqdm import tqdm

from miipher2.dataio.atomic import write_text
from miipher2.dataio.audio import read_audio, write_audio
from miipher2.dataio.tables import read_table, write_table
from miipher2.errors import UserError, one_line_errors
from miipher2.evaluation.metrics import load_metrics
from miipher2.evaluation.report import means

SYSTEMS = {
    "input": "input",
    "rnnoise": "RNNoise",
    "restored": "restored",
    "clean": "clean",
}
# If Whisper repeats itself, one file has an error rate of hundreds of percent and
# dominates the mean. So the capped mean is shown as well.
CAPPED = "CER %, at most 100 per file"
COMPARE = {
    ">=": operator.ge,
    ">": operator.gt,
    "<=": operator.le,
    "<": operator.lt,
}


def score(arguments):
    """Score all systems and write the report."""
    root = Path(arguments.set)
    report = Path(arguments.output or root / "report")
    needed = ("condition", "clip", "seconds", "cutoff_hz")
    rows = [row for _, row in read_table(root / "set.csv", needed)]
    if not rows:
        raise UserError(f"{root / 'set.csv'}: expected at least one row")
    folders = {
        "input": (root, "input"),
        "rnnoise": (root / "rnnoise", ""),
        "restored": (Path(arguments.restored or report / "restored"), ""),
        "clean": (root, "clean"),
    }

    def path(system, row):
        folder, side = folders[system]
        return folder / row["condition"] / side / f"{row['clip']}.wav"

    speed, absent = {}, set()
    if arguments.model:
        speed = restore(arguments.model, rows, path)
    elif arguments.restored:
        for file in (path("restored", row) for row in rows):
            if not file.is_file():
                raise UserError(f"{file}: not found; restore every input")
    else:
        absent.add("restored")
    metrics, remarks = load_metrics(arguments.recogniser)
    for metric in metrics:
        if hasattr(metric, "model"):
            metric.model = CachedRecogniser(metric.model)
    try:
        for row in tqdm(rows, "RNNoise", unit="file", disable=None):
            denoise(path("input", row), path("rnnoise", row))
    except ImportError as error:
        remarks.append(f"RNNoise: left out: {error}; pip install pyrnnoise")
        absent.add("rnnoise")
    systems = {s: name for s, name in SYSTEMS.items() if s not in absent}
    cache = ScoreCache(root / "scores.json")
    columns = score_files(rows, metrics, systems, path, cache)
    names = [f"{system}_{c}" for c in columns for system in systems]
    write_table(report / "files.csv", ("condition", "clip", *names), rows)
    text = describe(rows, columns, systems, speed)
    remarks += describe_metrics(metrics)
    text += "".join(f"- {remark}\n" for remark in remarks)
    write_text(report / "quality.md", text)
    print(text)
    print(f"{len(rows)} files, {cache.measured} new scores: {report}")


def score_files(rows, metrics, systems, path, cache):
    """Add the scores of all systems to the rows.

    Arguments
    ---------
    rows : list of dict
        Rows of ``set.csv``; they get ``<system>_<column>``.
    metrics : list of Metric
        Metrics of every file.
    systems : dict
        Heading by system.
    path : callable
        ``path(system, row)`` returns the recording of a system.
    cache : ScoreCache
        Known scores.

    Returns
    -------
    dict
        Heading by column.
    """
    columns = {}
    for row in tqdm(rows, "scores", unit="file", disable=None):
        for system in systems:
            files = (path(side, row) for side in (system, "input", "clean"))
            scores = extra_scores(row["condition"], *files)
            columns.update({c: EXTRA_COLUMNS[c] for c in scores})
            row.update({f"{system}_{c}": v for c, v in scores.items()})
        if row["condition"] in ("upper-band", "no-speech"):
            continue
        cutoff = row["cutoff_hz"]
        band = [BandLSD(float(cutoff))] if cutoff else []
        for metric in metrics + band:
            columns.update(metric.columns)
        if "cer" in columns:
            columns["cer_capped"] = CAPPED
        file = f"{row['condition']}/{row['clip']}"
        for system in systems:
            recording, clean = path(system, row), path("clean", row)
            scores = cache.scores(metrics + band, file, recording, clean)
            if "cer" in scores:
                scores["cer_capped"] = min(scores["cer"], 100.0)
            row.update({f"{system}_{c}": v for c, v in scores.items()})
        cache.write()  # after each file, in case the run is stopped
    return columns


def denoise(source, target):
    """Denoise a file with RNNoise, unless the output is up to date."""
    if target.exists() and target.stat().st_mtime > source.stat().st_mtime:
        return
    wav = torch.from_numpy(rnnoise(read_audio(source, RATE).numpy()))
    write_audio(target, wav.clamp(-1, 1), RATE)


def restore(model, rows, path):
    """Restore every input; return speed, load time and peak memory."""
    from miipher2.inference.restorer import Restorer

    start = time.perf_counter()
    restorer = Restorer.from_hparams(model, run_opts={"device": "cpu"})
    load, spent = time.perf_counter() - start, 0.0
    for row in tqdm(rows, "restoring", unit="file", disable=None):
        start = time.perf_counter()
        restorer.restore_file(path("input", row), path("restored", row))
        spent += time.perf_counter() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    audio = sum(float(row["seconds"]) for row in rows)
    return {"speed": audio / spent, "load": load, "memory": peak}


def describe(rows, columns, systems, speed):
    """Format a table for each metric and, for a model, the targets."""
    figures = {c: summarise(rows, c, systems) for c in columns}
    tables = [table(columns[c], figures[c], systems) for c in columns]
    if "restored" in systems:
        tables.append(check_targets(figures, speed))
    return "\n\n".join(tables) + "\n\n"


def describe_metrics(metrics):
    """Return remarks on the metrics and the versions of their packages."""
    lines = [m.remark(m.reference_side(["restored", "clean"])) for m in metrics]
    packages = {v: 0 for metric in metrics for v in metric.versions()}
    if packages:
        lines.append(f"Measured with {', '.join(packages)}")
    return [f"mean: without clean input, {', '.join(EXTRA)}", *lines]


def summarise(rows, column, systems):
    """Return means by condition, over all degraded ones, and of clean input."""
    groups = defaultdict(list)
    for row in rows:
        groups[row["condition"]].append(row)
    found = {n: means(group, column, systems) for n, group in groups.items()}
    found = {
        name: scores
        for name, scores in found.items()
        if not all(map(math.isnan, scores.values()))
    }
    extra = {name: found.pop(name) for name in EXTRA if name in found}
    degraded = [scores for name, scores in found.items() if name != "clean"]
    if len(degraded) > 1:
        found["mean"] = {
            s: sum(scores[s] for scores in degraded) / len(degraded)
            for s in systems
        }
    if "clean" in found:  # last, since it is not part of the mean
        found["clean input"] = found.pop("clean")
    return {**found, **extra}


class Differences:
    """Scores of the restored speech relative to those of other systems.

    A score that is missing is NaN.

    Arguments
    ---------
    figures : dict
        Column -> condition -> system -> mean score.
    """

    def __init__(self, figures):
        self.figures = figures

    def value(self, column, condition, system="restored"):
        """Return the mean score of a system."""
        scores = self.figures.get(column, {}).get(condition, {})
        return scores.get(system, math.nan)

    def above(self, column, condition, other):
        """Return by how much the restored speech exceeds another system."""
        return self.value(column, condition) - self.value(
            column, condition, other
        )

    def extreme(self, pick, column, conditions, other):
        """Return the ``min`` or ``max`` of ``above``, and its condition."""
        found = [(self.above(column, c, other), c) for c in conditions]
        return pick([pair for pair in found if math.isnan(pair[0])] or found)


def targets(figures, speed):
    """Return the targets: name -> (bound, value, condition if any)."""
    scores = Differences(figures)
    value, above, extreme = scores.value, scores.above, scores.extreme
    loud = ("noise", "babble", "reverb", "packet-loss", "mixed")
    dull = ("noise", "babble", "band-limit", "codec", "mixed")
    band = value("lsd_above", "band-limit")
    band /= value("lsd_above", "band-limit", "input") or math.nan
    louds, dulls = ", ".join(loud), ", ".join(dull)
    return {
        "OVRL minus input, mean": (">= 0.45", above("ovrl", "mean", "input")),
        "OVRL minus RNNoise, mean": ("> 0", above("ovrl", "mean", "rnnoise")),
        f"OVRL minus input, lowest of {louds}": (
            "> 0",
            *extreme(min, "ovrl", loud, "input"),
        ),
        f"OVRL minus RNNoise, lowest of {louds}": (
            "> 0",
            *extreme(min, "ovrl", loud, "rnnoise"),
        ),
        "OVRL minus input, lowest of all": (
            ">= -0.1",
            *extreme(min, "ovrl", DEGRADED, "input"),
        ),
        "LSD minus input, mean": ("< 0", above("lsd", "mean", "input")),
        f"LSD minus input, highest of {dulls}": (
            "< 0",
            *extreme(max, "lsd", dull, "input"),
        ),
        "LSD above the cut-off, relative to the input": ("<= 0.6", band),
        "speaker similarity, mean": (">= 0.8", value("speaker", "mean")),
        "CER minus input, mean": ("<= 5", above("cer", "mean", "input")),
        "CER minus input, at most 100 % per file": (
            "<= 5",
            above("cer_capped", "mean", "input"),
        ),
        "clean input: PESQ-WB": (">= 2.3", value("pesq_wb", "clean input")),
        "clean input: speaker similarity": (
            ">= 0.85",
            value("speaker", "clean input"),
        ),
        "clean input: CER": ("< 5", value("cer", "clean input")),
        "times real time": (">= 20", speed.get("speed", math.nan)),
        "seconds to load the model": ("< 3", speed.get("load", math.nan)),
        "GiB of memory": ("< 1.5", speed.get("memory", math.nan)),
    }


def check_targets(figures, speed):
    """Format the targets, what was found, and whether they are met."""
    lines = ["| | target | found | met |", "|---|---|---|---|"]
    for name, (target, found, *condition) in targets(figures, speed).items():
        cell, met = "-", "-"
        if math.isfinite(found):
            sign, bound = target.split()
            cell = " ".join([f"{found:.2f}", *(f"({c})" for c in condition)])
            met = "yes" if COMPARE[sign](found, float(bound)) else "**no**"
        lines.append(f"| {name} | {target} | {cell} | {met} |")
    return "\n".join(lines)


def main(arguments=None):
    """Parse the command line and run the subcommand."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(required=True)
    command = commands.add_parser("make", help="make the set")
    command.add_argument(
        "--data", required=True, metavar="DATA", help="has a manifest.csv"
    )
    command.add_argument(
        "--output", required=True, metavar="SET", help="a new folder"
    )
    command.add_argument(
        "--clips", type=int, default=24, metavar="N", help="per condition"
    )
    command.add_argument(
        "--seed", type=int, default=1, help="the same seed, the same set"
    )
    command.set_defaults(run=make)
    command = commands.add_parser("score", help="score a model on the set")
    command.add_argument("set", metavar="SET", help="made by make")
    side = command.add_mutually_exclusive_group()
    side.add_argument(
        "--restored", metavar="DIR", help="has <condition>/<clip>.wav"
    )
    side.add_argument(
        "--model", metavar="FOLDER", help="restores the inputs first"
    )
    command.add_argument(
        "--output", metavar="REPORT", help="default: SET/report"
    )
    command.add_argument(
        "--recogniser",
        metavar="FOLDER_OR_NAME",
        help="faster-whisper model for the character error rate",
    )
    command.set_defaults(run=score)
    arguments = parser.parse_args(arguments)
    arguments.run(arguments)


if __name__ == "__main__":
    with one_line_errors():
        main()
