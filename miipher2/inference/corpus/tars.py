"""Restoration of tars in the same pipeline as single recordings.

Authors
 * The miipher2 authors 2026
"""

import os
import threading
import time

from miipher2.inference.corpus.inputs import is_tar
from miipher2.inference.corpus.tar_job import (
    TarFailed,
    TarJob,
    import_webdataset,
    tar_errors,
)
from miipher2.inference.items import now


def check_tars(items):
    """Check that webdataset is installed if any item is a tar.

    Arguments
    ---------
    items : list of miipher2.inference.items.Item
        All items of the run.

    Raises
    ------
    UserError
        If webdataset is not installed.

    Example
    -------
    >>> check_tars([])
    """
    if any(is_tar(item.ID) for item in items):
        import_webdataset()


def tar_settings(settings, suffix):
    """Return the settings of an output tar as text.

    The settings include the format of the recordings, because the file name of
    the tar does not show it.

    Arguments
    ---------
    settings : miipher2.inference.job.Settings
        Settings of the recordings.
    suffix : str
        Suffix of the recordings.

    Returns
    -------
    str
        Text for the ``settings`` column of the tar's row in the manifest.

    Example
    -------
    >>> tar_settings("16000 Hz", ".flac")
    '16000 Hz, flac'
    """
    return f"{settings}, {suffix[1:]}"


class TarJobs:
    """Jobs that unpack tars into items and pack the restored recordings.

    Several tars are processed at the same time, so a batch can contain
    recordings from different tars. An output tar has the WebDataset samples of
    its input tar in the same order; samples with a recording that could not be
    restored are left out. The output tar is written when all its recordings
    have been processed, if the remaining samples contain a restored recording.

    Arguments
    ---------
    folder : str or Path
        The output folder.
    suffix : str
        Suffix of the restored recordings: ``.wav``, ``.flac`` or ``.ogg``.
    settings : miipher2.inference.job.Settings
        Settings of the restored recordings.
    restorer : miipher2.inference.restorer.Restorer
        The model.
    report : callable
        Called with the row of each single recording; for a tar, called with the
        rows of its recordings and then with the row of the tar. For a tar that
        failed, called with the row of the tar only.
    """

    def __init__(self, folder, suffix, settings, restorer, report):
        self.folder = folder
        self.suffix = suffix
        self.settings = tar_settings(settings, suffix)
        self.model = restorer.identity
        self.report = report
        self.jobs = set()  # jobs of unfinished tars
        self.owners = {}  # path of an extracted recording -> job
        self.lock = threading.Lock()

    def unpack(self, items, stop):
        """Replace tars with their recordings.

        Arguments
        ---------
        items : iterable of miipher2.inference.items.Item
            Recordings and tars.
        stop : threading.Event
            When it is set, reading a tar raises ``Stopped``.

        Yields
        ------
        miipher2.inference.items.Item
            The next recording.

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
            self.jobs.add(job)
            try:
                with tar_errors("cannot be read as a tar"):
                    recordings = job.extract(stop)
            except TarFailed as failure:
                self._finish(job, failure)
                continue
            self.owners.update(
                {os.path.abspath(item.input): job for item in recordings}
            )
            yield from recordings
            if not recordings:
                self._finish(job)

    def collect(self, row):
        """Report a recording; recordings in a tar are reported with the tar.

        Arguments
        ---------
        row : miipher2.inference.items.Row
            Row of a recording.
        """
        job = self.owners.pop(row.input, None)
        if job is None:
            self.report(row)
            return
        with self.lock:
            job.rows.append(row)
            missing = len(job.members) - len(job.rows)
        if not missing:
            self._finish(job)

    def clean(self):
        """Remove the temporary files of unfinished tars."""
        for job in list(self.jobs):
            job.clean()

    def _finish(self, job, failure=None):
        """Write a tar, or mark it as failed, and report its rows."""
        try:
            if failure:
                raise failure
            with tar_errors("cannot be written"):
                job.write()
        except TarFailed as error:
            job.row.status, job.row.reason = "failed", str(error)
            job.rows.clear()
            job.skipped.clear()
        finally:
            job.clean()
        self.jobs.remove(job)
        job.row.seconds_spent = round(time.monotonic() - job.started, 3)
        job.row.finished = now()
        for row in (*job.rows, *job.skipped, job.row):
            self.report(row)
