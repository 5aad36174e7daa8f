"""Journals, from which an interrupted run resumes.

Each process appends a line of JSON for every recording to its own journal in
the output folder. The last process of a run to finish merges the journals into
the manifest.

Authors
 * The miipher2 authors 2026
"""

import contextlib
import dataclasses
import itertools
import json
import os
import re
import threading
from pathlib import Path

from miipher2.errors import UserError
from miipher2.inference.corpus.inputs import is_tar
from miipher2.inference.corpus.manifest import read_rows, write_rows
from miipher2.inference.items import Row

try:
    import fcntl
except ImportError:  # Windows: two runs in one folder are not detected
    fcntl = None

NAME = re.compile(r"manifest\.\d+-of-\d+(\.done)?\.jsonl")
MANIFESTS = ("manifest.csv", "manifest.parquet")


def was_used(folder):
    """Return whether a run has written to an output folder.

    Arguments
    ---------
    folder : Path
        The folder, which need not exist.

    Returns
    -------
    bool
        Whether it contains a manifest or a journal.
    """
    return bool(_journals(folder)) or any(
        (folder / name).exists() for name in MANIFESTS
    )


class Journal:
    """The rows of one shard of a run.

    Arguments
    ---------
    folder : str or Path
        The output folder; created if needed.
    shard : int
        Index of the shard.
    num_shards : int
        Number of shards.
    parquet : bool
        Whether to write ``manifest.parquet`` instead of ``manifest.csv``.

    Attributes
    ----------
    known : dict
        Row by ID of each item that an earlier run or another shard has
        finished.

    Raises
    ------
    UserError
        If the folder cannot be written to or is in use by another run.

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
        running, self.finished = (
            [
                self.folder / f"manifest.{index}-of-{num_shards}{state}.jsonl"
                for index in range(num_shards)
            ]
            for state in ("", ".done")
        )
        self.path, self.done = running[shard], self.finished[shard]
        self.running = set(running)
        self.manifest = self.folder / MANIFESTS[parquet]
        self.other_manifest = self.folder / MANIFESTS[not parquet]
        self.lock = threading.Lock()
        self.known = {}
        self.earlier = {}  # ID -> output, and whether the input has changed

    def __enter__(self):
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            if self.done.exists():
                os.replace(self.done, self.path)
            self.file = open(self.path, "a+b", buffering=0)
            self._lock()
            self._drop_partial_line()
            self.known = self._read()
        except OSError as error:
            raise UserError(
                f"{self.folder}: cannot be written to: {error.strerror}; "
                "give another output folder"
            ) from None
        return self

    def __exit__(self, *_):
        self.file.close()

    def _lock(self):
        """Lock the journal, unless another run uses the folder."""
        with contextlib.ExitStack() as stack:
            stack.enter_context(self.file)
            others = _journals(self.folder) - self.running - set(self.finished)
            if not _try_lock(self.file) or any(map(_is_locked, others)):
                raise UserError(
                    f"{self.folder}: in use by another run; wait until it has "
                    "ended, or give another output folder"
                )
            stack.pop_all()  # keep the file open

    def _drop_partial_line(self):
        """Remove an incomplete last line, left by a killed run."""
        end = self.file.seek(0, os.SEEK_END)
        while end:
            start = max(0, end - 2**16)
            self.file.seek(start)
            end = start + self.file.read(end - start).rfind(b"\n") + 1
            if end > start:
                break
        self.file.truncate(end)

    def is_done(self, item, model, settings):
        """Return whether an earlier run has restored an item.

        Arguments
        ---------
        item : miipher2.inference.items.Item
            The item.
        model : str
            Identity of the model. An item restored by another model is not
            done.
        settings : str
            Settings of the output. An item restored with other settings is
            not done.

        Returns
        -------
        bool
            True only if the input has not changed and the output exists with
            the size in the journal. The row then gets the input's current
            version.

        Raises
        ------
        UserError
            If the output was restored from another file that still exists.
        """
        row = self.known.get(item.ID)
        if (
            row is None
            or row.status not in ("done", "silent")
            or (row.output, row.model) != (item.output, model)
            or row.settings != settings
            or not row.has_version(item)
        ):
            return False
        try:
            size = (self.folder / row.output).stat().st_size
        except OSError:
            return False
        if _are_different(row.input, item.input):
            raise UserError(
                f"{item.input}: its output {self.folder / row.output} exists "
                f"and was restored from {row.input}; give another output "
                "folder"
            )
        if size != row.bytes:
            return False
        updated = dataclasses.replace(row)
        updated.set_input_version(item)
        if updated != row:
            self.append(updated)
        return True

    def start(self, items):
        """Remember the earlier outputs of items, and forget ``known``.

        Arguments
        ---------
        items : list of miipher2.inference.items.Item
            The items that are restored now.
        """
        rows = ((item, self.known.get(item.ID)) for item in items)
        self.earlier = {
            # A missing input, of a disk that is not mounted, has not changed.
            item.ID: (row.output, item.mtime_ns and not row.has_version(item))
            for item, row in rows
            if row is not None and row.output
        }
        self.known = {}

    def append(self, row):
        """Append the row of an item.

        An item that fails must not seem to have the output of an earlier run.
        That of a changed input is removed; else the row says that it is there.

        Arguments
        ---------
        row : Row
            The row.

        Raises
        ------
        UserError
            If the row cannot be written.
        """
        if row.status in ("failed", "skipped") and row.ID in self.earlier:
            note = self._check_earlier(*self.earlier[row.ID])
            row.reason = "; ".join(filter(None, (row.reason, note)))
        line = memoryview(json.dumps(dataclasses.asdict(row)).encode() + b"\n")
        with self.lock:
            try:
                while line:
                    line = line[self.file.write(line) :]
            except OSError as error:
                raise UserError(
                    f"{self.path}: cannot be written: {error.strerror}; "
                    "free some space and run the same command again"
                ) from None

    def _check_earlier(self, output, changed):
        """Remove the earlier output of a changed input; return a note."""
        path = self.folder / output
        if not path.is_file():
            return ""
        if changed:
            with contextlib.suppress(OSError):
                path.unlink()
                return "the output of the earlier input was removed"
        return "the output is that of an earlier run"

    def finish(self):
        """Finish this shard; the last shard to finish writes the manifest.

        Returns
        -------
        list of Row
            The rows of the manifest; None while other shards are running.
        """
        os.fsync(self.file.fileno())
        if fcntl is None:  # Windows does not rename open files
            self.file.close()
        os.replace(self.path, self.done)
        if not self._all_finished():
            return None
        rows = list(self._read().values())
        # Two processes may get here at once. If all journals still exist, both
        # have read the same rows; if not, the other has written the manifest.
        if not self._all_finished():
            return None
        write_rows(self.manifest, rows, writer=self.path.name)
        self.other_manifest.unlink(missing_ok=True)
        # Keep journals of this run's shards that have been restarted.
        for journal in _journals(self.folder) - self.running:
            journal.unlink(missing_ok=True)
        return rows

    def _all_finished(self):
        return all(path.exists() for path in self.finished)

    def _read(self):
        """Return the latest row of each item, by ID, sorted."""
        rows = read_rows(self.manifest) + read_rows(self.other_manifest)
        rows += [row for path in _journals(self.folder) for row in _lines(path)]
        rows.sort(key=lambda row: (row.ID, row.finished))
        latest, replaced = {}, {}
        for row in rows:
            previous = latest.get(row.ID, row).finished
            if is_tar(row.ID) and previous < row.finished:
                replaced[row.ID] = previous
            latest[row.ID] = row
        return _without_old_members(latest, replaced) if replaced else latest


def _journals(folder):
    """Return all journals in a folder, including those of killed runs."""
    paths = folder.glob("manifest.*.jsonl")
    return {path for path in paths if NAME.fullmatch(path.name)}


def _without_old_members(rows, replaced):
    """Leave out the rows of recordings in an earlier version of a tar.

    Arguments
    ---------
    rows : dict
        Row by ID.
    replaced : dict
        For a tar that was restored more than once: when it had been restored
        before the last time.

    Returns
    -------
    dict
        The other rows by ID.
    """

    def is_old(row):
        folders = itertools.accumulate(row.ID.split("/"), "{}/{}".format)
        return any(row.finished <= replaced.get(path, "") for path in folders)

    return {ID: row for ID, row in rows.items() if not is_old(row)}


def _try_lock(file):
    """Lock a file until it is closed.

    Returns
    -------
    bool
        False if another process has locked it. True if the file system has
        no locks.
    """
    try:
        if fcntl is not None:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # no locks
        pass
    return True


def _is_locked(path):
    """Return whether another process has locked a file."""
    try:
        with open(path, "r+b") as file:
            return not _try_lock(file)
    except FileNotFoundError:  # the last shard has just removed it
        return False


def _are_different(one, other):
    """Return whether two paths refer to different existing files."""
    if not os.path.isabs(one) or one == os.path.abspath(other):
        return False
    try:
        return not os.path.samefile(one, other)
    except (OSError, ValueError):
        return False


def _lines(path):
    """Yield the rows of a journal, without incomplete lines."""
    try:
        lines = path.read_bytes().splitlines()
    except FileNotFoundError:  # the last shard has just removed it
        return
    for line in lines:
        try:
            yield Row(**json.loads(line))
        except (ValueError, TypeError):
            continue
