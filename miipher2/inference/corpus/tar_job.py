"""Unpacking and packing of one WebDataset tar.

Authors
 * The miipher2 authors 2026
"""

import contextlib
import os
import shutil
import tarfile
import time
import zlib
from pathlib import Path
from typing import NamedTuple

from miipher2.dataio.atomic import atomic_write
from miipher2.dataio.digest import digest
from miipher2.dataio.formats import (
    RECORDING_SUFFIXES,
    UNREADABLE_SUFFIXES,
    has_suffix,
)
from miipher2.dataio.output_names import unique_stems
from miipher2.errors import UserError
from miipher2.inference.items import Item, Row
from miipher2.inference.recording import Stopped

RESTORED = ("done", "silent")
# Keys that webdataset adds to a sample.
ADDED_KEYS = ("__key__", "__url__", "__local_path__")


class TarFailed(Exception):
    """Failure of a tar; the message is the reason in the tar's row."""


def import_webdataset():
    """Import webdataset, which is an optional dependency.

    Returns
    -------
    module
        ``webdataset``.

    Raises
    ------
    UserError
        If webdataset is not installed.

    Example
    -------
    >>> import_webdataset().TarWriter.__name__
    'TarWriter'
    """
    try:
        import webdataset
        import webdataset.tariterators
    except ImportError:
        raise UserError(
            "tars need webdataset: pip install webdataset"
        ) from None
    return webdataset


@contextlib.contextmanager
def tar_errors(prefix):
    """Convert errors in reading or writing a tar into ``TarFailed``.

    Arguments
    ---------
    prefix : str
        Beginning of the message, for example ``cannot be written``.

    Raises
    ------
    TarFailed
        If reading or writing fails. The message includes the reason.
    """
    try:
        yield
    except (tarfile.TarError, OSError, EOFError, ValueError, zlib.error) as e:
        # webdataset appends to an exception's arguments.
        reason = getattr(e, "strerror", None) or str((*e.args, e)[0])
        reason = reason.partition("\n")[0].rstrip(":")
        raise TarFailed(f"{prefix}: {reason}") from None


class _Member(NamedTuple):
    """A recording in a tar."""

    key: str  # key of the sample
    output: str  # member name in the output tar
    restored: Path  # temporary restored file


