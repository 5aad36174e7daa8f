"""Files that are whole whenever they can be seen.

Authors
 * The miipher2 authors 2026
"""

import contextlib
import io
import os

from miipher2.stamps import digest


class _Reporting(io.FileIO):
    """A file that remembers an error of writing: libsndfile drops it."""

    error = None

    def write(self, data):
        rest = memoryview(data)
        try:
            while rest:
                rest = rest[super().write(rest) :]
        except OSError as error:
            self.error = error
        return len(data) - len(rest)

    def check(self):
        if self.error:
            raise self.error


def partial_file(path, writer=""):
    """Where a file is until it is whole.

    Always the same, so that what a killed run has left is replaced.

    Arguments
    ---------
    path : Path
        Its name.
    writer : str
        Who writes it, if several may do so at once.

    Returns
    -------
    Path
        Hidden, beside it.
    """
    return path.with_name(f".{digest(path.name + writer)[:16]}.partial")


@contextlib.contextmanager
def whole_file(path, writer=""):
    """A file that appears under its name once it is whole and on the disk.

    Arguments
    ---------
    path : Path
        Its name.
    writer : str
        See ``partial_file``.

    Yields
    ------
    io.FileIO
        To write to.

    Raises
    ------
    OSError
        If something could not be written; nothing is left then.

    Example
    -------
    >>> path = getfixture("tmp_path") / "a.txt"
    >>> with whole_file(path) as file:
    ...     file.write(b"done"), path.exists()
    (4, False)
    >>> path.read_text()
    'done'
    """
    partial = partial_file(path, writer)
    try:
        with _Reporting(partial, "w+") as file:
            try:
                yield file
            finally:
                file.check()
            os.fsync(file.fileno())
        os.replace(partial, path)
    finally:
        with contextlib.suppress(OSError):
            partial.unlink()
