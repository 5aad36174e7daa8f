"""The exception for errors that the user can fix.

A missing file, a YAML key that does not fit, two files that do not belong
together: the message names the file, key or value, what was expected and what
to do. Programs print it as one line without a traceback.

Authors
 * The miipher2 authors 2026
"""

import contextlib
import sys
from collections.abc import Iterator


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
    other exceptions are bugs and keep their traceback.

    Raises
    ------
    SystemExit
        With status 2 for an error and 130 for Ctrl-C.

    Example
    -------
    >>> with one_line_errors():
    ...     answer = 42
    """
    try:
        yield
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
