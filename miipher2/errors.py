"""The exception for errors that the user can fix.

Examples are a missing file, an invalid value in a YAML, or two files that do
not match. The message names the file, key or value, the expected value and the
remedy. Programs print it as one line without a traceback.

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

    An ``OSError`` is, for example, a missing permission or a full disk. All
    other exceptions are bugs and keep their traceback. A program may be started
    with closed standard streams, for example with ``>&-``. It ends without a
    message if the reader of its output ends, for example ``head``.

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
            sys.stdout.flush()  # else Python reports a closed output
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
            # Usually this is the lowest free descriptor; child processes
            # inherit it.
            os.set_inheritable(stream.fileno(), True)
            setattr(sys, name, stream)


def _discard(stream: TextIO) -> None:
    """Discard all buffered and future output of a stream."""
    with contextlib.suppress(OSError, ValueError):  # the stream is not a file
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, stream.fileno())
        os.close(null)
