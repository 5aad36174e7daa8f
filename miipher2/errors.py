"""The exception for errors that the user can fix.

A missing file, a YAML key that does not fit, two files that do not belong
together: the message names the file, key or value, what was expected and what
to do. Programs print it as one line without a traceback.

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

    An ``OSError`` is a missing permission or a full disk, for instance. All
    other exceptions are bugs and keep their traceback. A program may be
    started with closed standard streams, as by ``>&-``, and ends without a
    message when the reader of its output ends, as ``head`` does.

    Raises
    ------
    SystemExit
        With status 2 for an error, 130 for Ctrl-C and 141 for a closed output,
        as if the program were killed by SIGPIPE.

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
            sys.stdout.flush()  # Python would report a closed output at exit
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
        where = f"{error.filename}: " if error.filename else ""
        print(f"error: {where}{error.strerror or error}", file=sys.stderr)
        raise SystemExit(2) from None
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        raise SystemExit(130) from None


def _open_closed_streams() -> None:
    """Replace closed standard streams, which Python sets to None."""
    for name in ("stdin", "stdout", "stderr"):
        if getattr(sys, name) is None:
            stream = open(os.devnull, "r" if name == "stdin" else "w")
            # Usually the lowest descriptor, which a new process inherits.
            os.set_inheritable(stream.fileno(), True)
            setattr(sys, name, stream)


def _discard(stream: TextIO) -> None:
    """Discard what was written to a stream and what will be."""
    with contextlib.suppress(OSError, ValueError):  # not a file
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, stream.fileno())
        os.close(null)
