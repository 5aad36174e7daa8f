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
    """A file that stores write errors, because libsndfile ignores them."""

    error = None

    def write(self, data):
        remaining = memoryview(data)
        try:
            while remaining:
                remaining = remaining[super().write(remaining) :]
        except OSError as error:
            self.error = error
        return len(data) - len(remaining)

    def check(self):
        if self.error:
            raise self.error


def partial_path(path, writer=""):
    """Return the path of the temporary file for ``path``.

    The result depends only on the arguments, so that a new run overwrites the
    temporary file of a killed run.

    Arguments
    ---------
    path : Path
        The final path.
    writer : str
        A name that distinguishes concurrent writers of the same file.

    Returns
    -------
    Path
        A hidden file in the same folder.
    """
    return path.with_name(f".{digest(path.name + writer)[:16]}.partial")


@contextlib.contextmanager
def atomic_write(path, writer=""):
    """Open a temporary file, which is renamed to ``path`` when it is complete.

    Arguments
    ---------
    path : str or Path
        The final path; its folder is created if needed.
    writer : str
        See ``partial_path``.

    Yields
    ------
    io.FileIO
        The temporary file, open for reading and writing.

    Raises
    ------
    OSError
        If writing fails. The temporary file is removed.

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
        Content of the file. Line endings are not converted.

    Example
    -------
    >>> path = getfixture("tmp_path") / "new" / "a.txt"
    >>> write_text(path, "done")
    >>> path.read_text()
    'done'
    """
    with atomic_write(path) as file:
        file.write(text.encode("utf-8"))
