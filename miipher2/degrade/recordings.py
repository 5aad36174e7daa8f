"""The audio files of a manifest: noise, impulse responses or speech.

Authors
 * The miipher2 authors 2026
"""

import collections
import os

import numpy as np

from miipher2.dataio.audio import read_audio
from miipher2.dataio.manifests import read_manifest
from miipher2.degrade.base import pick
from miipher2.errors import UserError

CACHE_BYTES = 128 * 2**20
CACHED_SECONDS = 10.0


class _Cache(collections.OrderedDict):
    """LRU cache of decoded files, up to ``CACHE_BYTES`` per process."""

    bytes = 0

    def get_or_read(self, key, read):
        """Return the array for ``key``; call ``read`` if it is not cached."""
        if key in self:
            self.move_to_end(key)
            return self[key]
        samples = read()
        samples.flags.writeable = False
        self[key] = samples
        self.bytes += samples.nbytes
        while self.bytes > CACHE_BYTES:
            self.bytes -= self.popitem(last=False)[1].nbytes
        return samples


_cache = _Cache()


def _version(path):
    """Return size and modification time, which identify a version of a file."""
    try:
        status = os.stat(path)
    except OSError:  # reported when the file is read
        return None
    return status.st_size, status.st_mtime_ns


class Recordings:
    """The audio files of a manifest, read lazily.

    The manifest is read on first use and is not pickled. ``read`` decodes
    complete files and caches up to 128 MiB of them per process. ``crop`` does
    the same for files that last up to 10 s or are not longer than the crop;
    from other files, it reads only the required segment. Channels are averaged,
    and the audio is resampled to ``sample_rate`` with soxr.

    Arguments
    ---------
    csv : str or None
        Manifest with the columns ID, duration (in seconds) and wav.
    data_root : str or None
        Value of ``$data_root`` in the ``wav`` column.
    sample_rate : int
        Sample rate of the returned audio in Hz.
    """

    def __init__(self, csv, data_root=None, sample_rate=16000):
        self.csv = csv
        self.data_root = data_root
        self.sample_rate = sample_rate
        self._rows = None

    def __getstate__(self):
        return {**self.__dict__, "_rows": None}

    @property
    def rows(self):
        """Rows of the manifest, a list of dict.

        Raises
        ------
        UserError
            If the manifest is missing or invalid, or has no rows.
        """
        if self._rows is None:
            self._rows = read_manifest(self.csv, self.data_root)
        return self._rows

    def read(self, row):
        """Return all samples of a row's file as a read-only array (time,)."""
        return _cache.get_or_read(
            (row["wav"], self.sample_rate, _version(row["wav"])),
            lambda: read_audio(row["wav"], self.sample_rate).numpy(),
        )

    def crop(self, row, length, rng):
        """Return ``length`` samples of a row's file, from a random position.

        Shorter files are repeated.

        Arguments
        ---------
        row : dict
            One of ``rows``.
        length : int
            Number of samples at ``sample_rate``.
        rng : numpy.random.Generator
            Source of the random position.

        Returns
        -------
        samples : numpy.ndarray
            float32 of shape (length,).

        Raises
        ------
        UserError
            If the file cannot be read or has no samples at the position.
        """
        position = rng.random()  # as a fraction of the range of possible starts
        latest = row["duration"] - length / self.sample_rate
        if row["duration"] > CACHED_SECONDS and latest > 0:
            samples = read_audio(
                row["wav"],
                self.sample_rate,
                start=position * latest,
                seconds=length / self.sample_rate,
            ).numpy()
            start = 0
        else:
            samples = self.read(row)
            latest = len(samples) - length
            starts = latest + 1 if latest >= 0 else len(samples)
            start = int(position * starts)
        if samples.size == 0:
            raise UserError(
                f"{row['wav']}: no samples; the file is empty or shorter than "
                f"the {row['duration']:g} s given in {self.csv}; correct or "
                "remove its row"
            )
        return samples.take(np.arange(start, start + length), mode="wrap")

    def draw(self, length, rng):
        """Return a random row and ``length`` samples of its file.

        See ``crop`` for the arguments.
        """
        row = pick(rng, self.rows)
        return row, self.crop(row, length, rng)
