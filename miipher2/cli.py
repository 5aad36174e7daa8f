"""The command line, ``miipher2``.

Authors
 * The miipher2 authors 2026
"""

import argparse
import sys

from miipher2.errors import one_line_errors


def main(arguments: list[str] | None = None) -> int:
    """Run the command line.

    Arguments
    ---------
    arguments : list of str
        None for those of the process.

    Returns
    -------
    int
        The exit code: 0 for success, 1 if some files failed. Wrong usage
        exits with 2.
    """
    # Imported here because every spawned worker process imports this module
    # and does not need the commands.
    from miipher2.degrade import command as degrade
    from miipher2.evaluation import command as evaluate
    from miipher2.inference.corpus import command as restore

    parser = argparse.ArgumentParser(
        prog="miipher2", description="Universal speech restoration."
    )
    subparsers = parser.add_subparsers(dest="command", required=True)
    restore.add_parser(subparsers)
    degrade.add_parser(subparsers)
    evaluate.add_parser(subparsers)
    parsed = parser.parse_args(arguments)
    with one_line_errors():
        return parsed.run(parsed) or 0


if __name__ == "__main__":
    sys.exit(main())
