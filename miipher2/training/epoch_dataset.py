"""A dataset that depends on the epoch and can skip unusable clips.

Authors
 * The miipher2 authors 2026
"""

import logging

import torch
from speechbrain.dataio.dataset import DynamicItemDataset

from miipher2.dataio.tables import read_table
from miipher2.errors import UserError

logger = logging.getLogger(__name__)

MAX_BAD_SHARE = 0.01  # maximum fraction of skipped clips; one is always allowed


class UnusableClip(UserError):
    """Error for a clip that cannot be read or has the wrong length."""


class EpochDataset(DynamicItemDataset):
    """A dataset that is indexed by ``(epoch, index)``.

    The epoch is part of the key because every worker process has a copy of the
    dataset, and the main process cannot set attributes of these copies.

    Arguments
    ---------
    data, dynamic_items
        See ``DynamicItemDataset``.
    csv : str
        Path of the manifest, for error messages.
    skip_bad_clips : bool
        Whether to use the next clip in place of an unusable clip. Up to 1 % of
        the clips, or one clip of a small dataset, may be unusable. All worker
        processes share the count of unusable clips.
    """

    def __init__(self, data, dynamic_items=(), csv="", skip_bad_clips=False):
        super().__init__(data, dynamic_items)
        self.csv = csv
        self.skip_bad_clips = skip_bad_clips
        self.bad = torch.zeros(len(self), dtype=torch.bool).share_memory_()

    def __getitem__(self, key):
        epoch, index = key
        while True:
            data_id = self.data_ids[index]
            data_point = {**self.data[data_id], "id": data_id, "epoch": epoch}
            try:
                return self.pipeline.compute_outputs(data_point)
            except UnusableClip as error:
                for item in self.pipeline.dynamic_items:
                    item.reset()  # the error has ended its generator
                self._skip(index, f"{self._location(data_id)}: {error}")
            index = (index + 1) % len(self)

    def _location(self, data_id):
        """Return the manifest and the line number of a clip, as text."""
        name = self.data[data_id]["ID"]
        for line, row in read_table(self.csv, ("ID",), skipinitialspace=True):
            if row["ID"] == name:
                return f"{self.csv}, line {line}"
        return self.csv

    def _skip(self, index, reason):
        if not self.skip_bad_clips:
            raise UnusableClip(
                f"{reason}; repair the file or the manifest, or skip "
                "such clips with --skip_bad_clips=True"
            )
        if self.bad[index]:
            return
        self.bad[index] = True
        count, total = int(self.bad.sum()), len(self)
        if count > max(1, MAX_BAD_SHARE * total):
            raise UnusableClip(
                f"{reason}; {count} of {total} clips cannot be used, more than "
                f"the limit of {MAX_BAD_SHARE:.0%}; check the corpus"
            )
        logger.warning(f"{reason}; skipped ({count} of {total} clips so far)")
