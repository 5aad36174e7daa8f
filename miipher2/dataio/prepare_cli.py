"""Command line for the prepare scripts.

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
    """Run a prepare function from the command line.

    Options and their help are taken from the function's signature and
    docstring.

    Arguments
    ---------
    prepare : callable
        ``prepare(data_folder, train_csv, valid_csv, test_csv, skip_prep,
        **options)``.
    argv : list of str
        Command-line arguments. None for ``sys.argv[1:]``.
    """
    summary, _, entries = inspect.getdoc(prepare).partition("\n\nArguments\n")
    texts = re.findall(r"^(\w+) : .*\n((?: {4}.*\n?)+)", entries, re.MULTILINE)
    help_of = {name: " ".join(text.split()) for name, text in texts}
    parser = argparse.ArgumentParser(description=summary)
    parser.add_argument("data_folder", help=help_of["data_folder"])
    parser.add_argument(
        "output_folder", help="Folder for train.csv, valid.csv and test.csv."
    )
    options = list(inspect.signature(prepare).parameters.values())[5:]
    for option in options:
        default, is_list = option.default, isinstance(option.default, tuple)
        shown = " ".join(default) or "none" if is_list else default
        parser.add_argument(
            f"--{option.name}",
            default=default,
            type=str if is_list else type(default),
            nargs="+" if is_list else None,
            help=f"{help_of[option.name]} (default: {shown})",
        )
    arguments = vars(parser.parse_args(argv))
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    output = Path(arguments.pop("output_folder"))
    for split in ("train", "valid", "test"):
        arguments[f"{split}_csv"] = output / f"{split}.csv"
    with one_line_errors():
        prepare(**arguments)
