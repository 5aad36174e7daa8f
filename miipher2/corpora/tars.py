"""WebDataset tars: the recordings in them restored, the rest as it was.

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

from miipher2.corpora.decoding import SUFFIXES
from miipher2.corpora.items import Item, is_tar, name_outputs
from miipher2.corpora.manifest import Row, now
from miipher2.corpora.whole_file import whole_file
from miipher2.errors import UserError
from miipher2.stamps import digest

RESTORED = ("done", "silent")
# What webdataset itself puts into a sample.
OWN_KEYS = ("__key__", "__url__", "__local_path__")


class _Failed(Exception):
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


def check_tars(items, output, engine):
    """Makes sure that the tars of a run, if there are any, can be restored.

    Arguments
    ---------
    items : list of miipher2.corpora.items.Item
        All of the run.
    output : Path
        Where to.
    engine : str
        ``local`` or ``ray``.

    Raises
    ------
    UserError
        If webdataset is not there, the output is not a folder or Ray is the
        engine.

    Example
    -------
    >>> tar = Item("a.tar", Path("in/a.tar"), "a.tar", size=0)
    >>> check_tars([tar], Path("b.tar"), "local")
    Traceback (most recent call last):
    ...
    miipher2.errors.UserError: b.tar: not a folder, which tars are restored to;
    give one
    """
    if not any(is_tar(item.ID) for item in items):
        return
    if is_tar(output) and not output.is_dir():
        raise UserError(
            f"{output}: not a folder, which tars are restored to; give one"
        )
    if engine == "ray":
        raise UserError(
            "--engine ray: does not restore tars; leave it out, and split the "
            "work by --num-shards"
        )
    find_webdataset()


def tar_settings(settings, suffix):
    """What decides how an output tar is; its name does not tell the format.

    Arguments
    ---------
    settings : miipher2.corpora.job.Settings
        How the recordings in it are to be.
    suffix : str
        Of the recordings in it.

    Returns
    -------
    str
        For the row about it.

    Example
    -------
    >>> tar_settings("16000 Hz", ".flac")
    '16000 Hz, flac'
    """
    return f"{settings}, {suffix[1:]}"


def restore_tar(item, folder, suffix, settings, restorer, pipeline):
    """Restores the recordings in a tar of samples, as webdataset has them.

    The output has the same samples in the same order, less those with a
    recording that could not be restored. It appears whole or not at all. Until
    then, a hidden folder beside it holds the recordings; their names in the
    tar are not used there, so that none leads out of it.

    Arguments
    ---------
    item : miipher2.corpora.items.Item
        The tar.
    folder : str or Path
        The output folder.
    suffix : str
        Of the restored recordings: ``.wav``, ``.flac``, ``.ogg``.
    settings : miipher2.corpora.job.Settings
        How they are to be.
    restorer : miipher2.restorer.Restorer
        The model.
    pipeline : callable
        ``pipeline(report)``: a ``Pipeline`` to that folder.

    Returns
    -------
    list of Row
        One for each recording, then that of the tar itself, which says that
        all of this is done. If the tar failed, there is no other.

    Raises
    ------
    UserError
        If the model cannot go on, or webdataset is not installed.
    """
    started = time.monotonic()
    row = Row(
        item.ID,
        str(item.input),
        item.output,
        model=restorer.identity,
        settings=tar_settings(settings, suffix),
    )
    rows = []
    job = TarJob(item, folder, suffix)
    try:
        with _reasons("cannot be read as a tar"):
            recordings = job.extract()
        pipeline(rows.append).run(recordings)
        with _reasons("cannot be written"):
            job.write(rows, row)
    except _Failed as failure:
        row.status, row.reason = "failed", str(failure)
        rows.clear()
    finally:
        job.clean()
    row.seconds_spent = round(time.monotonic() - started, 3)
    row.finished = now()
    return [*rows, row]


@contextlib.contextmanager
def _reasons(what):
    """Says of errors that concern one tar only what failed and why."""
    try:
        yield
    except (tarfile.TarError, OSError, EOFError, ValueError, zlib.error) as e:
        # webdataset adds arguments of its own to an exception's
        reason = getattr(e, "strerror", None) or str((*e.args, e)[0])
        reason = reason.partition("\n")[0].rstrip(":")
        raise _Failed(f"{what}: {reason}") from None


class _Member(NamedTuple):
    """A recording in a tar: whose it is, its new name, where it is now."""

    key: str
    output: str
    restored: Path


class TarJob:
    """One tar: its recordings out of it, and restored into another one.

    Arguments
    ---------
    item : miipher2.corpora.items.Item
        The tar.
    folder : str or Path
        The output folder.
    suffix : str
        Of the restored recordings.
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

    def extract(self):
        """Writes the recordings to files that are named by their numbers.

        Returns
        -------
        list of Item
            The recordings.
        """
        _check_whole(self.item.input)
        self.clean()
        restored = self.temporary / "restored"
        with _reasons("cannot be written"):
            restored.mkdir(parents=True)
        items = []
        for key, sample in self._samples():
            names = [n for n in sample if n.lower().endswith(SUFFIXES)]
            for name, output in name_outputs(names, self.suffix).items():
                if name in self.members:
                    raise ValueError(f"{name} is in it twice")
                number = len(items)
                source = self.temporary / f"{number}{os.path.splitext(name)[1]}"
                with _reasons("cannot be written"):
                    source.write_bytes(sample[name])
                file = restored / f"{number}{self.suffix}"
                self.members[name] = _Member(key, output, file)
                items.append(
                    Item(
                        f"{self.item.ID}/{name}",
                        source,
                        str(file.relative_to(self.folder)),
                        len(sample[name]),
                    )
                )
        return items

    def write(self, rows, row):
        """Writes the output, if anything is to be in it.

        Arguments
        ---------
        rows : list of Row
            Of the recordings; they get their names in the tars.
        row : Row
            Of the tar; it gets what became of it.
        """
        left_out = self._left_out(rows)
        if not any(one.status in RESTORED for one in rows):
            row.status = "skipped"
            row.reason = "no recordings in it that could be restored"
            return
        if left_out:
            row.reason = f"samples left out: {len(left_out)}"
        with (
            whole_file(self.path) as file,
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
        row.bytes = self.path.stat().st_size

    def _left_out(self, rows):
        """Completes the rows; returns the keys of what is left out."""
        to_blame = {}
        for row in rows:
            name = row.ID.removeprefix(f"{self.item.ID}/")
            key, output, _ = self.members[name]
            row.input = f"{self.item.input}/{name}"
            row.output = f"{self.item.output}/{output}"
            if row.reason.startswith("cannot be written"):  # not its fault
                raise _Failed(row.reason)
            if row.status not in RESTORED:
                to_blame[key] = name
        for row in rows:
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


def _check_whole(path):
    """Makes sure that a tar goes on up to its mark of the end.

    Iterating over it would end at a damaged header as if nothing were wrong.
    """
    with tarfile.open(path) as tar:
        while tar.next():
            tar.members.clear()  # memory does not depend on their number
        tar.fileobj.seek(tar.offset)
        if tar.fileobj.read(tarfile.BLOCKSIZE) != bytes(tarfile.BLOCKSIZE):
            raise tarfile.ReadError("damaged or cut off")
