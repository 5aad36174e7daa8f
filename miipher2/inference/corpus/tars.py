"""The tars of a run, through one pipeline with everything else.

Authors
 * The miipher2 authors 2026
"""

import os
import threading
import time

from miipher2.errors import UserError
from miipher2.inference.corpus.inputs import is_tar
from miipher2.inference.corpus.tar_job import (
    TarFailed,
    TarJob,
    find_webdataset,
    reasons,
)
from miipher2.inference.items import now


def check_tars(items, output):
    """Makes sure that the tars of a run, if there are any, can be restored.

    Arguments
    ---------
    items : list of miipher2.inference.items.Item
        All of the run.
    output : Path
        Where to.

    Raises
    ------
    UserError
        If webdataset is not there or the output is not a folder.

    Example
    -------
    >>> from pathlib import Path
    >>> from miipher2.inference.items import Item
    >>> tar = Item("a.tar", Path("in/a.tar"), "a.tar", size=0)
    >>> check_tars([tar], Path("b.tar"))
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
    find_webdataset()


def tar_settings(settings, suffix):
    """What decides how an output tar is; its name does not tell the format.

    Arguments
    ---------
    settings : miipher2.inference.job.Settings
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


class Tars:
    """The tars of a run, several of them open at a time.

    Recordings of one and the next go through the model together, so that no
    batch has to end with a tar. A tar of samples, as webdataset has them,
    becomes one with the same samples in the same order, less those with a
    recording that could not be restored; it appears, whole, when the last one
    of its recordings is restored.

    Arguments
    ---------
    folder : str or Path
        The output folder.
    suffix : str
        Of the restored recordings: ``.wav``, ``.flac``, ``.ogg``.
    settings : miipher2.inference.job.Settings
        How they are to be.
    restorer : miipher2.inference.restorer.Restorer
        The model.
    report : callable
        Called with the rows of a tar's recordings, then with that of the tar
        itself, which says that all of this is done. If the tar failed, there
        is no other.
    """

    def __init__(self, folder, suffix, settings, restorer, report):
        self.folder = folder
        self.suffix = suffix
        self.settings = tar_settings(settings, suffix)
        self.model = restorer.identity
        self.report = report
        self.open = set()
        self.owners = {}  # tars by the paths of their recordings
        self.lock = threading.Lock()

    def unpack(self, items, stop):
        """Puts a tar's recordings in its place.

        Arguments
        ---------
        items : iterable of miipher2.inference.items.Item
            Recordings and tars.
        stop : threading.Event
            Once it is set, reading ends with ``Stopped``.

        Yields
        ------
        miipher2.inference.items.Item
            A recording.

        Raises
        ------
        UserError
            If webdataset is not installed.
        """
        for item in items:
            if not is_tar(item.ID):
                yield item
                continue
            job = TarJob(item, self.folder, self.suffix)
            job.row.model, job.row.settings = self.model, self.settings
            self.open.add(job)
            try:
                with reasons("cannot be read as a tar"):
                    recordings = job.extract(stop)
            except TarFailed as failure:
                self._end(job, failure)
                continue
            self.owners.update(
                {os.path.abspath(one.input): job for one in recordings}
            )
            yield from recordings
            if not recordings:
                self._end(job)

    def take(self, row):
        """Takes what became of a recording, be it in a tar or not.

        Arguments
        ---------
        row : miipher2.inference.items.Row
            About it.
        """
        job = self.owners.pop(row.input, None)
        if job is None:
            self.report(row)
            return
        with self.lock:
            job.rows.append(row)
            missing = len(job.members) - len(job.rows)
        if not missing:
            self._end(job)

    def clean(self):
        """Removes what belongs to tars that have not been restored."""
        for job in list(self.open):
            job.clean()

    def _end(self, job, failure=None):
        """Writes a tar, or says why it cannot be."""
        try:
            if failure:
                raise failure
            with reasons("cannot be written"):
                job.write()
        except TarFailed as reason:
            job.row.status, job.row.reason = "failed", str(reason)
            job.rows.clear()
        finally:
            job.clean()
        self.open.remove(job)
        job.row.seconds_spent = round(time.monotonic() - job.started, 3)
        job.row.finished = now()
        for row in (*job.rows, job.row):
            self.report(row)