class TarJob:
    """Job that unpacks the recordings of a tar and packs the restored ones.

    Arguments
    ---------
    item : miipher2.inference.items.Item
        The tar.
    folder : str or Path
        The output folder.
    suffix : str
        Suffix of the restored recordings.

    Attributes
    ----------
    row : Row
        Row of the tar.
    rows : list of Row
        Rows of the recordings in the tar. ``write`` replaces the names of
        temporary files with names of tar members.
    skipped : list of Row
        Rows of the audio files in unsupported formats.
    """

    def __init__(self, item, folder, suffix):
        self.webdataset = import_webdataset()
        self.item = item
        self.folder = Path(folder)
        self.path = self.folder / item.output
        self.suffix = suffix
        # A fixed name, so that a new run replaces the files of a killed run.
        name = f".{digest(self.path.name)[:16]}.recordings"
        self.temporary = self.path.with_name(name)
        self.members = {}
        self.row = Row.of(item)
        self.rows, self.skipped = [], []
        self.started = time.monotonic()

    def extract(self, stop):
        """Extract the recordings to numbered temporary files.

        Arguments
        ---------
        stop : threading.Event
            When it is set, ``Stopped`` is raised.

        Returns
        -------
        list of Item
            The recordings.
        """
        _check_complete(self.item.input, stop)
        self.clean()
        restored = self.temporary / "restored"
        with tar_errors("cannot be written"):
            restored.mkdir(parents=True)
        items = []
        for key, sample in self._samples():
            if stop.is_set():
                raise Stopped
            self._skip(
                [n for n in sample if has_suffix(n, UNREADABLE_SUFFIXES)]
            )
            names = [n for n in sample if has_suffix(n, RECORDING_SUFFIXES)]
            for name, stem in unique_stems(names).items():
                if name in self.members:
                    raise ValueError(f"contains {name} twice")
                number = len(items)
                source = self.temporary / f"{number}{os.path.splitext(name)[1]}"
                with tar_errors("cannot be written"):
                    source.write_bytes(sample[name])
                file = restored / f"{number}{self.suffix}"
                self.members[name] = _Member(key, stem + self.suffix, file)
                items.append(
                    Item(
                        f"{self.item.ID}/{name}",
                        source,
                        str(file.relative_to(self.folder)),
                        len(sample[name]),
                    )
                )
        # Scale the sizes so that they add up to the size of the tar, which may
        # be compressed.
        scale = self.item.size / max(1, sum(item.size for item in items))
        return [item._replace(size=scale * item.size) for item in items]

    def _skip(self, names):
        """Add rows for audio files in unsupported formats."""
        for name in names:
            row = Row.of(self.item, status="skipped")
            row.reason = "its format is not supported"
            for column in ("ID", "input", "output"):
                setattr(row, column, f"{getattr(row, column)}/{name}")
            self.skipped.append(row)

    def write(self):
        """Write the output tar if it would contain a restored recording."""
        left_out = self._complete_rows()
        if not any(row.status in RESTORED for row in self.rows):
            self.row.status = "skipped"
            self.row.reason = "no sample could be restored"
            return
        if left_out:
            self.row.reason = f"samples left out: {len(left_out)}"
        with (
            atomic_write(self.path) as file,
            self.webdataset.TarWriter(
                file,
                encoder=False,
                keep_meta=True,  # keeps members such as key._notes.txt
                compress=self.path.name.lower().endswith("gz"),
                format="GNU_FORMAT",  # allows names of any length
            ) as writer,
        ):
            for key, sample in self._samples():
                if key not in left_out:
                    writer.write(self._replace_recordings(key, sample))
        self.row.bytes = self.path.stat().st_size

    def _complete_rows(self):
        """Complete the rows; return the keys of the samples to leave out."""
        failed = {}  # key -> name of a recording that was not restored
        for row in self.rows:
            name = row.ID.removeprefix(f"{self.item.ID}/")
            key, output, _ = self.members[name]
            row.input = f"{self.item.input}/{name}"
            row.set_input_version(self.item)
            row.output = f"{self.item.output}/{output}"
            if row.reason.startswith("cannot be written"):
                # The recording did not cause this error; the disk may be full,
                # for example.
                raise TarFailed(row.reason)
            if row.status not in RESTORED:
                failed[key] = name
        for row in self.rows:
            name = row.ID.removeprefix(f"{self.item.ID}/")
            other = failed.get(self.members[name].key)
            if other and row.status in RESTORED:
                row.status, row.bytes = "skipped", 0
                row.reason = (
                    f"left out: {other} in the same sample was not restored"
                )
        return set(failed)

    def _replace_recordings(self, key, sample):
        """Return a sample with its restored recordings, for ``TarWriter``."""
        restored = {"__key__": key}
        for name, content in sample.items():
            if name in self.members:
                member = self.members[name]
                name, content = member.output, member.restored.read_bytes()
            restored[name[len(key) + 1 :]] = content
        return restored

    def _samples(self):
        """Yield the key of each sample, and its contents by member name.

        As in webdataset, members without an extension and members named
        ``__like_this__`` belong to no sample.
        """
        tars = self.webdataset.tariterators
        with open(self.item.input, "rb") as stream:
            members = tars.tar_file_expander(
                [{"url": str(self.item.input), "stream": stream}],
                select_files=lambda name: bool(tars.base_plus_ext(name)[1]),
            )
            for sample in tars.group_by_keys(members, lcase=False):
                key = sample["__key__"]
                yield (
                    key,
                    {
                        f"{key}.{suffix}": content
                        for suffix, content in sample.items()
                        if suffix not in ADDED_KEYS
                    },
                )

    def clean(self):
        """Remove the temporary files, including those of a killed run."""
        shutil.rmtree(self.temporary, ignore_errors=True)


def _check_complete(path, stop):
    """Check that a tar is complete, up to its end-of-archive block.

    Iterating over a tar stops silently at a damaged header.
    """
    with tarfile.open(path) as tar:
        while tar.next():
            tar.members.clear()  # limits memory use
            if stop.is_set():
                raise Stopped
        tar.fileobj.seek(tar.offset)
        if tar.fileobj.read(tarfile.BLOCKSIZE) != bytes(tarfile.BLOCKSIZE):
            raise tarfile.ReadError("damaged or cut off")
