"""The exception for errors that the user can fix.

Examples are a missing file, an invalid value in a YAML file, or a pair of files
with different durations. The message states the file, key or value at fault,
what was expected, and the remedy. Programs print the message as one
line, without a traceback.

Authors
 * The miipher2 authors 2026
"""

import contextlib
import os
import sys
from collections.abc import Iterator
from typing import TextIO


class UserError(ValueError):
    """An error that the user can fix; the message explains how.

    Example
    -------
    >>> raise UserError("noise.csv: not found; give --noise_csv=FILE")
    Traceback (most recent call last):
    ...
    miipher2.errors.UserError: noise.csv: not found; give --noise_csv=FILE
    """


@contextlib.contextmanager
def one_line_errors() -> Iterator[None]:
    """Exit with a one-line message on a ``UserError``, ``OSError`` or Ctrl-C.

    An ``OSError`` reports, for example, a missing permission or a full disk.
    All other exceptions keep their traceback. If the reader of the output exits
    early, as ``head`` does, the program ends without a message.
    Programs that are started with closed standard streams, for example with
    ``>&-``, work as well.

    Raises
    ------
    SystemExit
        With status 2 for an error, 130 for Ctrl-C, and 141 if the output was
        closed, as for a program killed by SIGPIPE.

    Example
    -------
    >>> with one_line_errors():
    ...     answer = 42
    """
    _open_closed_streams()
    try:
        try:
            yield
        finally:
            # Without this flush, Python would report a closed output at exit.
            sys.stdout.flush()
    except BrokenPipeError:
        for stream in (sys.stdout, sys.stderr):
            _discard(stream)
        raise SystemExit(141) from None
    except UserError as error:
        # An error raised in a DataLoader worker carries the worker's
        # traceback in its text; the last line is the message.
        line = str(error).strip().splitlines()[-1]
        line = line.removeprefix(f"{__name__}.{UserError.__name__}: ")
        print(f"error: {line}", file=sys.stderr)
        raise SystemExit(2) from None
    except OSError as error:
        prefix = f"{error.filename}: " if error.filename else ""
        print(f"error: {prefix}{error.strerror or error}", file=sys.stderr)
        raise SystemExit(2) from None
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        raise SystemExit(130) from None


def _open_closed_streams() -> None:
    """Replace closed standard streams, which Python sets to None."""
    for name in ("stdin", "stdout", "stderr"):
        if getattr(sys, name) is None:
            stream = open(os.devnull, "r" if name == "stdin" else "w")
            # The new stream usually has the descriptor of the closed one, and
            # child processes inherit standard streams.
            os.set_inheritable(stream.fileno(), True)
            setattr(sys, name, stream)


def _discard(stream: TextIO) -> None:
    """Discard all buffered and future output of a stream."""
    with contextlib.suppress(OSError, ValueError):  # stream without descriptor
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, stream.fileno())
        os.close(null)
