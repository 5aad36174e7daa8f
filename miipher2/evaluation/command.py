"""The ``miipher2 evaluate`` command.

Authors
 * The miipher2 authors 2026
"""

import argparse
import os
import sys
from collections import Counter
from pathlib import Path

from miipher2.errors import UserError


def add_parser(subparsers: argparse._SubParsersAction) -> None:
    """Add ``miipher2 evaluate`` to the command line.

    Arguments
    ---------
    subparsers : argparse._SubParsersAction
        The subparsers to which the command is added.

    Example
    -------
    >>> parser = argparse.ArgumentParser()
    >>> add_parser(parser.add_subparsers())
    >>> options = ["evaluate", "--restored", "out", "--output", "report"]
    >>> parser.parse_args(options).restored
    'out'
    """
    parser = subparsers.add_parser(
        "evaluate", help="compute objective metrics of restored recordings"
    )
    parser.add_argument(
        "--restored",
        metavar="DIR",
        required=True,
        help="folder of the restored recordings",
    )
    parser.add_argument(
        "--reference",
        metavar="DIR",
        help="folder of the clean recordings, for metrics with a reference",
    )
    parser.add_argument(
        "--input",
        metavar="DIR",
        help="folder of the recordings before restoration",
    )
    parser.add_argument(
        "--output",
        metavar="DIR",
        required=True,
        help="folder for files.csv, summary.md and report.html; run the same "
        "command again to resume an interrupted evaluation",
    )
    parser.add_argument(
        "--parquet",
        action="store_true",
        help="also write files.parquet",
    )
    parser.add_argument(
        "--quiet",
        action="store_true",
        help="hide the progress, the failed and missing files, and the summary",
    )
    parser.add_argument(
        "--gate",
        metavar="YAML",
        nargs="?",
        const="",
        help="apply the thresholds in this file and write the manifests "
        "keep.csv and reject.csv; without a file name, apply the default "
        "thresholds (docs/gate.md)",
    )
    _add_metrics(parser.add_argument_group("metrics"))
    _add_engine(parser.add_argument_group("engine"))
    parser.set_defaults(run=run)


def _add_metrics(group: argparse._ArgumentGroup) -> None:
    """Add the options that select metrics, texts and conditions."""
    group.add_argument(
        "--recogniser",
        metavar="FOLDER_OR_NAME",
        help="Whisper model for the word errors: a folder in CTranslate2 "
        "format, or a faster-whisper model name",
    )
    group.add_argument(
        "--transcripts",
        metavar="CSV",
        help="reference texts, with the columns ID (relative path or name of a "
        "restored file, without suffix) and text; default: the recogniser's "
        "output for the reference",
    )
    group.add_argument(
        "--conditions",
        metavar="CSV",
        help="conditions of the files, with the columns ID and condition; "
        "default: the top-level folders, if there are at least two and each "
        "file is in one of them",
    )
    group.add_argument(
        "--metrics",
        metavar="NAME,...",
        type=_metrics,
        help="one or more of dnsmos, pesq, estoi, sisdr, lsd, mcd, speaker, "
        "words, phonemes; default: all whose packages are installed",
    )


def _add_engine(group: argparse._ArgumentGroup) -> None:
    """Add the options for processes and shards."""
    group.add_argument(
        "--workers",
        type=_count,
        default=min(8, os.cpu_count() or 1),
        metavar="N",
        help="number of processes; default: %(default)s",
    )
    group.add_argument(
        "--num-shards",
        type=_count,
        default=1,
        metavar="N",
        help="number of shards, e.g. one for each machine",
    )
    group.add_argument(
        "--shard-index",
        type=int,
        default=0,
        metavar="I",
        help="index of the shard to score, from 0",
    )


def _count(text: str) -> int:
    """Parse a positive integer."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r}: expected 1 or more")
    return int(text)


def _metrics(text: str) -> list[str]:
    """Parse the value of ``--metrics``."""
    from miipher2.evaluation.metrics import METRICS

    names = [name.strip() for name in text.split(",")]
    for name in names:
        if name not in METRICS:
            raise argparse.ArgumentTypeError(
                f"{name!r}: expected one or more of {', '.join(METRICS)}"
            )
    return names


def run(arguments: argparse.Namespace) -> int:
    """Run ``miipher2 evaluate``.

    Arguments
    ---------
    arguments : argparse.Namespace
        The parsed arguments.

    Returns
    -------
    int
        1 if the report was written and files failed or are missing, 130 after
        Ctrl-C, 0 otherwise.
    """
    from miipher2.evaluation.evaluate import evaluate
    from miipher2.evaluation.gate import DEFAULT, Gate
    from miipher2.evaluation.keep_reject import apply_gate

    if Path(arguments.output).is_file():
        raise UserError(f"{arguments.output}: is a file; give a folder")
    if not 0 <= arguments.shard_index < arguments.num_shards:
        raise UserError(
            f"--shard-index {arguments.shard_index}: expected 0 to "
            f"{arguments.num_shards - 1} for --num-shards "
            f"{arguments.num_shards}"
        )
    gate = None
    if arguments.gate is not None:
        gate = Gate.load(arguments.gate or DEFAULT)
    try:
        report = evaluate(
            arguments.restored,
            arguments.output,
            reference=arguments.reference,
            source=arguments.input,
            recogniser=arguments.recogniser,
            transcripts=arguments.transcripts,
            conditions=arguments.conditions,
            metrics=arguments.metrics,
            workers=arguments.workers,
            shard=arguments.shard_index,
            num_shards=arguments.num_shards,
            parquet=arguments.parquet,
            quiet=arguments.quiet,
            gate=gate,
        )
    except KeyboardInterrupt:
        print(
            "interrupted; run the same command again to resume", file=sys.stderr
        )
        return 130
    if report is None:
        print("this shard is done; the last shard to finish writes the report")
        return 0
    if not arguments.quiet:
        print((report.folder / "summary.md").read_text("utf-8"))
    status = Counter(report.scores.status)
    parts = [
        f"{status.pop('done', 0)} scored",
        f"{status.pop('failed', 0)} failed",
    ]
    parts += [f"{count} {name}" for name, count in sorted(status.items())]
    print(f"{', '.join(parts)}: {arguments.output}")
    if gate is not None:
        print(apply_gate(gate, arguments.output, arguments.restored))
    return 1 if report.failed else 0
