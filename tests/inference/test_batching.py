"""Tests of batches: independent windows, order and out-of-memory errors.

Authors
 * The miipher2 authors 2026
"""

import numpy
import pytest
import torch
from tiny_restorer import voice

from miipher2.errors import UserError
from miipher2.inference.batching import Engine
from miipher2.inference.windows import Channel, Window


def window(owner, samples, channel=None, start=0, next_start=None):
    wav = voice(samples / 16000, seed=hash(owner) % 100)
    return Window(owner, channel or Channel(2.0), wav, start, next_start)


@pytest.fixture
def shapes(restorer, monkeypatch):
    """Collect the shape of each batch and whether it has a mask."""
    shapes, restore_windows = [], restorer.restore_windows

    def recorded(wavs, lengths=None, windows=(), states=None):
        shapes.append((tuple(wavs.shape), lengths is not None))
        return restore_windows(wavs, lengths, windows, states)

    monkeypatch.setattr(restorer, "restore_windows", recorded)
    return shapes


LENGTHS = [64000, 63900, 8000, 7681, 7680, 1000, 1, 15800, 32000, 40001]


def test_output_does_not_depend_on_the_other_windows(restorer, shapes):
    """The output of a window is bit-identical in any batch.

    Batches have a few fixed shapes.
    """
    windows = [window(i, samples) for i, samples in enumerate(LENGTHS)]

    def restored(windows):
        engine = Engine(restorer, batch_seconds=8)
        return {w.owner: wav for w, wav in engine.run(windows)}

    together = restored(windows)
    mixed = restored(windows[::-1] + [window(99, 6000), window(98, 64000)])
    for clip in windows:
        (alone,) = restored([clip]).values()
        assert len(alone) == round(len(clip.samples) * 1.5)
        assert numpy.array_equal(alone, together[clip.owner])
        assert numpy.array_equal(alone, mixed[clip.owner])
    # Two windows of 4 s, or more windows if they are shorter
    assert {shape for shape, masked in shapes} == {
        (2, 64000),
        (4, 32000),
        (8, 16000),
        (16, 8000),
    }
    full = {shape for shape, masked in shapes if not masked}
    assert full == {(2, 64000), (4, 32000), (8, 16000), (16, 8000)}


@pytest.mark.parametrize("batch_seconds", [None, 8])
@pytest.mark.parametrize("samples", [1, 100, 7681, 40001, 63999])
def test_the_last_frame_is_padded_by_mirroring(
    restorer, monkeypatch, batch_seconds, samples
):
    """Samples are mirrored, as zeros would lower the output level."""
    inputs, restore_windows = [], restorer.restore_windows

    def recorded(wavs, *arguments):
        inputs.append(wavs[0].numpy().copy())
        return restore_windows(wavs, *arguments)

    monkeypatch.setattr(restorer, "restore_windows", recorded)
    clip = window("a", samples)
    ((_, wav),) = Engine(restorer, batch_seconds).run([clip])
    assert len(wav) == round(samples * 1.5)
    missing = -samples % 320
    expected = 2 * numpy.pad(clip.samples, (0, missing), "symmetric")
    assert numpy.array_equal(inputs[0][: len(expected)], expected)
    assert (inputs[0][len(expected) :] == 0).all()


def test_padding_hardly_changes_the_output(restorer):
    clip = window("a", 50000)
    ((_, padded),) = Engine(restorer, batch_seconds=4).run([clip])
    ((_, alone),) = Engine(restorer).run([clip])
    assert padded.shape == alone.shape == (75000,)
    error = numpy.square(padded - alone).mean() / numpy.square(alone).mean()
    assert error < 1e-4


def test_windows_of_a_channel_stay_in_order(restorer):
    channels = {name: Channel(1.0) for name in "abc"}
    windows = [
        window((name, i), 64000, channels[name], 150 * i, 150 * (i + 1))
        for i in range(4)
        for name in channels
    ]
    engine = Engine(restorer, batch_seconds=20)
    order = [w.owner for w, _ in engine.run(windows)]
    for name in channels:
        assert [i for owner, i in order if owner == name] == [0, 1, 2, 3]
    assert len(order) == 12


def test_a_window_of_a_rare_shape_does_not_wait_for_the_last_window(
    restorer, monkeypatch
):
    monkeypatch.setattr("miipher2.inference.batching.PATIENCE", 2)
    rare = window("rare", 30000)
    windows = [window(i, 64000) for i in range(12)]
    engine = Engine(restorer, batch_seconds=8)
    order = [w.owner for w, _ in engine.run([rare, *windows])]
    assert sorted(map(str, order)) == sorted(["rare", *map(str, range(12))])
    assert 2 <= order.index("rare") <= 6


def test_silent_windows_bypass_the_model(restorer, shapes):
    silent = window("a", 1000, Channel(1.0, silent=True))
    assert list(Engine(restorer).run([silent])) == [(silent, silent.samples)]
    assert shapes == []


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory"),
        RuntimeError("DefaultCPUAllocator: can't allocate memory"),
        RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling"),
    ],
)
def test_out_of_memory_halves_the_batch(restorer, monkeypatch, error, caplog):
    windows = [window(i, 8000) for i in range(5)]
    expected = {w.owner: wav for w, wav in Engine(restorer).run(windows)}
    restore_windows, rows = restorer.restore_windows, []

    def with_little_memory(wavs, lengths=None, windows=(), states=None):
        rows.append(len(wavs))
        if len(wavs) > 2:
            raise error
        return restore_windows(wavs, lengths, windows, states)

    monkeypatch.setattr(restorer, "restore_windows", with_little_memory)
    found = {
        w.owner: wav
        for w, wav in Engine(restorer, batch_seconds=4.2).run(windows)
    }
    assert rows == [8, 4, 2, 2, 2]
    assert found.keys() == expected.keys()
    for owner, wav in found.items():
        assert numpy.allclose(wav, expected[owner], atol=1e-5)
    assert "halved to 2" in caplog.text


def test_out_of_memory_with_one_window_is_an_error(restorer, monkeypatch):
    def without_memory(*_):
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(restorer, "restore_windows", without_memory)
    with pytest.raises(UserError, match="window_seconds"):
        list(Engine(restorer).run([window(0, 40000)]))


def test_other_errors_are_raised(restorer, monkeypatch):
    def broken(*_):
        raise RuntimeError("shapes do not match")

    monkeypatch.setattr(restorer, "restore_windows", broken)
    with pytest.raises(RuntimeError, match="shapes"):
        list(Engine(restorer, batch_seconds=40).run([window(0, 40000)]))
