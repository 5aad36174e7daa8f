"""The ``miipher2 restore`` command, with options to evaluate its output.

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
        help="score each restored recording, apply a gate, and write the "
        "manifests keep.csv and reject.csv",
    )
    group.add_argument(
        "--gate",
        metavar="YAML",
        help="YAML file of thresholds; default: the thresholds in docs/gate.md",
    )
    group.add_argument(
        "--fallback",
        choices=["input", "none"],
        help="input: replace a rejected recording with the input, in the "
        "format and at the sample rate of the output; none: remove a rejected "
        "recording; default: keep it",
    )
    group.add_argument(
        "--recogniser",
        metavar="FOLDER_OR_NAME",
        help="Whisper model for the max_cer and max_wer thresholds: a folder "
        "in CTranslate2 format, or a faster-whisper model name",
    )
    parser.set_defaults(run=_run)


def _run(arguments: argparse.Namespace) -> int:
    """Run the command; importing torch here keeps ``--help`` fast."""
    from miipher2.inference.corpus.run import restore

    if not arguments.evaluate:
        for name in OPTIONS:
            if getattr(arguments, name) is not None:
                raise UserError(f"--{name} needs --evaluate")
        return restore(arguments)
    from miipher2.evaluation.gate import DEFAULT, Gate
    from miipher2.evaluation.restore_check import RestoreCheck

    gate = Gate.load(arguments.gate or DEFAULT)
    check = RestoreCheck(gate, arguments.recogniser, arguments.fallback)
    return restore(arguments, check)
