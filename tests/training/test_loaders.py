"""Tests of the loaders: order, epochs, resuming and batches by duration.

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


def equal(first, second):
    return len(first) == len(second) and all(
        a[0] == b[0] and torch.equal(a[1], b[1])
        for a, b in zip(first, second, strict=True)
    )


OPTIONS = {
    "seed": 1,
    "batch_size": 3,
    "segment_seconds": 0.5,
}


def test_any_number_of_workers_gives_the_same_batches(dataset):
    main = collect(training_loader(dataset(), **OPTIONS), 4)
    workers = collect(training_loader(dataset(), num_workers=2, **OPTIONS), 4)
    assert equal(main, workers)


def resumed(loader, path, dataset, **options):
    loader.save(path)
    loader = training_loader(dataset, **{**OPTIONS, **options})
    loader.load(path, end_of_epoch=False)
    return loader


def test_a_resumed_loader_continues_with_the_next_batch(dataset, tmp_path):
    expected = collect(training_loader(dataset(), **OPTIONS), 8)
    loader = training_loader(dataset(), **OPTIONS)
    first = collect(loader, 2)
    loader = resumed(loader, tmp_path / "loader", dataset())
    second = collect(loader, 3)
    loader = resumed(loader, tmp_path / "loader", dataset())
    assert equal(first + second + collect(loader, 3), expected)


@pytest.mark.parametrize("num_workers", [0, 1])
def test_a_resumed_loader_with_another_batch_size_repeats_no_clip_in_an_epoch(
    num_workers, dataset, tmp_path
):
    """The batch size changes from 3 to 2; each epoch has all eight clips."""
    loader = training_loader(dataset(), num_workers=num_workers, **OPTIONS)
    before = collect(loader, 4)
    loader = resumed(loader, tmp_path / "loader", dataset(), batch_size=2)
    after = collect(loader, 3)
    assert [len(ids) for ids, _ in before + after] == [3, 3, 2, 3, 1, 2, 2]
    clips = [clip for ids, _ in before + after for clip in ids]
    assert len(set(clips[:8])) == len(set(clips[8:])) == 8


def test_a_resumed_loader_can_change_to_batches_by_duration(dataset, tmp_path):
    loader = training_loader(dataset(), **OPTIONS)
    collect(loader, 2)
    loader = resumed(loader, tmp_path / "loader", dataset(), batch_seconds=1.0)
    assert sum(len(ids) for ids, _ in collect(loader, 1)) <= 2
    assert loader.total_samples <= 8


def test_processes_continue_where_one_process_stopped(dataset):
    def batches(rank=0, world_size=1, start=0):
        batches = EndlessBatches(
            dataset(), 1, 2, 0.5, rank=rank, world_size=world_size
        )
        batches.start = start
        return batches

    expected = list(itertools.islice(batches(), 9))
    single = batches()
    list(itertools.islice(single, 3))
    start = single.ends[-1]
    ranks = [batches(rank, 2, start) for rank in (0, 1)]
    groups = [list(itertools.islice(rank, 3)) for rank in ranks]
    assert groups == [expected[3::2], expected[4::2]]
    assert ranks[0].ends == ranks[1].ends
    start = ranks[0].ends[0]
    assert next(iter(batches(start=start))) == expected[5]


def test_processes_share_the_batches(dataset):
    def take(rank, world_size, count):
        batches = EndlessBatches(
            dataset(), 1, 2, 0.5, rank=rank, world_size=world_size
        )
        return list(itertools.islice(batches, count))

    batches = take(0, 1, 12)
    assert take(0, 2, 6) == batches[0::2]
    assert take(1, 2, 6) == batches[1::2]


def test_the_duration_of_a_batch_is_limited(manifest, corpus, dataset):
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


def test_validation_batches_are_the_same_every_time(dataset):
    loader = validation_loader(dataset(), batch_size=3)
    assert equal(collect(loader, 9), collect(loader, 9))


def test_a_batch_size_below_one_is_rejected(dataset):
    with pytest.raises(UserError, match="batch_size=0"):
        training_loader(dataset(), **{**OPTIONS, "batch_size": 0})


def test_workers_are_limited_to_the_cores(dataset, recwarn):
    loader = training_loader(dataset(), num_workers=10_000, **OPTIONS)
    assert 1 <= loader.loader.num_workers < 10_000
    assert not [w for w in recwarn if "worker" in str(w.message)]
