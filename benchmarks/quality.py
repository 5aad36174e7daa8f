"""How well a model restores: a fixed set of damaged speech, and its scores.

    python benchmarks/quality.py make --data DATA --output SET
    python benchmarks/quality.py score SET --model MODEL --recogniser WHISPER

DATA is a folder with a ``manifest.csv`` (path, seconds, speaker, split): clean
speech below ``speech``, ``speech16`` and ``speech24``, noise below ``noise``
(music in files named ``music_*``), rooms below ``rir``. Of it only what is held
out (``valid``) is used, and of its speech to restore only the speakers that are
not in training at all. The same data and seed give the same bytes.

SET gets ``<condition>/{input,clean}/<clip>.wav`` and ``set.csv``. Scoring puts
the input, RNNoise, the restored and the clean recordings side by side and says
what of the aims is met. What RNNoise makes of it is kept in ``SET/rnnoise``,
the scores of all in ``SET/scores.json``.

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
from quality_set import DAMAGE, RATE, make, read_csv, write_csv
from systems import (
    BandLSD,
    Remembered,
    ScoreBook,
    means,
    rnnoise,
    table,
)
from tqdm import tqdm

from miipher2.dataio.atomic import write_text
from miipher2.dataio.audio import read_audio, write_audio
from miipher2.errors import UserError, one_line_errors
from miipher2.evaluation.metrics import load_metrics

SYSTEMS = {
    "input": "input",
    "rnnoise": "RNNoise",
    "restored": "restored",
    "clean": "clean",
}
# A recogniser that repeats itself makes hundreds of percent of one file, which
# then is most of a mean: both are shown.
CAPPED = "CER %, at most 100 a file"
COMPARE = {
    ">=": operator.ge,
    ">": operator.gt,
    "<=": operator.le,
    "<": operator.lt,
}


def score(arguments):
    """Scores all systems and writes the report."""
    home = Path(arguments.set)
    report = Path(arguments.output or home / "report")
    needed = ("condition", "clip", "seconds", "cutoff_hz")
    rows = read_csv(home / "set.csv", needed)
    folders = {
        "input": (home, "input"),
        "rnnoise": (home / "rnnoise", ""),
        "restored": (Path(arguments.restored or report / "restored"), ""),
        "clean": (home, "clean"),
    }

    def place(system, row):
        folder, side = folders[system]
        return folder / row["condition"] / side / f"{row['clip']}.wav"

    speed = {}
    if arguments.model:
        speed = restore(arguments.model, rows, place)
    elif arguments.restored:
        for path in (place("restored", row) for row in rows):
            if not path.is_file():
                raise UserError(f"{path}: not there; restore every input")
    else:
        del folders["restored"]
    metrics, remarks = load_metrics(arguments.recogniser)
    for metric in metrics:
        if hasattr(metric, "model"):
            metric.model = Remembered(metric.model)
    try:
        for row in tqdm(rows, "RNNoise", unit="file", disable=None):
            denoise(place("input", row), place("rnnoise", row))
    except ImportError as error:
        remarks.append(f"RNNoise: left out: {error}; pip install pyrnnoise")
        del folders["rnnoise"]
    systems = {s: name for s, name in SYSTEMS.items() if s in folders}
    book, columns = ScoreBook(home / "scores.json"), {}
    for row in tqdm(rows, "scores", unit="file", disable=None):
        cutoff = row["cutoff_hz"]
        band = [BandLSD(float(cutoff))] if cutoff else []
        for metric in metrics + band:
            columns.update(metric.columns)
        if "cer" in columns:
            columns["cer_capped"] = CAPPED
        file = f"{row['condition']}/{row['clip']}"
        for system in systems:
            recording, clean = place(system, row), place("clean", row)
            found = book.scores(metrics + band, file, recording, clean)
            if "cer" in found:
                found["cer_capped"] = min(found["cer"], 100.0)
            row.update({f"{system}_{c}": v for c, v in found.items()})
        book.write()  # now, so that nothing is lost when it is stopped
    names = [f"{system}_{c}" for c in columns for system in systems]
    write_csv(report / "files.csv", ("condition", "clip", *names), rows)
    text = describe(rows, columns, systems, speed)
    remarks += describe_metrics(metrics)
    text += "".join(f"- {remark}\n" for remark in remarks)
    write_text(report / "quality.md", text)
    print(text)
    print(f"{len(rows)} files, {book.measured} scores were new: {report}")


def denoise(source, target):
    """RNNoise on one file, unless that has been done."""
    if target.exists() and target.stat().st_mtime > source.stat().st_mtime:
        return
    heard = torch.from_numpy(rnnoise(read_audio(source, RATE).numpy()))
    write_audio(target, heard.clamp(-1, 1), RATE)


def restore(model, rows, place):
    """Restores every input; gives speed, seconds to load, and memory."""
    from miipher2.inference.restorer import Restorer

    start = time.perf_counter()
    restorer = Restorer.from_hparams(model, run_opts={"device": "cpu"})
    load, spent = time.perf_counter() - start, 0.0
    for row in tqdm(rows, "restoring", unit="file", disable=None):
        start = time.perf_counter()
        restorer.restore_file(place("input", row), place("restored", row))
        spent += time.perf_counter() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    audio = sum(float(row["seconds"]) for row in rows)
    return {"speed": audio / spent, "load": load, "memory": peak}


def describe(rows, columns, systems, speed):
    """A table for each metric and, of restored speech, the aims."""
    figures = {c: summarise(rows, c, systems) for c in columns}
    parts = [table(columns[c], figures[c], systems) for c in columns]
    if "restored" in systems:
        parts.append(checklist(figures, speed))
    return "\n\n".join(parts) + "\n\n"


def describe_metrics(metrics):
    """What the scores are and which packages they come from."""
    lines = [m.remark(m.target(["restored", "clean"])) for m in metrics]
    packages = {v: 0 for metric in metrics for v in metric.versions()}
    if packages:
        lines.append(f"Measured with {', '.join(packages)}")
    return ["mean: of all conditions but clean input", *lines]


def summarise(rows, column, systems):
    """Means by condition, of the damaged ones together, and of clean input."""
    groups = defaultdict(list)
    for row in rows:
        groups[row["condition"]].append(row)
    found = {n: means(group, column, systems) for n, group in groups.items()}
    found = {
        name: scores
        for name, scores in found.items()
        if not all(map(math.isnan, scores.values()))
    }
    damaged = [scores for name, scores in found.items() if name != "clean"]
    if len(damaged) > 1:
        found["mean"] = {
            s: sum(scores[s] for scores in damaged) / len(damaged)
            for s in systems
        }
    if "clean" in found:  # last, as it does not count in the mean
        found["clean input"] = found.pop("clean")
    return found


def checklist(figures, speed):
    """What has to be seen, what was, and whether that is enough."""

    def value(column, row, system="restored"):
        scores = figures.get(column, {}).get(row, {})
        return scores.get(system, math.nan)

    def above(column, row, other):
        return value(column, row) - value(column, row, other)

    def worst(pick, column, rows, other):
        found = [(above(column, row, other), row) for row in rows]
        return pick([pair for pair in found if math.isnan(pair[0])] or found)

    loud = ("noise", "babble", "reverb", "packet-loss", "mixed")
    dull = ("noise", "babble", "band-limit", "codec", "mixed")
    band = value("lsd_above", "band-limit")
    band /= value("lsd_above", "band-limit", "input") or math.nan
    similar, kept = value("speaker", "mean"), value("speaker", "clean input")
    aims = {
        "OVRL above the input, mean": (
            ">= 0.45",
            above("ovrl", "mean", "input"),
        ),
        "OVRL above RNNoise, mean": ("> 0", above("ovrl", "mean", "rnnoise")),
        f"OVRL above the input, least of {', '.join(loud)}": (
            "> 0",
            *worst(min, "ovrl", loud, "input"),
        ),
        f"OVRL above RNNoise, least of {', '.join(loud)}": (
            "> 0",
            *worst(min, "ovrl", loud, "rnnoise"),
        ),
        "OVRL above the input, least of all": (
            ">= -0.1",
            *worst(min, "ovrl", DAMAGE, "input"),
        ),
        "LSD above the input, mean": ("< 0", above("lsd", "mean", "input")),
        f"LSD above the input, most of {', '.join(dull)}": (
            "< 0",
            *worst(max, "lsd", dull, "input"),
        ),
        "LSD above the cut-off, share of the input's": ("<= 0.6", band),
        "speaker similarity, mean": (">= 0.8", similar),
        "CER above the input, mean": ("<= 5", above("cer", "mean", "input")),
        "the same, at most 100 % a file": (
            "<= 5",
            above("cer_capped", "mean", "input"),
        ),
        "clean input: PESQ-WB": (">= 2.3", value("pesq_wb", "clean input")),
        "clean input: speaker similarity": (">= 0.85", kept),
        "clean input: CER": ("< 5", value("cer", "clean input")),
        "times faster than real time": (">= 20", speed.get("speed", math.nan)),
        "seconds to load the model": ("< 3", speed.get("load", math.nan)),
        "GiB of memory": ("< 1.5", speed.get("memory", math.nan)),
    }
    lines = ["| aim | wanted | found | met |", "|---|---|---|---|"]
    for aim, (wanted, found, *where) in aims.items():
        shown, met = "-", "-"
        if math.isfinite(found):
            sign, bound = wanted.split()
            shown = " ".join([f"{found:.2f}", *(f"({row})" for row in where)])
            met = "yes" if COMPARE[sign](found, float(bound)) else "**no**"
        lines.append(f"| {aim} | {wanted} | {shown} | {met} |")
    return "\n".join(lines)


def main(arguments=None):
    """Reads the command line and runs it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(required=True)
    command = commands.add_parser("make", help="make the set")
    command.add_argument("--data", required=True, metavar="DATA")
    command.add_argument("--output", required=True, metavar="SET")
    command.add_argument("--clips", type=int, default=24, metavar="N")
    command.add_argument("--seed", type=int, default=1)
    command.set_defaults(run=make)
    command = commands.add_parser("score", help="score a model on it")
    command.add_argument("set", metavar="SET")
    side = command.add_mutually_exclusive_group()
    side.add_argument(
        "--restored", metavar="DIR", help="holds <condition>/<clip>.wav"
    )
    side.add_argument("--model", metavar="FOLDER", help="restores them here")
    command.add_argument(
        "--output", metavar="REPORT", help="default: SET/report"
    )
    command.add_argument(
        "--recogniser",
        metavar="FOLDER_OR_NAME",
        help="a Whisper for faster-whisper, for the character error rate",
    )
    command.set_defaults(run=score)
    arguments = parser.parse_args(arguments)
    arguments.run(arguments)


if __name__ == "__main__":
    with one_line_errors():
        main()
