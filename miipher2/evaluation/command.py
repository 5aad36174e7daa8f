"""The command ``miipher2 evaluate``.

Authors
 * The miipher2 authors 2026
"""

from pathlib import Path

from miipher2.errors import UserError


def add_parser(subparsers):
    """Adds ``miipher2 evaluate``.

    Arguments
    ---------
    subparsers : argparse._SubParsersAction
        Gets the command.

    Example
    -------
    >>> import argparse
    >>> parser = argparse.ArgumentParser()
    >>> add_parser(parser.add_subparsers())
    >>> given = ["evaluate", "--restored", "out", "--output", "report"]
    >>> parser.parse_args(given).restored
    'out'
    """
    parser = subparsers.add_parser(
        "evaluate", help="measure how good restored recordings are"
    )
    parser.add_argument(
        "--restored", metavar="DIR", required=True, help="what to measure"
    )
    parser.add_argument(
        "--reference",
        metavar="DIR",
        help="the clean recordings, for the metrics that compare",
    )
    parser.add_argument(
        "--input", metavar="DIR", help="what was restored, measured beside it"
    )
    parser.add_argument(
        "--output",
        metavar="DIR",
        required=True,
        help="gets files.csv and summary.md",
    )
    parser.add_argument(
        "--recogniser",
        metavar="FOLDER_OR_NAME",
        help="a Whisper for faster-whisper, for the character error rate",
    )
    parser.add_argument(
        "--transcripts",
        metavar="CSV",
        help="what is said, with the columns ID (path without suffix, or name) "
        "and text; default: what the recogniser hears in the reference",
    )
    parser.set_defaults(run=run)


def run(arguments):
    """Runs ``miipher2 evaluate``.

    Arguments
    ---------
    arguments : argparse.Namespace
        What the parser read.

    Returns
    -------
    int
        0 if all was measured, 1 if some restored recordings could not be.
    """
    from miipher2.evaluation.evaluate import evaluate

    if Path(arguments.output).is_file():
        raise UserError(f"{arguments.output}: a file; give a folder")
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
