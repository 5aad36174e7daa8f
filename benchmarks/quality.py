"""Score a model on a fixed set of degraded speech.

    python benchmarks/quality.py make --data DATA --output SET
    python benchmarks/quality.py score SET --model MODEL --recogniser WHISPER
    python benchmarks/quality.py report SET --model MODEL \\
        --recogniser WHISPER --output REPORT

DATA is a folder with a ``manifest.csv`` (columns path, seconds, speaker and
split). Clean speech is in ``speech``, ``speech16`` and ``speech24``, noise in
``noise`` (music in files named ``music_*``), and impulse responses in ``rir``.
Only the ``valid`` split is used; the clips are from speakers who have no
recordings in training. The same data, seed and package versions give identical
files.

``make`` writes ``SET/{input,clean}/<condition>/<clip>.wav`` and
``SET/set.csv``; the additional conditions (``quality_extra``) are in
``SET/extra``. ``score`` scores the inputs, the output of RNNoise, and the
restored and clean recordings, and compares the scores with the targets in
``quality_targets``. The output of RNNoise is cached in ``SET/rnnoise`` and
``SET/extra/rnnoise``, and all scores except those of ``quality_extra`` in
``SET/scores.json``. ``report`` writes the report of ``miipher2 evaluate`` for
one system, without the conditions in ``SET/extra``.

Authors
 * The miipher2 authors 2026
"""

import argparse
import math
import resource
import time
from collections import defaultdict
from pathlib import Path

import torch
from quality_clips import RATE
from quality_extra import EXTRA, EXTRA_COLUMNS, extra_scores
from quality_set import make
from quality_targets import check_targets
from systems import (
    BandLSD,
    ScoreCache,
    rnnoise,
    table,
)
from tqdm import tqdm

from miipher2.dataio.atomic import write_text
from miipher2.dataio.audio import read_audio, write_audio
from miipher2.dataio.tables import read_table, write_table
from miipher2.errors import UserError, one_line_errors
from miipher2.evaluation.evaluate import evaluate
from miipher2.evaluation.metrics import load_metrics
from miipher2.evaluation.report import means

SYSTEMS = {
    "input": "input",
    "rnnoise": "RNNoise",
    "restored": "restored",
    "clean": "clean",
}


def read_set(root):
    """Return the rows of ``set.csv``."""
    needed = ("condition", "clip", "seconds", "cutoff_hz")
    rows = [row for _, row in read_table(root / "set.csv", needed)]
    if not rows:
        raise UserError(f"{root / 'set.csv'}: expected at least one row")
    return rows


def clip_path(root, side, row):
    """Return the path of a clip below the folder ``side``."""
    if row["condition"] in EXTRA:
        root = root / "extra"
    return root / side / row["condition"] / f"{row['clip']}.wav"


def report(arguments):
    """Write the report of ``miipher2 evaluate`` for one system."""
    root, output = Path(arguments.set), Path(arguments.output)
    rows = [row for row in read_set(root) if row["condition"] not in EXTRA]
    roots = {"input": root, "rnnoise": root, "restored": output}

    def path(system, row):
        return clip_path(roots[system], system, row)

    source, restored = root / "input", output / "restored"
    if arguments.model:
        restore(arguments.model, rows, path)
    elif arguments.rnnoise:
        restored = root / "rnnoise"
        for row in tqdm(rows, "RNNoise", unit="file", disable=None):
            denoise(path("input", row), path("rnnoise", row))
    else:
        source, restored = None, source
    found = evaluate(
        restored,
        output,
        reference=root / "clean",
        source=source,
        recogniser=arguments.recogniser,
        workers=arguments.workers,
    )
    print(found.table())


def score(arguments):
    """Score all systems; write the scores and a summary."""
    root = Path(arguments.set)
    report = Path(arguments.output or root / "report")
    rows = read_set(root)
    restored = Path(arguments.restored or report / "restored")

    def path(system, row):
        if system == "restored":
            return clip_path(restored, "", row)
        return clip_path(root, system, row)

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
        Rows of ``set.csv``, to which ``<system>_<column>`` is added.
    metrics : list of Metric
        Metrics to compute, in all conditions except ``upper-band`` and
        ``no-speech``.
    systems : dict
        Heading by system.
    path : callable
        ``path(system, row)`` returns the path of a system's recording.
    cache : ScoreCache
        Scores of earlier runs.

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
        file = f"{row['condition']}/{row['clip']}"
        for system in systems:
            recording, clean = path(system, row), path("clean", row)
            scores = cache.scores(metrics + band, file, recording, clean)
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
    """Format a table for each score and, for restored speech, the targets."""
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
    return [f"The mean excludes clean input, {', '.join(EXTRA)}", *lines]


def summarise(rows, column, systems):
    """Return the means by condition and the mean over degraded conditions."""
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
    if "clean" in found:  # after the mean, which excludes it
        found["clean input"] = found.pop("clean")
    return {**found, **extra}


def main(arguments=None):
    """Parse the command line and run the subcommand."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(required=True)
    command = commands.add_parser("make", help="write the test set")
    command.add_argument(
        "--data",
        required=True,
        metavar="DATA",
        help="folder that contains a manifest.csv",
    )
    command.add_argument(
        "--output", required=True, metavar="SET", help="a new folder"
    )
    command.add_argument(
        "--clips",
        type=int,
        default=24,
        metavar="N",
        help="number of clips per condition",
    )
    command.add_argument("--seed", type=int, default=1, help="random seed")
    command.set_defaults(run=make)
    command = commands.add_parser("score", help="score a model on the test set")
    command.add_argument("set", metavar="SET", help="test set written by make")
    group = command.add_mutually_exclusive_group()
    group.add_argument(
        "--restored",
        metavar="DIR",
        help="folder of <condition>/<clip>.wav and "
        "extra/<condition>/<clip>.wav",
    )
    group.add_argument(
        "--model", metavar="FOLDER", help="restore the inputs with this model"
    )
    command.add_argument(
        "--output",
        metavar="REPORT",
        help="folder of the report; default: SET/report",
    )
    command.add_argument(
        "--recogniser",
        metavar="FOLDER_OR_NAME",
        help="faster-whisper model for error rates",
    )
    command.set_defaults(run=score)
    command = commands.add_parser(
        "report", help="write a report on a model, RNNoise or the inputs"
    )
    command.add_argument("set", metavar="SET", help="test set written by make")
    group = command.add_mutually_exclusive_group()
    group.add_argument(
        "--model", metavar="FOLDER", help="restore the inputs with this model"
    )
    group.add_argument(
        "--rnnoise", action="store_true", help="denoise the inputs with RNNoise"
    )
    command.add_argument("--output", metavar="REPORT", required=True)
    command.add_argument(
        "--recogniser",
        metavar="FOLDER_OR_NAME",
        help="faster-whisper model for error rates",
    )
    command.add_argument("--workers", type=int, default=1, metavar="N")
    command.set_defaults(run=report)
    arguments = parser.parse_args(arguments)
    arguments.run(arguments)


if __name__ == "__main__":
    with one_line_errors():
        main()
