"""The command ``miipher2 demo``.

Authors
 * The miipher2 authors 2026
"""


def add_parser(subparsers):
    """Add ``miipher2 demo`` to the command line.

    Arguments
    ---------
    subparsers : argparse._SubParsersAction
        The subparsers to which the command is added.

    Example
    -------
    >>> import argparse
    >>> parser = argparse.ArgumentParser()
    >>> add_parser(parser.add_subparsers())
    >>> parser.parse_args(["demo", "--port", "8000"]).port
    8000
    """
    parser = subparsers.add_parser(
        "demo", help="serve a web page that restores recordings"
    )
    parser.add_argument(
        "--model",
        help="a model folder written by training, or a repository on the "
        "Hugging Face hub, to offer in addition to the bundled models",
    )
    parser.add_argument(
        "--trust-model",
        action="store_true",
        help="allow the model's YAML to run arbitrary code",
    )
    parser.add_argument(
        "--host",
        default="127.0.0.1",
        help="the address to listen on; 0.0.0.0 lets other machines use the "
        "page; default: %(default)s (this machine only)",
    )
    parser.add_argument(
        "--port",
        type=int,
        default=7860,
        help="1 to 65535; default: %(default)s",
    )
    parser.add_argument(
        "--max-seconds",
        type=float,
        default=300.0,
        metavar="S",
        help="maximum duration of a recording in seconds; default: %(default)g",
    )
    parser.set_defaults(run=_run)


def _run(arguments):
    """Run ``miipher2 demo``."""
    from miipher2.inference.demo.server import serve

    return serve(arguments)
