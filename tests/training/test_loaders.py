"""Loaders: order, epochs, resuming and batches by duration.

Authors
 * The miipher2 authors 2026
"""

import itertools

import pytest
import torch

from miipher2.errors import UserError
from miipher2.training.loaders import (
    EndlessBatches,
    training_loader,
    validation_loader,
)


def collect(loader, count):
    return [
        (batch.id, batch.clean.data.clone())
        for batch in itertools.islice(loader, count)
    ]


def equal(one, other):
    return len(one) == len(other) and all(
        a[0] == b[0] and torch.equal(a[1], b[1])
        for a, b in zip(one, other, strict=True)
    )


OPTIONS = {
    "seed": 1,
    "batch_size": 3,
    "segment_seconds": 0.5,
    "max_steps": 9,
    "valid_interval": 4,
}


def test_any_number_of_workers_gives_the_same_batches(dataset):
    main = collect(training_loader(dataset(), **OPTIONS), 4)
    workers = collect(training_loader(dataset(), num_workers=2, **OPTIONS), 4)
    assert equal(main, workers)


def test_the_last_nominal_epoch_ends_with_the_run(dataset):
    loader = training_loader(dataset(), **OPTIONS)
    assert [len(list(loader)) for _ in range(4)] == [4, 4, 1, 0]


def test_a_resumed_loader_continues_with_the_next_batch(dataset, tmp_path):
    uninterrupted = training_loader(dataset(), **OPTIONS)
    expected = collect(uninterrupted, 4)
    interrupted = training_loader(dataset(), **OPTIONS)
    first = collect(interrupted, 2)
    interrupted.save(tmp_path / "loader")
    resumed = training_loader(dataset(), **OPTIONS)
    resumed.load(tmp_path / "loader", end_of_epoch=False)
    assert equal(first + collect(resumed, 9), expected)


def test_processes_share_the_batches(dataset):
    def take(rank, world_size, count):
        batches = EndlessBatches(
            dataset(), 1, 2, 0.5, rank=rank, world_size=world_size
        )
        return list(itertools.islice(batches, count))

    batches = take(0, 1, 12)
    assert take(0, 2, 6) == batches[0::2]
    assert take(1, 2, 6) == batches[1::2]


def test_batches_by_duration(manifest, corpus, dataset):
    clips = dataset(segment_seconds=2.0)
    durations = [clips.data[key]["duration"] for key in clips.data_ids]
    batches = EndlessBatches(clips, 1, None, 2.0, batch_seconds=4.0)
    indices = []
    for batch in batches:
        if batch[0][0] > 1:
            break
        longest = max(min(2.0, durations[i]) for _, i in batch)
        assert longest * len(batch) <= 4.0 + 1e-6
        indices += [index for _, index in batch]
    assert sorted(indices) == list(range(len(clips)))


def test_validation_is_the_same_every_time(dataset):
    loader = validation_loader(dataset(), batch_size=3)
    assert equal(collect(loader, 9), collect(loader, 9))


@pytest.mark.parametrize("name", ["batch_size", "max_steps", "valid_interval"])
def test_counts_are_at_least_one(dataset, name):
    with pytest.raises(UserError, match=f"{name}=0"):
        training_loader(dataset(), **{**OPTIONS, name: 0})
