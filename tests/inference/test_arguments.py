"""Tests of the Python interface: arguments, threads, processes and imports.

Authors
 * The miipher2 authors 2026
"""

import math
import multiprocessing
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy
import pytest
import soundfile
import soxr
import torch
from tiny_restorer import voice

import miipher2
from miipher2.errors import UserError
from miipher2.inference.batching import Engine
from miipher2.inference.job import Settings
from miipher2.inference.restorer import Restorer

WAV = voice(1.0)


@pytest.mark.parametrize(
    "wav",
    [
        WAV,
        WAV.astype(numpy.float64),
        torch.from_numpy(WAV),
        torch.from_numpy(WAV)[None],
        WAV[None],
    ],
    ids="float32 float64 tensor one-channel one-channel-array".split(),
)
def test_tensors_and_arrays_give_the_same_output(restorer, wav):
    assert torch.equal(restorer.restore(wav), restorer.restore(WAV))


def test_int16_samples_are_scaled(restorer):
    quantised = (WAV * 2**15).round().astype(numpy.int16)
    expected = restorer.restore(quantised / numpy.float32(2**15))
    assert torch.equal(restorer.restore(quantised), expected)
    assert torch.equal(restorer(torch.from_numpy(quantised)[None])[0], expected)


@pytest.mark.parametrize(
    ("wav", "reason"),
    [
        (numpy.zeros(800, dtype=numpy.int32), "int16, found int32"),
        (numpy.zeros(800, dtype=numpy.uint8), "found uint8"),
        (torch.zeros(800, dtype=torch.bool), "found bool"),
        ([0.0] * 800, "tensor or a numpy array, found list"),
        (numpy.zeros((2, 800)), r"\(1, time\), found \(2, 800\)"),
        (numpy.zeros((800, 1)), r"found \(800, 1\)"),
        (numpy.zeros((1, 1, 800)), r"found \(1, 1, 800\)"),
        (numpy.full(800, numpy.nan), "NaN or infinite"),
    ],
)
def test_invalid_waveforms_are_rejected(restorer, wav, reason):
    with pytest.raises(UserError, match=reason):
        restorer.restore(wav)


def test_a_batch_must_have_two_dimensions(restorer):
    with pytest.raises(UserError, match=r"\(batch, time\), found \(800,\)"):
        restorer.restore_batch(numpy.zeros(800))


@pytest.mark.parametrize(
    "lengths", [[1.0], [1.0, 0.0], [1.0, -0.5], [800, 400], [1.0, math.nan]]
)
def test_invalid_lengths_are_rejected(restorer, lengths):
    with pytest.raises(UserError, match="lengths: "):
        restorer(torch.zeros(2, 800), torch.tensor(lengths))


def test_a_clip_with_another_sample_rate_is_resampled(restorer):
    wav = voice(1.5, 48000)[:70001]
    restored = restorer.restore(wav, sample_rate=48000)
    assert restored.shape == (round(70001 / 2),)
    resampled = soxr.resample(wav, 48000, 16000, quality="HQ")
    expected = restorer.restore(resampled)
    difference = restored[: len(expected)] - expected[: len(restored)]
    assert difference.square().mean() < 1e-4 * expected.square().mean()
    for rate in (0, 44100.5, "48000", -1, True):
        with pytest.raises(UserError, match="sample_rate: expected"):
            restorer.restore(wav, sample_rate=rate)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("loudness", math.nan),
        ("loudness", "-23"),
        ("loudness", "loud"),
        ("loudness", -90),
        ("loudness", None),
        ("loudness", True),
        ("channels", "left"),
        ("channels", 1),
        ("sample_rate", 0),
        ("sample_rate", 24000.5),
        ("subtype", "PCM_32"),
        ("subtype", 24),
        ("batch_seconds", 0.0),
        ("batch_seconds", math.nan),
        ("batch_seconds", "4"),
    ],
)
def test_invalid_settings_are_rejected(
    restorer, recordings, tmp_path, name, value
):
    path = recordings({"a.wav": 0.5}) / "a.wav"
    with pytest.raises(UserError, match=f"{name}: expected"):
        restorer.restore_file(path, tmp_path / "out.wav", **{name: value})
    assert not (tmp_path / "out.wav").exists()


def test_numpy_numbers_are_accepted(restorer):
    settings = Settings(numpy.int64(24000), loudness=numpy.float32(-23))
    assert str(settings) == str(Settings(24000, loudness=-23.0))
    Engine(restorer, numpy.float64(4))


def test_default_settings_are_written_as_in_older_manifests():
    assert str(Settings(24000)) == "24000 Hz, channels each, loudness input"
    assert str(Settings(24000, subtype="FLOAT")).endswith("input, FLOAT")


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_threads_can_share_a_restorer(tiny_model, precision):
    restorer = Restorer.from_hparams(
        tiny_model, run_opts={"device": "cpu", "precision": precision}
    )
    clips = [voice(1.0 + seed / 10, seed=seed) for seed in range(8)]
    expected = [restorer.restore(clip) for clip in clips]
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(restorer.restore, clips))
    for first, second in zip(expected, found, strict=True):
        assert torch.equal(first, second)


def test_the_package_is_imported_lazily():
    assert miipher2.Restorer is Restorer
    with pytest.raises(AttributeError, match="Restore2"):
        _ = miipher2.Restore2
    code = "import sys, miipher2; sys.exit('torch' in sys.modules)"
    assert subprocess.call([sys.executable, "-c", code]) == 0


def restore_in_worker(folder, path):
    """Load the model and restore a file in a worker process."""
    restorer = Restorer.from_hparams(folder, run_opts={"device": "cpu"})
    return restorer.restore_file(path, path.with_name("out.wav")).status


def test_a_spawned_process_restores_a_file(tiny_model, recordings):
    path = recordings({"a.wav": 0.5}) / "a.wav"
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        status = pool.apply(restore_in_worker, (tiny_model, path))
    assert status == "done"
    assert soundfile.info(path.with_name("out.wav")).frames == 12000
