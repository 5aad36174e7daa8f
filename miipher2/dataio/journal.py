"""Journals for resuming interrupted runs over many files.

A run can be divided into shards, one per process. For each file, a process
appends a line of JSON to its own journal in the output folder. The process that
finishes last merges the journals into a table.

Authors
 * The miipher2 authors 2026
"""

import contextlib
import json
import os
import re
import threading
from pathlib import Path

from miipher2.dataio.digest import digest
from miipher2.errors import UserError

try:
    import fcntl
except ImportError:  # Windows
    import msvcrt

    fcntl = None

# On Windows, locked bytes cannot be read, so the locked byte is beyond the end
# of any journal.
LOCKED_BYTE = 2**30


def find_journals(folder, name):
    """Return the journals in a folder, including journals of killed runs.

    Arguments
    ---------
    folder : Path
        The output folder, which may be missing.
    name : str
        Name of the table without its suffix, for example ``manifest``.

    Returns
    -------
    set of Path
        The journals.
    """
    pattern = re.compile(re.escape(name) + r"\.\d+-of-\d+(\.done)?\.jsonl")
    paths = folder.glob(f"{name}.*.jsonl")
    return {path for path in paths if pattern.fullmatch(path.name)}


def shard_of(ID, num_shards):
    """Return the shard of a file, determined by its ID alone.

    Arguments
    ---------
    ID : str
        ID of the file.
    num_shards : int
        Number of shards.

    Returns
    -------
    int
        From 0 to ``num_shards - 1``.

    Example
    -------
    >>> [shard_of(f"{n}.wav", 4) for n in range(6)]
    [0, 2, 3, 2, 1, 0]
    """
    return int(digest(ID)[:12], 16) % num_shards


class LineJournal:
    """The journal of one shard of a run.

    Arguments
    ---------
    folder : str or Path
        The output folder; created if needed.
    name : str
        Name of the table without its suffix.
    shard : int
        Index of the shard.
    num_shards : int
        Number of shards.

    Raises
    ------
    UserError
        If the folder cannot be written to or is in use by another run.

    Example
    -------
    >>> folder = getfixture("tmp_path")
    >>> with LineJournal(folder, "files") as journal:
    ...     journal.append({"file": "a.wav"})
    >>> [path.name for path in folder.iterdir()]
    ['files.0-of-1.jsonl']
    >>> with LineJournal(folder, "files") as journal:
    ...     journal.finish(lambda: list(journal.lines()), print)
    [{'file': 'a.wav'}]
    True
    >>> list(folder.iterdir())
    []
    """

    def __init__(self, folder, name, shard=0, num_shards=1):
        self.folder = Path(folder)
        self.name = name
        running, self.finished = (
            [
                self.folder / f"{name}.{index}-of-{num_shards}{state}.jsonl"
                for index in range(num_shards)
            ]
            for state in ("", ".done")
        )
        self.path, self.done = running[shard], self.finished[shard]
        self.running = set(running)
        self.lock = threading.Lock()

    def __enter__(self):
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            if self.done.exists():
                os.replace(self.done, self.path)
            self.file = open(self.path, "a+b", buffering=0)
            self._lock()
            self._drop_partial_line()
        except OSError as error:
            raise UserError(
                f"{self.folder}: cannot be written to: {error.strerror}; "
                "choose a different output folder"
            ) from None
        return self

    def __exit__(self, *_):
        self.file.close()

    def _lock(self):
        """Lock the journal; raise an error if another run uses the folder."""
        with contextlib.ExitStack() as stack:
            stack.enter_context(self.file)
            journals = find_journals(self.folder, self.name)
            others = journals - self.running - set(self.finished)
            if not _try_lock(self.file) or any(map(_is_locked, others)):
                raise UserError(
                    f"{self.folder}: in use by another run; wait until it has "
                    "ended, or choose a different output folder"
                )
            stack.pop_all()  # keep the file open

    def _drop_partial_line(self):
        """Remove an incomplete last line left behind by a killed run."""
        end = self.file.seek(0, os.SEEK_END)
        while end:
            start = max(0, end - 2**16)
            self.file.seek(start)
            end = start + self.file.read(end - start).rfind(b"\n") + 1
            if end > start:
                break
        self.file.truncate(end)

    def append(self, line):
        """Append a line.

        Arguments
        ---------
        line : dict
            Values that JSON supports.

        Raises
        ------
        UserError
            If the line cannot be written.
        """
        remaining = memoryview(json.dumps(line).encode() + b"\n")
        with self.lock:
            try:
                while remaining:
                    remaining = remaining[self.file.write(remaining) :]
            except OSError as error:
                raise UserError(
                    f"{self.path}: cannot be written: {error.strerror}; "
                    "free some space and run the same command again"
                ) from None

    def lines(self):
        """Read the lines of all shards, including the shards of killed runs.

        Yields
        ------
        dict
            The complete lines of all journals, one journal after the other.
        """
        for path in sorted(find_journals(self.folder, self.name)):
            try:
                file = open(path, "rb")
            except FileNotFoundError:
                # The last shard to finish has just removed the journal.
                continue
            with file:
                for line in file:
                    with contextlib.suppress(ValueError):
                        yield json.loads(line)

    def finish(self, merge, write):
        """Finish this shard; the last shard to finish writes the table.

        Arguments
        ---------
        merge : callable
            Called without arguments; computes the table from ``lines``.
        write : callable
            Called with the table; writes it atomically.

        Returns
        -------
        bool
            Whether this call wrote the table; False if other shards have not
            finished or another process has already written it.
        """
        os.fsync(self.file.fileno())
        if fcntl is None:  # Windows cannot rename open files
            self.file.close()
        os.replace(self.path, self.done)
        if not self._all_finished():
            return False
        merged = merge()
        # Two processes may reach this line at the same time. If all journals
        # still exist, both have read the same lines. If a journal is missing,
        # the other process has already written the table.
        if not self._all_finished():
            return False
        write(merged)
        # Shards of this run that were restarted still use their journals.
        for journal in find_journals(self.folder, self.name) - self.running:
            journal.unlink(missing_ok=True)
        return True

    def _all_finished(self):
        return all(path.exists() for path in self.finished)


def _try_lock(file):
    """Lock a file until it is closed.

    Returns
    -------
    bool
        False if another process has locked the file. True if the file is now
        locked or the file system does not support locks.
    """
    try:
        if fcntl is not None:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        else:
            file.seek(LOCKED_BYTE)
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
    except (BlockingIOError, PermissionError):
        return False
    except OSError:  # the file system does not support locks
        pass
    return True


def _is_locked(path):
    """Return whether another process has locked a file."""
    try:
        with open(path, "r+b") as file:
            return not _try_lock(file)
    except FileNotFoundError:  # removed by the last shard to finish
        return False
