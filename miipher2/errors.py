"""The one exception for what a user can put right.

A path that is not there, a YAML key that does not fit, two files that do not
belong together: such errors name the thing, say what was expected and what to
do, and are shown as one line without a traceback.
"""

import contextlib
import sys


class UserError(ValueError):
    """Something that the user can put right; its text says how.

    Example
    -------
    >>> raise UserError("noise.csv: not found; give --noise_csv=FILE")
    Traceback (most recent call last):
    ...
    miipher2.errors.UserError: noise.csv: not found; give --noise_csv=FILE
    """


@contextlib.contextmanager
def one_line_errors():
    """Ends the program with one line on a ``UserError`` or Ctrl-C.

    The same goes for what the system refuses: a missing right, a full disk.
    Any other exception keeps its traceback: it is a fault of the program.

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
        # one from a loader's worker comes with that process's traceback
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
