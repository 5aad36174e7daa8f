"""The ``miipher2`` command.

Authors
 * The miipher2 authors 2026
"""

import argparse
import importlib
import sys

from miipher2 import __version__
from miipher2.errors import one_line_errors

# Commands and their descriptions, by module. A module is imported only if one
# of its commands is run, because importing torch takes seconds.
COMMANDS = {
    "miipher2.evaluation.restore_command": {
        "restore": "restore recordings or entire corpora",
    },
    "miipher2.inference.demo.command": {
        "demo": "serve a web page that restores recordings",
    },
    "miipher2.degrade.command": {
        "degrade": "degrade clean recordings",
        "rooms": "simulate a pool of room impulse responses",
    },
    "miipher2.evaluation.command": {
        "evaluate": "compute objective metrics of restored recordings",
    },
    "miipher2.inference.onnx.command": {
        "export-onnx": "write a model as an ONNX file",
    },
    "miipher2.training.command": {
        "train": "train a stage of a model",
        "export-model": "export a trained model and its model card",
    },
}


def main(arguments: list[str] | None = None) -> int:
    """Run the command line.

    Arguments
    ---------
    arguments : list of str
        Arguments of the command line. None for ``sys.argv[1:]``.

    Returns
    -------
    int
        The exit status: 0 for success, 1 if some files failed or are missing,
        130 after Ctrl-C in ``restore`` or ``evaluate``. Errors, incorrect
        usage and Ctrl-C in other commands raise ``SystemExit``; see
        ``one_line_errors``.
    """
    arguments = sys.argv[1:] if arguments is None else arguments
    with one_line_errors():
        parsed = _parser(arguments).parse_args(arguments)
        return parsed.run(parsed) or 0


def _parser(arguments: list[str]) -> argparse.ArgumentParser:
    """Return the parser; import only the module of the requested command."""
    parser = argparse.ArgumentParser(
        prog="miipher2", description="Universal speech restoration."
    )
    parser.add_argument(
        "--version", action="version", version=f"miipher2 {__version__}"
    )
    subparsers = parser.add_subparsers(dest="command", required=True)
    for module, commands in COMMANDS.items():
        if commands.keys() & set(arguments[:1]):
            importlib.import_module(module).add_parser(subparsers)
            continue
        for name, description in commands.items():
            subparsers.add_parser(name, help=description)
    return parser


if __name__ == "__main__":
    sys.exit(main())
