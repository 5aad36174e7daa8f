"""Restoring with a trained model.

Authors
 * The miipher2 authors 2026
"""

import shutil

import numpy
import pytest
import soundfile
import torch

from miipher2.audio import active_level
from miipher2.errors import UserError
from miipher2.restorer import Restorer


@pytest.fixture(scope="module")
def model(trained, tmp_path_factory):
    """The folder alone, somewhere else: it needs nothing beside it."""
    folder = tmp_path_factory.mktemp("moved") / "model"
    shutil.copytree(trained / "vocoder/model", folder)
    return folder


@pytest.fixture(scope="module")
def restorer(model):
    return Restorer.from_hparams(str(model), run_opts={"device": "cpu"})


def speech(samples, seed=0):
    wav = torch.randn(samples, generator=torch.Generator().manual_seed(seed))
    return 0.1 * wav * torch.sin(torch.arange(samples) / 3000).abs()


@pytest.mark.parametrize("samples", [1, 399, 16000, 16001, 40007])
def test_output_is_as_long_as_the_input(restorer, samples):
    wav = speech(samples)
    assert restorer.restore(wav).shape == (samples,)
    assert restorer.restore_batch(wav[None]).shape == (1, samples)


def test_a_clip_is_the_same_alone_and_in_a_batch(restorer):
    long, short = speech(16000), speech(9000, seed=1)
    batch = torch.nn.utils.rnn.pad_sequence([long, short], batch_first=True)
    lengths = torch.tensor([1.0, 9000 / 16000])
    together = restorer.restore_batch(batch, lengths)
    assert (together[1, 9000:] == 0).all()
    # the last frames of a padded clip see zeros where a lone clip ends
    for row, wav in zip(together, (long, short), strict=True):
        alone = restorer.restore(wav)
        inner = slice(0, len(wav) - 3200)
        assert torch.allclose(row[inner], alone[inner], atol=1e-3)


def test_level_comes_back_and_silence_stays(restorer):
    for gain in (0.03, 0.5):
        wav = gain * speech(16000) + 0.1  # the offset does not count
        level = active_level(restorer.restore(wav), restorer.sample_rate)
        assert level == pytest.approx(active_level(wav, 16000), rel=0.05)
    assert restorer.restore(20 * speech(16000)).abs().max() < 1
    assert (restorer.restore(torch.zeros(16000)) == 0).all()


def test_windows_agree_with_the_whole(restorer):
    wav = speech(16000 * 6)
    whole = restorer.restore(wav)
    seconds = vars(restorer.hparams)
    before = dict(seconds)
    seconds.update(window_seconds=2.0, overlap_seconds=0.5)
    windows = restorer.restore(wav)
    seconds.update(before)
    assert windows.shape == whole.shape
    error = (windows - whole).square().mean() / whole.square().mean()
    assert error < 0.1


def test_file_in_file_out(restorer, tmp_path):
    stereo = numpy.stack([speech(44101), speech(44101, seed=1)], axis=1)
    soundfile.write(tmp_path / "in.flac", stereo, 44100)
    restored = restorer.restore_file(
        tmp_path / "in.flac", tmp_path / "new/out.wav", sample_rate=48000
    )
    written, rate = soundfile.read(tmp_path / "new/out.wav")
    assert rate == 48000
    assert written.shape == (48001, 2)
    assert restored.shape == (2, 48001)
    assert [p.name for p in (tmp_path / "new").iterdir()] == ["out.wav"]


def test_bad_files_are_named_and_nothing_is_left(restorer, tmp_path):
    (tmp_path / "text.wav").write_text("not sound")
    soundfile.write(tmp_path / "empty.wav", numpy.zeros(0), 16000)
    nan = numpy.full(2000, numpy.nan)
    soundfile.write(tmp_path / "nan.wav", nan, 16000, subtype="FLOAT")
    soundfile.write(tmp_path / "good.wav", speech(2000).numpy(), 16000)
    for name in ("text.wav", "empty.wav", "nan.wav", "missing.wav"):
        with pytest.raises(UserError, match=name):
            restorer.restore_file(tmp_path / name, tmp_path / "out.wav")
    with pytest.raises(UserError, match="out.xyz"):
        restorer.restore_file(tmp_path / "good.wav", tmp_path / "out.xyz")
    assert not list(tmp_path.glob("*out*"))


def test_folders_that_are_no_model_are_refused(model, trained, tmp_path):
    with pytest.raises(UserError, match="hyperparams.yaml"):
        Restorer.from_hparams(str(trained / "pa/model"))
    broken = tmp_path / "broken"
    shutil.copytree(model, broken)
    weights = broken / "vocoder.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    with pytest.raises(UserError, match="vocoder.safetensors"):
        Restorer.from_hparams(str(broken))
