"""Atomic writes: a file appears under its name only once it is complete.

Authors
 * The miipher2 authors 2026
"""

import contextlib
import io
import os
from pathlib import Path

from miipher2.dataio.digest import digest


class _CheckedFile(io.FileIO):
    """A file that stores a write error, because libsndfile ignores it."""

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


def partial_path(path, writer=""):
    """Return the name of the temporary file next to ``path``.

    The name depends only on the arguments, so that a new run replaces the file
    of a killed run.

    Arguments
    ---------
    path : Path
        The final name.
    writer : str
        Name that is unique among writers that may write the file at the same
        time.

    Returns
    -------
    Path
        A hidden file in the same folder.
    """
    return path.with_name(f".{digest(path.name + writer)[:16]}.partial")


@contextlib.contextmanager
def atomic_write(path, writer=""):
    """Open a temporary file that is flushed and renamed to ``path`` at the end.

    Arguments
    ---------
    path : str or Path
        The final name; its folder is created if needed.
    writer : str
        See ``partial_path``.

    Yields
    ------
    io.FileIO
        The temporary file, open for reading and writing.

    Raises
    ------
    OSError
        If writing fails. No file remains.

    Example
    -------
    >>> path = getfixture("tmp_path") / "a.txt"
    >>> with atomic_write(path) as file:
    ...     file.write(b"done"), path.exists()
    (4, False)
    >>> path.read_text()
    'done'
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = partial_path(path, writer)
    try:
        with _CheckedFile(partial, "w+") as file:
            try:
                yield file
            finally:
                file.check()
            os.fsync(file.fileno())
        os.replace(partial, path)
    finally:
        with contextlib.suppress(OSError):
            partial.unlink()


def write_text(path, text):
    """Write a text file atomically, as UTF-8.

    Arguments
    ---------
    path : str or Path
        The file; its folder is created if needed.
    text : str
        Content of the file. Line ends are not converted.

    Example
    -------
    >>> path = getfixture("tmp_path") / "new" / "a.txt"
    >>> write_text(path, "done")
    >>> path.read_text()
    'done'
    """
    with atomic_write(path) as file:
        file.write(text.encode("utf-8"))
