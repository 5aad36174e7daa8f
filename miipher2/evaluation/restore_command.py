"""The command ``miipher2 restore``, with evaluation of its outputs.

Authors
 * The miipher2 authors 2026
"""

import argparse

from miipher2.errors import UserError
from miipher2.inference.corpus import command

OPTIONS = ("gate", "fallback", "recogniser")  # options that need --evaluate


def add_parser(subparsers: argparse._SubParsersAction) -> None:
    """Add ``miipher2 restore`` to the command line.

    Arguments
    ---------
    subparsers : argparse._SubParsersAction
        The subparsers to which the command is added.

    Example
    -------
    >>> parser = argparse.ArgumentParser()
    >>> add_parser(parser.add_subparsers())
    >>> parser.parse_args(["restore", "a", "out", "--evaluate"]).evaluate
    True
    """
    parser = command.add_parser(subparsers)
    group = parser.add_argument_group("evaluation")
    group.add_argument(
        "--evaluate",
        action="store_true",
        help="score each recording against its input and write keep.csv and "
        "reject.csv, manifests for training",
    )
    group.add_argument(
        "--gate",
        metavar="YAML",
        help="YAML file with the thresholds; default: those in docs/gate.md",
    )
    group.add_argument(
        "--fallback",
        choices=["input", "none"],
        help="replace a rejected recording by the input, at the rate and in "
        "the format of the output, or remove it; default: keep it",
    )
    group.add_argument(
        "--recogniser",
        metavar="FOLDER_OR_NAME",
        help="Whisper model of faster-whisper, if the gate has max_cer or "
        "max_wer",
    )
    parser.set_defaults(run=_run)


def _run(arguments: argparse.Namespace) -> int:
    """Import and run the command; the command line starts without torch."""
    from miipher2.inference.corpus.run import restore

    if not arguments.evaluate:
        for name in OPTIONS:
            if getattr(arguments, name) is not None:
                raise UserError(f"--{name}: needs --evaluate")
        return restore(arguments)
    from miipher2.evaluation.gate import DEFAULT, Gate
    from miipher2.evaluation.restore_check import RestoreCheck

    gate = Gate.load(arguments.gate or DEFAULT)
    check = RestoreCheck(gate, arguments.recogniser, arguments.fallback)
    return restore(arguments, check)
