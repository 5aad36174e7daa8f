"""Pairs of clean and degraded speech for the two training stages.

Everything random about an item (where it is cut, how it is degraded) is drawn
from the run's seed, the epoch and the item's ID alone, so that a run gives the
same audio whatever the number of workers and however often it was resumed.

Authors
 * The miipher2 authors 2026
"""

import itertools
import math

import torch
from speechbrain.dataio.batch import PaddedBatch
from speechbrain.dataio.dataloader import LoopedLoader, SaveableDataLoader
from speechbrain.dataio.dataset import DynamicItemDataset
from speechbrain.dataio.sampler import (
    DynamicBatchSampler,
    ReproducibleRandomSampler,
)
from speechbrain.utils.data_pipeline import provides, takes
from torch.utils.data import BatchSampler

from miipher2.dataio.audio import read_audio, resample
from miipher2.dataio.audio_files import PAIR_TOLERANCE
from miipher2.dataio.manifests import read_manifest
from miipher2.dataio.speech_level import SpeechLevel
from miipher2.degrade import generator
from miipher2.errors import UserError

SSL_RATE = 16000


class EpochDataset(DynamicItemDataset):
    """A dataset whose items are asked for by ``(epoch, index)``.

    The epoch travels with the index because workers keep their own copy of
    the dataset and would not see it change.
    """

    def __getitem__(self, key):
        epoch, index = key
        data_id = self.data_ids[index]
        data_point = {**self.data[data_id], "id": data_id, "epoch": epoch}
        return self.pipeline.compute_outputs(data_point)


