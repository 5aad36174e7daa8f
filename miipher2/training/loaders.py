"""Data loaders for training by steps and for validation.

Authors
 * The miipher2 authors 2026
"""

import itertools

import torch
from speechbrain.dataio.batch import PaddedBatch
from speechbrain.dataio.dataloader import LoopedLoader, SaveableDataLoader
from speechbrain.dataio.sampler import (
    DynamicBatchSampler,
    ReproducibleRandomSampler,
)
from torch.utils.data import BatchSampler

from miipher2.errors import UserError


class EndlessBatches:
    """Endless, reproducible batches of ``(epoch, index)``.

    Arguments
    ---------
    dataset : miipher2.training.epoch_dataset.EpochDataset
        Has the ``duration`` of every clip.
    seed : int
        Seed of the order.
    batch_size : int
        Clips per batch.
    segment_seconds : float
        Longer clips count as this long.
    batch_seconds : float
        If given, batches hold clips of similar length, as many as fit into
        this duration; ``batch_size`` is not used.
    rank, world_size : int
        Process ``rank`` gets every ``world_size``-th batch.

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
        self.rank = rank
        self.world_size = world_size
        self.done = 0  # batches to skip: those before an interruption

    def __iter__(self):
        own = itertools.islice(
            self._batches(), self.rank, None, self.world_size
        )
        return itertools.islice(own, self.done, None)

    def _batches(self):
        for epoch in itertools.count(1):
            self.order.set_epoch(epoch)
            for batch in self.batches:
                yield [(epoch, index) for index in batch]


class StepLoader(LoopedLoader):
    """Training batches in nominal epochs of ``epoch_length`` batches.

    A resumed run continues after the last batch before its checkpoint.

    Arguments
    ---------
    dataset : miipher2.training.epoch_dataset.EpochDataset
        The clips.
    batches : EndlessBatches
        Their batches.
    epoch_length : int
        Batches between two validations.
    total : int
        Batches of the run; the last nominal epoch may be shorter.
    num_workers : int
        Loading processes.
    """

    def __init__(self, dataset, batches, epoch_length, total, num_workers=0):
        loader = SaveableDataLoader(
            dataset,
            batch_sampler=batches,
            num_workers=num_workers,
            collate_fn=PaddedBatch,
        )
        super().__init__(loader, epoch_length)
        self.total = total

    def __iter__(self):
        self.loader.batch_sampler.done = self.total_steps
        return super().__iter__()

    def __next__(self):
        if self.total_steps >= self.total:
            self.step = 0
            raise StopIteration
        return super().__next__()


def training_loader(
    dataset,
    seed,
    batch_size,
    segment_seconds,
    max_steps,
    valid_interval,
    batch_seconds=None,
    grad_accumulation_factor=1,
    num_workers=0,
):
    """Create the loader of a run that counts optimizer steps.

    Arguments
    ---------
    dataset : miipher2.training.epoch_dataset.EpochDataset
        The clips.
    seed : int
        The run's seed.
    batch_size : int
        Clips per batch and process.
    segment_seconds : float
        The ``segment_seconds`` of the dataset.
    max_steps : int
        Optimizer steps of the run.
    valid_interval : int
        Optimizer steps between two validations.
    batch_seconds : float
        Seconds per batch, instead of ``batch_size``.
    grad_accumulation_factor : int
        Batches per optimizer step.
    num_workers : int
        Loading processes.

    Returns
    -------
    StepLoader
        For ``Brain.fit``.
    """
    _check_counts(
        batch_size=batch_size,
        max_steps=max_steps,
        valid_interval=valid_interval,
    )
    process = ()
    if torch.distributed.is_initialized():
        distributed = torch.distributed
        process = distributed.get_rank(), distributed.get_world_size()
    batches = EndlessBatches(
        dataset, seed, batch_size, segment_seconds, batch_seconds, *process
    )
    factor = grad_accumulation_factor
    total = max_steps * factor
    return StepLoader(
        dataset, batches, valid_interval * factor, total, num_workers
    )


def _check_counts(**counts):
    for name, value in counts.items():
        if value < 1:
            raise UserError(f"--{name}={value}: has to be at least 1")


def validation_loader(dataset, batch_size, num_workers=0):
    """Create a loader that yields epoch 0, in order, on every pass.

    Arguments
    ---------
    dataset : miipher2.training.epoch_dataset.EpochDataset
        The clips.
    batch_size : int
        Clips per batch.
    num_workers : int
        Loading processes.

    Returns
    -------
    torch.utils.data.DataLoader
        For ``Brain.fit`` and ``Brain.evaluate``.
    """
    return torch.utils.data.DataLoader(
        dataset,
        batch_size=batch_size,
        sampler=[(0, index) for index in range(len(dataset))],
        num_workers=num_workers,
        collate_fn=PaddedBatch,
    )
