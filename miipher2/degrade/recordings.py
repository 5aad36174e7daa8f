"""Noise, impulse responses and voices: audio files that a manifest lists.

Authors
 * The miipher2 authors 2026
"""

import collections

import numpy as np

from miipher2.dataio.audio import read_audio
from miipher2.dataio.manifests import read_manifest
from miipher2.degrade.base import pick
from miipher2.errors import UserError

CACHE_BYTES = 128 * 2**20
WHOLE_SECONDS = 10.0


class _Cache(collections.OrderedDict):
    """The last used decoded files, up to ``CACHE_BYTES`` a process."""

    bytes = 0

    def get_or_read(self, key, read):
        """The array of ``key``, from ``read`` if it is not here."""
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


class Recordings:
    """The audio files of a manifest, read lazily.

    The manifest is read at the first use, so that building is cheap, and stays
    out of pickles. Files of up to 10 s are decoded whole and kept in a
    cache of 128 MiB a process; of longer ones only the seconds that are needed
    are read. Channels are averaged; other rates are resampled by soxr.

    Arguments
    ---------
    csv : str or None
        Manifest with the columns ID, duration (in seconds) and wav.
    data_root : str or None
        What ``$data_root`` stands for in the column wav.
    sample_rate : int
        In Hz, of what is returned.
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
        """list of dict: the manifest's rows.

        Raises
        ------
        UserError
            If the manifest is missing, unreadable or has no rows.
        """
        if self._rows is None:
            self._rows = read_manifest(self.csv, self.data_root)
        return self._rows

    def whole(self, row):
        """All samples of a row's file, read-only, of shape (time,)."""
        return _cache.get_or_read(
            (row["wav"], self.sample_rate),
            lambda: read_audio(row["wav"], self.sample_rate).numpy(),
        )

    def crop(self, row, length, rng):
        """``length`` samples from a random place of a row's file.

        A file that is shorter is repeated.

        Arguments
        ---------
        row : dict
            One of ``rows``.
        length : int
            Samples at ``sample_rate``.
        rng : numpy.random.Generator
            Where the place is drawn from.

        Returns
        -------
        samples : numpy.ndarray
            float32 of shape (length,).
        """
        place = rng.random()
        spare = row["duration"] - length / self.sample_rate
        if row["duration"] > WHOLE_SECONDS and spare > 0:
            samples = read_audio(
                row["wav"],
                self.sample_rate,
                start=place * spare,
                seconds=length / self.sample_rate,
            ).numpy()
            start = 0
        else:
            samples = self.whole(row)
            spare = len(samples) - length
            start = int(place * (spare + 1 if spare >= 0 else len(samples)))
        if samples.size == 0:
            raise UserError(f"{row['wav']}: holds no samples; remove its row")
        return samples.take(np.arange(start, start + length), mode="wrap")

    def draw(self, length, rng):
        """A random row and ``length`` samples of it; see ``crop``."""
        row = pick(rng, self.rows)
        return row, self.crop(row, length, rng)
