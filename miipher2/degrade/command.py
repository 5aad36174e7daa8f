"""The ``miipher2 degrade`` and ``miipher2 rooms`` commands.

Authors
 * The miipher2 authors 2026
"""

from pathlib import Path

DEFAULT_CHAIN = Path(__file__).with_name("degrade.yaml")
DEFAULT_ROOMS = Path(__file__).with_name("rooms.yaml")
CORPORA = ("noise", "music", "rirs", "speech")  # also the names of the options


def add_parser(subparsers):
    """Add ``miipher2 degrade`` and ``miipher2 rooms`` to the command line.

    Arguments
    ---------
    subparsers : argparse._SubParsersAction
        The subparsers to which the commands are added.

    Example
    -------
    >>> import argparse
    >>> parser = argparse.ArgumentParser()
    >>> add_parser(parser.add_subparsers())
    >>> parser.parse_args(["degrade", "clean", "noisy", "--only", "codec"]).only
    'codec'
    """
    _add_degrade(
        subparsers.add_parser("degrade", help="degrade clean recordings")
    )
    _add_rooms(
        subparsers.add_parser(
            "rooms", help="simulate a pool of room impulse responses"
        )
    )


def _add_degrade(parser):
    """Add the arguments of ``miipher2 degrade``."""
    parser.add_argument("clean", help="a recording, or a folder of recordings")
    parser.add_argument(
        "noisy",
        metavar="output",
        help="a .wav or .flac file, or a folder; in a folder, the degraded "
        "files have the relative paths of the inputs (as .wav, if an input is "
        "neither .wav nor .flac), and manifest.csv lists the parameters of "
        "each file; existing files are not overwritten",
    )
    parser.add_argument(
        "--seed",
        type=int,
        default=0,
        help="seed of all random draws; default: 0",
    )
    parser.add_argument(
        "--degrade",
        metavar="YAML",
        default=DEFAULT_CHAIN,
        help="YAML file that defines the degradations and their ranges; "
        "default: the degradations that are used in training",
    )
    parser.add_argument(
        "--only",
        metavar="NAME",
        help="apply only this degradation, to every file",
    )
    parser.add_argument(
        "--pairs",
        action="store_true",
        help="write the degraded files to output/noisy and the clean files to "
        "output/clean, under the same names; recipes/Paired reads such folders",
    )
    add_corpora(parser)
    parser.set_defaults(run=_degrade)


def _add_rooms(parser):
    """Add the arguments of ``miipher2 rooms``."""
    parser.add_argument(
        "output", help="folder for the .flac files and rooms.csv"
    )
    parser.add_argument(
        "--count",
        type=int,
        default=1000,
        help="number of rooms; default: 1000",
    )
    parser.add_argument(
        "--seed",
        type=int,
        default=0,
        help="seed of all random draws; default: 0",
    )
    parser.add_argument(
        "--rooms",
        metavar="YAML",
        default=DEFAULT_ROOMS,
        help="YAML file that defines the ranges of room size, RT60 and "
        "distance between source and microphone",
    )
    parser.set_defaults(run=_rooms)


def add_corpora(parser):
    """Add the options for the corpora that the chain draws from.

    Arguments
    ---------
    parser : argparse.ArgumentParser
        The parser to which the options are added.
    """
    for name in CORPORA:
        parser.add_argument(
            f"--{name}",
            metavar="FOLDER_OR_CSV",
            help=f"{name} to draw from{' (for babble)' * (name == 'speech')}: "
            "a folder of recordings or a manifest; in a manifest, $data_root "
            "stands for the folder of the manifest",
        )


def _degrade(arguments):
    """Run ``miipher2 degrade``; the import is local, as torch loads slowly."""
    from miipher2.degrade.run import degrade

    return degrade(arguments)


def _rooms(arguments):
    """Run ``miipher2 rooms``."""
    from miipher2.degrade.run import rooms

    return rooms(arguments)
