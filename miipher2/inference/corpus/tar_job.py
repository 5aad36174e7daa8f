"""One WebDataset tar: the recordings in it restored, the rest as it was.

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
from miipher2.dataio.formats import RECORDING_SUFFIXES
from miipher2.dataio.output_names import unique_stems
from miipher2.errors import UserError
from miipher2.inference.items import Item, Row
from miipher2.inference.recording import Stopped

RESTORED = ("done", "silent")
# What webdataset itself puts into a sample.
OWN_KEYS = ("__key__", "__url__", "__local_path__")


class TarFailed(Exception):
    """What the row about a tar is to give as the reason."""


def find_webdataset():
    """Imports the package that reads and writes the tars.

    Returns
    -------
    module
        ``webdataset``.

    Raises
    ------
    UserError
        If it is not installed.

    Example
    -------
    >>> find_webdataset().TarWriter.__name__
    'TarWriter'
    """
    try:
        import webdataset
        import webdataset.tariterators
    except ImportError:
        raise UserError(
            "tars need webdataset: pip install miipher2[webdataset]"
        ) from None
    return webdataset


@contextlib.contextmanager
def reasons(what):
    """Says of errors that concern one tar only what failed and why."""
    try:
        yield
    except (tarfile.TarError, OSError, EOFError, ValueError, zlib.error) as e:
        # webdataset adds arguments of its own to an exception's
        reason = getattr(e, "strerror", None) or str((*e.args, e)[0])
        reason = reason.partition("\n")[0].rstrip(":")
        raise TarFailed(f"{what}: {reason}") from None


class _Member(NamedTuple):
    """A recording in a tar: whose it is, its new name, where it is now."""

    key: str
    output: str
    restored: Path


class TarJob:
    """One tar: its recordings out of it, and restored into another one.

    Arguments
    ---------
    item : miipher2.inference.items.Item
        The tar.
    folder : str or Path
        The output folder.
    suffix : str
        Of the restored recordings.

    Attributes
    ----------
    row : Row
        What became of the tar.
    rows : list of Row
        What became of its recordings; ``write`` gives them their names in the
        tars.
    """

    def __init__(self, item, folder, suffix):
        self.webdataset = find_webdataset()
        self.item = item
        self.folder = Path(folder)
        self.path = self.folder / item.output
        self.suffix = suffix
        # Always the same name, so that what a killed run has left is replaced.
        name = f".{digest(self.path.name)[:16]}.recordings"
        self.temporary = self.path.with_name(name)
        self.members = {}
        self.row = Row(item.ID, os.path.abspath(item.input), item.output)
        self.rows = []
        self.started = time.monotonic()

    def extract(self, stop):
        """Writes the recordings to files that are named by their numbers.

        Arguments
        ---------
        stop : threading.Event
            Once it is set, this ends with ``Stopped``.

        Returns
        -------
        list of Item
            The recordings.
        """
        _check_whole(self.item.input, stop)
        self.clean()
        restored = self.temporary / "restored"
        with reasons("cannot be written"):
            restored.mkdir(parents=True)
        items = []
        for key, sample in self._samples():
            if stop.is_set():
                raise Stopped
            names = [
                n for n in sample if n.lower().endswith(RECORDING_SUFFIXES)
            ]
            for name, stem in unique_stems(names).items():
                if name in self.members:
                    raise ValueError(f"{name} is in it twice")
                number = len(items)
                source = self.temporary / f"{number}{os.path.splitext(name)[1]}"
                with reasons("cannot be written"):
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
        return items

    def write(self):
        """Writes the output, if anything is to be in it."""
        left_out = self._left_out()
        if not any(row.status in RESTORED for row in self.rows):
            self.row.status = "skipped"
            self.row.reason = "no recordings in it that could be restored"
            return
        if left_out:
            self.row.reason = f"samples left out: {len(left_out)}"
        with (
            atomic_write(self.path) as file,
            self.webdataset.TarWriter(
                file,
                encoder=False,
                keep_meta=True,  # members like key._notes.txt
                compress=self.path.name.lower().endswith("gz"),
                format="GNU_FORMAT",  # names of any length
            ) as writer,
        ):
            for key, sample in self._samples():
                if key not in left_out:
                    writer.write(self._restored(key, sample))
        self.row.bytes = self.path.stat().st_size

    def _left_out(self):
        """Completes the rows; returns the keys of what is left out."""
        to_blame = {}
        for row in self.rows:
            name = row.ID.removeprefix(f"{self.item.ID}/")
            key, output, _ = self.members[name]
            row.input = f"{self.item.input}/{name}"
            row.output = f"{self.item.output}/{output}"
            if row.reason.startswith("cannot be written"):  # not its fault
                raise TarFailed(row.reason)
            if row.status not in RESTORED:
                to_blame[key] = name
        for row in self.rows:
            name = row.ID.removeprefix(f"{self.item.ID}/")
            other = to_blame.get(self.members[name].key)
            if other and row.status in RESTORED:
                row.status, row.bytes = "skipped", 0
                row.reason = f"left out with {other} of the same sample"
        return set(to_blame)

    def _restored(self, key, sample):
        """A sample as webdataset writes it."""
        restored = {"__key__": key}
        for name, content in sample.items():
            if name in self.members:
                member = self.members[name]
                name, content = member.output, member.restored.read_bytes()
            restored[name[len(key) + 1 :]] = content
        return restored

    def _samples(self):
        """The key and the contents by member of each sample.

        As everywhere in webdataset, members without an extension and those
        whose name is ``__like_this__`` belong to none.
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
                        if suffix not in OWN_KEYS
                    },
                )

    def clean(self):
        """Removes the recordings, also those that a killed run has left."""
        shutil.rmtree(self.temporary, ignore_errors=True)


def _check_whole(path, stop):
    """Makes sure that a tar goes on up to its mark of the end.

    Iterating over it would end at a damaged header as if nothing were wrong.
    """
    with tarfile.open(path) as tar:
        while tar.next():
            tar.members.clear()  # memory does not depend on their number
            if stop.is_set():
                raise Stopped
        tar.fileobj.seek(tar.offset)
        if tar.fileobj.read(tarfile.BLOCKSIZE) != bytes(tarfile.BLOCKSIZE):
            raise tarfile.ReadError("damaged or cut off")
