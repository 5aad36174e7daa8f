"""Prepare functions as programs of their own.

Authors
 * The miipher2 authors 2026
"""

import argparse
import inspect
import logging
import re
from pathlib import Path

from miipher2.errors import one_line_errors


def command_line(prepare, argv=None):
    """Runs a prepare function as a program.

    The options and their help come from its arguments and docstring.

    Arguments
    ---------
    prepare : callable
        ``prepare(data_folder, train_csv, valid_csv, test_csv, skip_prep,
        **options)``.
    argv : list of str
        What was typed; None: what the program was started with.
    """
    about, _, rest = inspect.getdoc(prepare).partition("\n\nArguments\n")
    found = re.findall(r"^(\w+) : .*\n((?: {4}.*\n?)+)", rest, re.MULTILINE)
    notes = {name: " ".join(note.split()) for name, note in found}
    parser = argparse.ArgumentParser(description=about)
    parser.add_argument("data_folder", help=notes["data_folder"])
    parser.add_argument(
        "output_folder", help="Where train.csv, valid.csv and test.csv go."
    )
    options = list(inspect.signature(prepare).parameters.values())[5:]
    for option in options:
        default, several = option.default, isinstance(option.default, tuple)
        shown = " ".join(default) or "none" if several else default
        parser.add_argument(
            f"--{option.name}",
            default=default,
            type=str if several else type(default),
            nargs="+" if several else None,
            help=f"{notes[option.name]} (default: {shown})",
        )
    arguments = vars(parser.parse_args(argv))
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    output = Path(arguments.pop("output_folder"))
    for split in ("train", "valid", "test"):
        arguments[f"{split}_csv"] = output / f"{split}.csv"
    with one_line_errors():
        prepare(**arguments)
