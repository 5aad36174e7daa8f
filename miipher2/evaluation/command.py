"""The command ``miipher2 evaluate``.

Authors
 * The miipher2 authors 2026
"""

import argparse
from pathlib import Path

from miipher2.errors import UserError


def add_parser(subparsers: argparse._SubParsersAction) -> None:
    """Add ``miipher2 evaluate`` to the command line.

    Arguments
    ---------
    subparsers : argparse._SubParsersAction
        Gets the command.

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
        help="the restored recordings",
    )
    parser.add_argument(
        "--reference",
        metavar="DIR",
        help="the clean recordings, for metrics with a reference",
    )
    parser.add_argument(
        "--input", metavar="DIR", help="the recordings before restoration"
    )
    parser.add_argument(
        "--output",
        metavar="DIR",
        required=True,
        help="folder for files.csv, summary.md and report.html",
    )
    parser.add_argument(
        "--recogniser",
        metavar="FOLDER_OR_NAME",
        help="Whisper model of faster-whisper, for the character error rate",
    )
    parser.add_argument(
        "--transcripts",
        metavar="CSV",
        help="reference texts, with the columns ID (path without suffix, or "
        "name) and text; default: the recogniser's output for the reference",
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Run ``miipher2 evaluate``.

    Arguments
    ---------
    arguments : argparse.Namespace
        The parsed arguments.

    Returns
    -------
    int
        0 if all restored recordings were measured, 1 if some failed.
    """
    from miipher2.evaluation.evaluate import evaluate

    if Path(arguments.output).is_file():
        raise UserError(f"{arguments.output}: is a file; give a folder")
    report = evaluate(
        arguments.restored,
        reference=arguments.reference,
        source=arguments.input,
        recogniser=arguments.recogniser,
        transcripts=arguments.transcripts,
    )
    report.write(arguments.output)
    print(report.summary())
    print(
        f"{len(report.rows) - report.failed} measured, {report.failed} failed: "
        f"{arguments.output}"
    )
    return 1 if report.failed else 0
