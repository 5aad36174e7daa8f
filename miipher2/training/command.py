"""The command ``miipher2 train``.

Authors
 * The miipher2 authors 2026
"""

import argparse


def add_parser(subparsers):
    """Add the commands to the command line.

    Arguments
    ---------
    subparsers : argparse._SubParsersAction
        Gets the commands.

    Example
    -------
    >>> parser = argparse.ArgumentParser()
    >>> add_parser(parser.add_subparsers())
    >>> parser.parse_args(["train", "pa", "--lr=0.1"]).options
    ['--lr=0.1']
    """
    _add_train(subparsers)


def _add_train(subparsers):
    """Add ``miipher2 train``."""
    parser = subparsers.add_parser(
        "train",
        help="train a stage of a model",
        usage="%(prog)s [-h] EXPERIMENT [--KEY=VALUE ...]",
    )
    parser.add_argument(
        "experiment",
        metavar="EXPERIMENT",
        help="a YAML file, or the name of one of this package: pa, vocoder, "
        "ssl, compact/vocoder, ...; miipher2 train pa --help lists the keys of "
        "pa and SpeechBrain's run options",
    )
    parser.add_argument(
        "options",
        nargs=argparse.REMAINDER,
        metavar="--KEY=VALUE",
        help="other values of the YAML's keys, and run options",
    )
    parser.set_defaults(run=_train)


def _train(arguments):
    """Import and run the command; the command line starts without torch."""
    from miipher2.training.recipe import train

    train(arguments.experiment, arguments.options)