def speech_set(
    csv,
    data_root,
    degrade,
    segment_seconds,
    sample_rate,
    seed,
    kinds=("all",),
    max_clips=None,
    pitch=None,
):
    """Makes the dataset of one manifest.

    Arguments
    ---------
    csv : str
        Manifest with ``ID, duration, wav``; for pairs ``noisy_wav``; and
        ``target_wav`` if another recording than that to be degraded is to be
        given back where noise or a room was added to it: the same without the
        noise of its own room.
    data_root : str
        What ``$data_root`` stands for in it.
    degrade : miipher2.degrade.Chain
        Makes the degraded side where the manifest has no ``noisy_wav``.
    segment_seconds : float
        Clips are cut at random to this length; shorter ones are taken whole.
    sample_rate : int
        Rate of ``target``, the sound that a vocoder is to make, in Hz.
        ``clean`` and ``noisy`` are at the backbones' 16 kHz.
    seed : int
        The run's seed.
    kinds : list of str
        For validation: every clip comes once for each of these degradations
        alone (``all``: the whole chain). Those that the chain lacks, for want
        of noise or rooms, are left out.
    max_clips : int
        If given, no more than so many clips, evenly chosen from the manifest.
    pitch : miipher2.dataio.pitch.PitchTracks
        If given, the items have ``pitch`` too.

    Returns
    -------
    EpochDataset
        Items with ``id``, ``kind``, ``clean``, ``noisy``, ``target`` and
        ``cut``, a random number in [0, 1) for cutting features.
    """
    rows = read_manifest(csv, data_root)
    unknown = set(kinds) - {"all", *degrade.names, *degrade.left_out}
    if unknown:
        raise UserError(
            f"valid_kinds: {', '.join(sorted(unknown))}: no such degradation; "
            f"there are all, {', '.join(degrade.names)}"
        )
    if "noisy_wav" in rows[0]:  # what is recorded comes in one kind
        kinds = ["all"]
    if max_clips is not None:
        rows = rows[:: -(-len(rows) // max(1, max_clips))]
    chains = {
        kind: degrade if kind == "all" else degrade.only(kind)
        for kind in kinds
        if kind in ("all", *degrade.names)
    }
    if not chains:
        raise UserError(
            f"valid_kinds: none of {', '.join(kinds)} can be made without "
            "noise or rooms; add all"
        )
    data = {
        f"{kind}/{row['ID']}": {
            "noisy_wav": None,
            "target_wav": None,
            **row,
            "kind": kind,
            "epoch": 0,
        }
        for kind in chains
        for row in rows
    }

    @takes("ID", "kind", "epoch", "wav", "noisy_wav", "target_wav", "duration")
    @provides("clean", "noisy", "target", "cut", "pitch")
    def pair(utterance, kind, epoch, wav, noisy_wav, target_wav, duration):
        rng = generator(seed, epoch, utterance)
        spare = max(0.0, duration - segment_seconds)
        place = {"start": rng.random() * spare, "seconds": segment_seconds}
        cut = rng.random()
        source = read_audio(wav, sample_rate, **place)
        gain = SpeechLevel.of(source, sample_rate).gain()
        target = source = source * gain
        clean = heard = for_ssl(source, sample_rate)
        if target_wav is not None:
            target = read_audio(target_wav, sample_rate, **place) * gain
            target = as_long(target, source, sample_rate, target_wav, wav)
            clean = for_ssl(target, sample_rate)
        if noisy_wav is None:
            chain = chains[kind]
            clean, noisy, drawn = chain.pair(heard, rng, target=clean)
            # noise takes that of the room with it, all else leaves it there
            if target_wav is not None and not chain.added_sound(drawn):
                clean, target = heard, source
            if sample_rate == SSL_RATE:
                target = clean
        else:
            noisy = read_audio(noisy_wav, SSL_RATE, **place) * gain
            noisy = torch.nn.functional.pad(noisy, (0, len(clean)))
            noisy = noisy[: len(clean)]
        # a restorer does the same: what it hears is speech at one level
        noisy = noisy * SpeechLevel.of(noisy, SSL_RATE).gain()
        yield clean
        yield noisy
        yield target
        yield cut
        if pitch is not None:
            seconds = len(target) / sample_rate
            yield pitch(
                wav,
                place["start"],
                math.ceil(seconds / pitch.frame_seconds),
            )

    dataset = EpochDataset(data, [pair])
    keys = ["id", "kind", "clean", "noisy", "target", "cut"]
    dataset.set_output_keys(keys + ["pitch"] * (pitch is not None))
    return dataset


def for_ssl(wav, sample_rate):
    """A sound ``(time,)`` at the rate of the backbones."""
    return torch.from_numpy(resample(wav.numpy(), sample_rate, SSL_RATE))


def as_long(wav, other, sample_rate, path, other_path):
    """A sound ``(time,)``, as long as the one that it is to stand for.

    Raises
    ------
    UserError
        If it is longer or shorter by over 50 ms.
    """
    missing = len(other) - len(wav)
    if abs(missing) > PAIR_TOLERANCE * sample_rate:
        raise UserError(
            f"{path}: expected to be as long as {other_path}, found it "
            f"{abs(missing) / sample_rate:.3f} s "
            f"{'shorter' if missing > 0 else 'longer'}"
        )
    return torch.nn.functional.pad(wav, (0, missing))


class EndlessBatches:
    """Batches of ``(epoch, index)`` without end, the same on every run.

    Arguments
    ---------
    dataset : EpochDataset
        Its ``duration`` decides what fits into a batch.
    seed : int
        Seed of the order.
    batch_size : int
        Clips in a batch.
    segment_seconds : float
        Clips count as no longer than this.
    batch_seconds : float
        If given, batches hold as many clips of alike length as come to this
        duration, and ``batch_size`` is not used.
    rank, world_size : int
        Process ``rank`` gets every ``world_size``-th batch.

    Example
    -------
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
        self.done = 0  # batches that an interrupted run has had

    def __iter__(self):
        mine = itertools.islice(self._all(), self.rank, None, self.world_size)
        return itertools.islice(mine, self.done, None)

    def _all(self):
        for epoch in itertools.count(1):
            self.order.set_epoch(epoch)
            for batch in self.batches:
                yield [(epoch, index) for index in batch]


class StepLoader(LoopedLoader):
    """Training batches in nominal epochs of ``valid_interval`` steps.

    A resumed run goes on with the batch after the last one that the
    checkpoint knows of.

    Arguments
    ---------
    dataset : EpochDataset
        What to load.
    batches : EndlessBatches
        In which batches.
    epoch_length : int
        Batches between two validations.
    total : int
        Batches of the whole run; the last nominal epoch may be shorter.
    num_workers : int
        Processes that load.
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
    """Makes the loader of a run that counts optimizer steps.

    Arguments
    ---------
    dataset : EpochDataset
        From ``speech_set``.
    seed : int
        The run's seed.
    batch_size : int
        Clips in a batch of one process.
    segment_seconds : float
        As given to ``speech_set``.
    max_steps : int
        Optimizer steps of the run.
    valid_interval : int
        Optimizer steps between two validations.
    batch_seconds : float
        If given, seconds in a batch instead of ``batch_size``.
    grad_accumulation_factor : int
        Batches a step.
    num_workers : int
        Processes that load.

    Returns
    -------
    StepLoader
        For ``Brain.fit``.
    """
    for name, value in (
        ("batch_size", batch_size),
        ("max_steps", max_steps),
        ("valid_interval", valid_interval),
    ):
        if value < 1:
            raise UserError(f"--{name}={value}: has to be at least 1")
    distributed = torch.distributed.is_initialized()
    batches = EndlessBatches(
        dataset,
        seed,
        batch_size,
        segment_seconds,
        batch_seconds,
        torch.distributed.get_rank() if distributed else 0,
        torch.distributed.get_world_size() if distributed else 1,
    )
    return StepLoader(
        dataset,
        batches,
        valid_interval * grad_accumulation_factor,
        max_steps * grad_accumulation_factor,
        num_workers,
    )


def validation_loader(dataset, batch_size, num_workers=0):
    """Makes a loader that gives the same audio every time: that of epoch 0.

    Arguments
    ---------
    dataset : EpochDataset
        From ``speech_set``.
    batch_size : int
        Clips in a batch.
    num_workers : int
        Processes that load.

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
