"""Journals of a restoration run, from which the manifest is written.

Authors
 * The miipher2 authors 2026
"""

import contextlib
import dataclasses
import itertools
import os

from miipher2.dataio.journal import LineJournal, find_journals
from miipher2.errors import UserError
from miipher2.inference.corpus.inputs import is_tar
from miipher2.inference.corpus.manifest import read_rows, write_rows
from miipher2.inference.items import Row

MANIFESTS = ("manifest.csv", "manifest.parquet")


def was_used(folder):
    """Return whether an earlier run has written to a folder.

    Arguments
    ---------
    folder : Path
        The output folder, which may not exist.

    Returns
    -------
    bool
        Whether the folder contains a manifest or a journal.
    """
    return bool(find_journals(folder, "manifest")) or any(
        (folder / name).exists() for name in MANIFESTS
    )


class Journal(LineJournal):
    """Journal of the manifest rows of one shard of a run.

    Arguments
    ---------
    folder : str or Path
        The output folder, which is created if needed.
    shard : int
        Index of the shard.
    num_shards : int
        Number of shards.
    parquet : bool
        Whether to write ``manifest.parquet`` instead of ``manifest.csv``.

    Attributes
    ----------
    known : dict
        Rows of the items that an earlier run or another shard has finished,
        by item ID.

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
        super().__init__(folder, "manifest", shard, num_shards)
        self.manifest = self.folder / MANIFESTS[parquet]
        self.other_manifest = self.folder / MANIFESTS[not parquet]
        self.known = {}
        self.earlier = {}  # ID -> (output, whether the input has changed)

    def __enter__(self):
        super().__enter__()
        self.known = self._read()
        return self

    def is_done(self, item, model, settings):
        """Return whether an earlier run has restored an item.

        Arguments
        ---------
        item : miipher2.inference.items.Item
            The item.
        model : str
            Identity of the model. An item restored with another model is
            not done.
        settings : str
            Settings of the output. An item restored with other settings is
            not done.

        Returns
        -------
        bool
            True only if the input is unchanged and the output has the
            recorded size. If True, the current size, modification time and
            hash of the input are recorded.

        Raises
        ------
        UserError
            If the output was restored from another file that still exists.
        """
        row = self.known.get(item.ID)
        if (
            row is None
            or row.status not in ("done", "silent", "rejected")
            or (row.output, row.model) != (item.output, model)
            or row.settings != settings
            or not row.has_version(item)
        ):
            return False
        try:
            size = (self.folder / row.output).stat().st_size
        except OSError:
            size = 0  # a rejected recording may have no output
        if size and _are_different(row.input, item.input):
            raise UserError(
                f"{item.input}: its output {self.folder / row.output} exists "
                f"and was restored from {row.input}; choose a different output "
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
        """Remember the outputs of earlier runs, and clear ``known``.

        Arguments
        ---------
        items : list of miipher2.inference.items.Item
            The items to be restored in this run.
        """
        rows = ((item, self.known.get(item.ID)) for item in items)
        self.earlier = {
            # A missing input, for example on an unmounted disk, counts as
            # unchanged.
            item.ID: (row.output, item.mtime_ns and not row.has_version(item))
            for item, row in rows
            if row is not None and row.output
        }
        self.known = {}

    def append(self, row):
        """Append the row of an item.

        If the item failed or was skipped but has an output from an earlier run,
        the row receives a note. If the input has changed since that run, the
        output is removed.

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
        super().append(dataclasses.asdict(row))

    def _check_earlier(self, output, changed):
        """Remove the earlier output if the input has changed; return a note."""
        path = self.folder / output
        if not path.is_file():
            return ""
        if changed:
            with contextlib.suppress(OSError):
                path.unlink()
                return "the outdated output of an earlier run was removed"
        return "the output is from an earlier run"

    def finish(self):
        """Finish this shard; the last shard to finish writes the manifest.

        Returns
        -------
        list of Row
            The rows of the manifest; None if this call did not write it.
        """
        rows = []

        def write(found):
            rows.extend(found.values())
            write_rows(self.manifest, rows, writer=self.path.name)
            self.other_manifest.unlink(missing_ok=True)

        return rows if super().finish(self._read, write) else None

    def _read(self):
        """Return the latest row of each item as a dict, sorted by ID."""
        rows = read_rows(self.manifest) + read_rows(self.other_manifest)
        for line in self.lines():
            with contextlib.suppress(TypeError):  # not a row
                rows.append(Row(**line))
        rows.sort(key=lambda row: (row.ID, row.finished))
        latest, replaced = {}, {}
        for row in rows:
            previous = latest.get(row.ID, row).finished
            if is_tar(row.ID) and previous < row.finished:
                replaced[row.ID] = previous
            latest[row.ID] = row
        return _without_old_members(latest, replaced) if replaced else latest


def _without_old_members(rows, replaced):
    """Leave out rows of recordings from an earlier version of a tar.

    Arguments
    ---------
    rows : dict
        Rows by ID.
    replaced : dict
        Time of the previous restoration by ID, for tars that were restored
        more than once.

    Returns
    -------
    dict
        The remaining rows by ID.
    """

    def is_old(row):
        folders = itertools.accumulate(row.ID.split("/"), "{}/{}".format)
        return any(row.finished <= replaced.get(path, "") for path in folders)

    return {ID: row for ID, row in rows.items() if not is_old(row)}


def _are_different(first, second):
    """Return whether two paths certainly refer to different existing files.

    A relative ``first`` may be relative to another working directory.
    """
    if not os.path.isabs(first) or first == os.path.abspath(second):
        return False
    try:
        return not os.path.samefile(first, second)
    except (OSError, ValueError):
        return False
