"""What is done stays done: rows that survive a kill, and resuming by them.

While a process works, it appends a line of JSON for every recording to a
journal of its own beside the outputs. The last process of a run to finish
makes the manifest out of the journals.

Authors
 * The miipher2 authors 2026
"""

import contextlib
import dataclasses
import json
import os
import re
import threading
from pathlib import Path

from miipher2.errors import UserError
from miipher2.inference.corpus.manifest import read_rows, write_rows
from miipher2.inference.items import Row

try:
    import fcntl
except ImportError:  # not on Windows, where nothing keeps two runs apart
    fcntl = None

NAME = re.compile(r"manifest\.\d+-of-\d+(\.done)?\.jsonl")


class Journal:
    """The rows of one process of a run, on the disk as they come.

    Arguments
    ---------
    folder : str or Path
        The output folder; it is made.
    shard : int
        Which part of the run the process does.
    num_shards : int
        How many parts there are.
    parquet : bool
        Whether the manifest is to be ``manifest.parquet`` instead of
        ``manifest.csv``.

    Attributes
    ----------
    known : dict
        Row by ID of all that was done before, by whatever process.

    Raises
    ------
    UserError
        If the folder cannot be written to, or another run is at work in it.

    Example
    -------
    >>> folder = getfixture("tmp_path")
    >>> with Journal(folder) as journal:
    ...     journal.append(Row("a.wav", "in/a.wav", "a.wav"))
    >>> [path.name for path in folder.iterdir()]
    ['manifest.0-of-1.jsonl']
    >>> with Journal(folder) as journal:
    ...     list(journal.known), len(journal.finish())
    (['a.wav'], 1)
    >>> [path.name for path in folder.iterdir()]
    ['manifest.csv']
    """

    def __init__(self, folder, shard=0, num_shards=1, parquet=False):
        self.folder = Path(folder)
        working, self.parts = (
            [
                self.folder / f"manifest.{part}-of-{num_shards}{state}.jsonl"
                for part in range(num_shards)
            ]
            for state in ("", ".done")
        )
        self.path, self.done = working[shard], self.parts[shard]
        self.of_this_run = set(working)
        names = ["manifest.csv", "manifest.parquet"]
        self.manifest = self.folder / names.pop(parquet)
        self.other = self.folder / names.pop()
        self.lock = threading.Lock()
        self.known = {}

    def __enter__(self):
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            if self.done.exists():
                os.replace(self.done, self.path)
            self.file = open(self.path, "a+b", buffering=0)
            self._keep_others_out()
            self._drop_torn_line()
            self.known = self._read()
        except OSError as error:
            raise UserError(
                f"{self.folder}: cannot be written to: {error.strerror}; "
                "give another output folder"
            ) from None
        return self

    def __exit__(self, *_):
        self.file.close()

    def _keep_others_out(self):
        """Claims this part; refuses to share the folder with another run."""
        with contextlib.ExitStack() as closing:
            closing.enter_context(self.file)
            others = self._journals() - self.of_this_run - set(self.parts)
            if not _claim(self.file) or any(map(_is_claimed, others)):
                raise UserError(
                    f"{self.folder}: another run is at work there; wait until "
                    "it has ended, or give another output folder"
                )
            closing.pop_all()

    def _drop_torn_line(self):
        end = self.file.seek(0, os.SEEK_END)
        while end:
            start = max(0, end - 2**16)
            self.file.seek(start)
            end = start + self.file.read(end - start).rfind(b"\n") + 1
            if end > start:
                break
        self.file.truncate(end)

    def is_done(self, item, model, settings):
        """Whether an earlier run has done an item, and its output is there.

        Arguments
        ---------
        item : miipher2.inference.items.Item
            What to do.
        model, settings : str
            What is done with others is not done.

        Returns
        -------
        bool
            The size of the output counts, too.

        Raises
        ------
        UserError
            If the output is that of another recording that is still there.
        """
        row = self.known.get(item.ID)
        if (
            row is None
            or row.status not in ("done", "silent")
            or (row.output, row.model) != (item.output, model)
            or row.settings != settings
        ):
            return False
        try:
            size = (self.folder / row.output).stat().st_size
        except OSError:
            return False
        if _differ(row.input, item.input):
            raise UserError(
                f"{item.input}: {self.folder / row.output} is there, restored "
                f"from {row.input}; give another output folder"
            )
        return size == row.bytes

    def append(self, row):
        """Remembers what became of a recording.

        Arguments
        ---------
        row : Row
            About it.

        Raises
        ------
        UserError
            If there is no room for it.
        """
        line = memoryview(json.dumps(dataclasses.asdict(row)).encode() + b"\n")
        with self.lock:
            try:
                while line:
                    line = line[self.file.write(line) :]
            except OSError as error:
                raise UserError(
                    f"{self.path}: cannot be written: {error.strerror}; make "
                    "room and run the same command again"
                ) from None

    def finish(self):
        """Ends this part of the run; the last one to end makes the manifest.

        Returns
        -------
        list of Row
            The manifest's rows; None while other parts have not ended.
        """
        os.fsync(self.file.fileno())
        if fcntl is None:  # Windows does not rename what is open
            self.file.close()
        os.replace(self.path, self.done)
        if not self._all_ended():
            return None
        rows = list(self._read().values())
        # Two processes may come here at once. As long as all parts are there,
        # both have read the same; when they are not, the other one is done.
        if not self._all_ended():
            return None
        write_rows(self.manifest, rows, writer=self.path.name)
        self.other.unlink(missing_ok=True)
        # Who works now has come since, and will add to the manifest.
        for journal in self._journals() - self.of_this_run:
            journal.unlink(missing_ok=True)
        return rows

    def _all_ended(self):
        return all(part.exists() for part in self.parts)

    def _journals(self):
        """All of them, also those that killed runs have left."""
        paths = self.folder.glob("manifest.*.jsonl")
        return {path for path in paths if NAME.fullmatch(path.name)}

    def _read(self):
        """The latest row about each recording, by ID, sorted."""
        rows = [row for path in self._journals() for row in _lines(path)]
        rows += read_rows(self.manifest) + read_rows(self.other)
        rows.sort(key=lambda row: (row.ID, row.finished))
        return {row.ID: row for row in rows}


def _claim(file):
    """Locks an open file as long as this process has it open.

    Returns
    -------
    bool
        False if another process has. True also where there are no locks.
    """
    try:
        if fcntl is not None:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # a file system without them
        pass
    return True


def _is_claimed(path):
    try:
        with open(path, "r+b") as file:
            return not _claim(file)
    except FileNotFoundError:  # another process has just ended the run
        return False


def _differ(one, other):
    """Whether two paths are of two files; False if one is not there."""
    if not os.path.isabs(one) or one == os.path.abspath(other):
        return False
    try:
        return not os.path.samefile(one, other)
    except (OSError, ValueError):
        return False


def _lines(path):
    """Rows of a journal; what a kill has torn is left out."""
    try:
        lines = path.read_bytes().splitlines()
    except FileNotFoundError:  # another process has just ended the run
        return
    for line in lines:
        try:
            yield Row(**json.loads(line))
        except (ValueError, TypeError):
            continue
