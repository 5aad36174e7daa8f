"""The commands ``miipher2 degrade`` and ``miipher2 rooms``.

Authors
 * The miipher2 authors 2026
"""

from pathlib import Path

DEFAULT_CHAIN = Path(__file__).with_name("degrade.yaml")
DEFAULT_ROOMS = Path(__file__).with_name("rooms.yaml")
CORPORA = ("noise", "music", "rirs", "speech")  # each is the name of an option


def add_parser(subparsers):
    """Add ``miipher2 degrade`` and ``miipher2 rooms`` to the command line.

    Arguments
    ---------
    subparsers : argparse._SubParsersAction
        Gets the commands.

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
    parser.add_argument("clean", help="a recording, or a folder of them")
    parser.add_argument(
        "noisy",
        metavar="output",
        help="a .wav or .flac file; or a folder, in which the degraded files "
        "have the same relative paths as the inputs, with a manifest.csv of "
        "the parameters of each file; existing files are not overwritten",
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
        help="the degradations and their ranges; default: those of training",
    )
    parser.add_argument(
        "--only",
        metavar="NAME",
        help="apply this degradation alone, to every file",
    )
    parser.add_argument(
        "--pairs",
        action="store_true",
        help="write the degraded files to output/noisy and the clean ones to "
        "output/clean, with the same names; recipes/Paired reads such folders",
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
        help="the ranges of size, RT60 and distance",
    )
    parser.set_defaults(run=_rooms)


def add_corpora(parser):
    """Add the options for the corpora that the chain draws from.

    Arguments
    ---------
    parser : argparse.ArgumentParser
        Gets the options.
    """
    for name in CORPORA:
        parser.add_argument(
            f"--{name}",
            metavar="FOLDER_OR_CSV",
            help=f"{name} to draw from{' (for babble)' * (name == 'speech')}: "
            "a folder of recordings, or a manifest, in which $data_root stands "
            "for the folder of the manifest",
        )


def _degrade(arguments):
    """Import and run ``degrade``; the command line starts without torch."""
    from miipher2.degrade.run import degrade

    return degrade(arguments)


def _rooms(arguments):
    from miipher2.degrade.run import rooms

    return rooms(arguments)
