"""Data loaders for step-based training and for validation.

Authors
 * The miipher2 authors 2026
"""

import collections
import itertools
import os

import torch
from speechbrain.dataio.batch import PaddedBatch
from speechbrain.dataio.dataloader import LoopedLoader
from speechbrain.dataio.sampler import (
    DynamicBatchSampler,
    ReproducibleRandomSampler,
)
from torch.utils.data import BatchSampler

from miipher2.errors import UserError
from miipher2.training.stop_signals import ignore_stop_signals


class EndlessBatches:
    """Endless and reproducible batches of dataset indices ``(epoch, index)``.

    Arguments
    ---------
    dataset : miipher2.training.epoch_dataset.EpochDataset
        The clips. With ``batch_seconds``, each must have a ``duration``.
    seed : int
        Seed for the order of the clips.
    batch_size : int
        Number of clips per batch.
    segment_seconds : float
        Length in seconds to which longer clips are cropped by the dataset.
    batch_seconds : float
        If given, batches consist of clips of similar length with at most this
        total duration in seconds, and ``batch_size`` is not used. A longer clip
        raises the limit to its own duration.
    rank, world_size : int
        Index of this process and number of processes. Each process takes every
        ``world_size``-th batch.

    Attributes
    ----------
    start : int
        Number of clips that all processes together consumed before the run was
        resumed. These clips are skipped. Clips are counted instead of batches,
        because the batch size and the number of processes may change.
    ends : collections.deque
        For each yielded batch, the number of clips that all processes together
        have consumed after it. The loader removes the entries.

    Example
    -------
    >>> from miipher2.training.epoch_dataset import EpochDataset
    >>> clips = {str(i): {"duration": 2.0} for i in range(5)}
    >>> batches = iter(EndlessBatches(EpochDataset(clips), 1, 2, 2.0))
    >>> sorted(next(batches) + next(batches) + next(batches))
    [(1, 0), (1, 1), (1, 2), (1, 3), (1, 4)]
    >>> [epoch for epoch, _ in next(batches)]
    [2, 2]
    """

    def __init__(
        self,
        dataset,
        seed,
        batch_size,
        segment_seconds,
        batch_seconds=None,
        rank=0,
        world_size=1,
    ):
        if batch_seconds is None:
            self.order = ReproducibleRandomSampler(dataset, seed=seed)
            self.batches = BatchSampler(self.order, batch_size, False)
        else:
            durations = [
                min(dataset.data[key]["duration"], segment_seconds)
                for key in dataset.data_ids
            ]
            self.order = self.batches = DynamicBatchSampler(
                dataset,
                max(batch_seconds, *durations),
                num_buckets=20,
                lengths_list=durations,
                seed=seed,
            )
        self.clips_per_epoch = len(dataset)
        self.rank = rank
        self.world_size = world_size
        self.start = 0
        self.ends = collections.deque()

    def __iter__(self):
        self.ends.clear()
        batches = self._batches(*divmod(self.start, self.clips_per_epoch))
        clips = self.start
        while True:
            group = list(itertools.islice(batches, self.world_size))
            clips += sum(map(len, group))
            self.ends.append(clips)
            yield group[self.rank]

    def _batches(self, epochs, skip):
        for epoch in itertools.count(epochs + 1):
            self.order.set_epoch(epoch)
            for batch in self.batches:
                remaining = batch[skip:]
                skip = max(0, skip - len(batch))
                if remaining:
                    yield [(epoch, index) for index in remaining]


class EndlessLoader(LoopedLoader):
    """Endless loader of training batches; the Brain ends each epoch.

    A checkpoint stores ``total_samples``, the number of clips that all
    processes together have consumed. A resumed run continues with the next
    clip.

    Arguments
    ---------
    dataset : miipher2.training.epoch_dataset.EpochDataset
        The clips.
    batches : EndlessBatches
        Batches of the clips.
    num_workers : int
        Number of worker processes.
    """

    def __init__(self, dataset, batches, num_workers=0):
        loader = torch.utils.data.DataLoader(
            dataset,
            batch_sampler=batches,
            num_workers=num_workers,
            collate_fn=PaddedBatch,
            worker_init_fn=ignore_stop_signals,
        )
        super().__init__(loader, epoch_length=None)

    def __iter__(self):
        if self.iterator is None:
            self.loader.batch_sampler.start = self.total_samples
        return super().__iter__()

    def __next__(self):
        batch = next(self.iterator)
        self.total_samples = self.loader.batch_sampler.ends.popleft()
        return batch


def training_loader(
    dataset,
    seed,
    batch_size,
    segment_seconds,
    batch_seconds=None,
    num_workers=0,
):
    """Create the loader of training batches.

    Arguments
    ---------
    dataset : miipher2.training.epoch_dataset.EpochDataset
        The clips.
    seed : int
        The run's seed.
    batch_size : int
        Number of clips per batch and process.
    segment_seconds : float
        The ``segment_seconds`` of the dataset.
    batch_seconds : float
        If given, used instead of ``batch_size``; see ``EndlessBatches``.
    num_workers : int
        Number of worker processes, limited to the number of CPU cores.

    Returns
    -------
    EndlessLoader
        The loader for ``Brain.fit``.
    """
    check_counts(batch_size=batch_size)
    process = ()
    if torch.distributed.is_initialized():
        distributed = torch.distributed
        process = distributed.get_rank(), distributed.get_world_size()
    batches = EndlessBatches(
        dataset, seed, batch_size, segment_seconds, batch_seconds, *process
    )
    return EndlessLoader(dataset, batches, available_workers(num_workers))


def check_counts(**counts):
    """Check that all values are at least 1.

    Raises
    ------
    UserError
        If a value is below 1. The message names the key and the value.

    Example
    -------
    >>> check_counts(batch_size=0)
    Traceback (most recent call last):
    ...
    miipher2.errors.UserError: --batch_size=0: must be at least 1
    """
    for name, value in counts.items():
        if value < 1:
            raise UserError(f"--{name}={value}: must be at least 1")


def available_workers(num_workers):
    """Limit the number of worker processes to the available CPU cores."""
    if hasattr(os, "sched_getaffinity"):
        return min(num_workers, len(os.sched_getaffinity(0)))
    return min(num_workers, os.cpu_count() or 1)


def validation_loader(dataset, batch_size, num_workers=0):
    """Create a loader that yields the same batches in the same order each time.

    Arguments
    ---------
    dataset : miipher2.training.epoch_dataset.EpochDataset
        The clips.
    batch_size : int
        Number of clips per batch.
    num_workers : int
        Number of worker processes, limited to the number of CPU cores.

    Returns
    -------
    torch.utils.data.DataLoader
        The loader for ``Brain.fit`` and ``Brain.evaluate``.
    """
    return torch.utils.data.DataLoader(
        dataset,
        batch_size=batch_size,
        sampler=[(0, index) for index in range(len(dataset))],
        num_workers=available_workers(num_workers),
        collate_fn=PaddedBatch,
        worker_init_fn=ignore_stop_signals,
    )
