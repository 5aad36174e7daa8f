"""Tests of a model with a vocoder at 24 kHz and a backbone at 16 kHz.

Authors
 * The miipher2 authors 2026
"""

import numpy
import pytest
import soundfile
import torch
from tiny_models import save_tiny_backbone
from tiny_runs import ROOT

from miipher2.inference.restorer import Restorer
from miipher2.models.backbone import SSLBackbone
from miipher2.models.cleaner import FeatureCleaner
from miipher2.models.vocoders.harmonic import HarmonicVocoder

VOCODER = {
    "sample_rate": 24000,
    "hop_length": 480,
    "n_fft": 960,
    "channels": 8,
    "intermediate": 16,
    "layers": 1,
    "spectral_gate": True,
    "level_width": 4,
    "normalise": True,
}
MODEL = f"""
model_folder: !PLACEHOLDER

backbone: &backbone !new:miipher2.models.backbone.SSLBackbone
    source: !ref <model_folder>/backbone
    layer: 2

cleaner: !new:miipher2.models.cleaner.FeatureCleaner
    backbone: *backbone

generator: !apply:miipher2.models.vocoders.base.build_vocoder
    vocoder: !name:miipher2.models.vocoders.harmonic.HarmonicVocoder {VOCODER}
    backbone: *backbone
    sample_rate: 24000

"""


@pytest.fixture(scope="module")
def restorer(tmp_path_factory):
    """Return a tiny restorer whose gate passes the complete recording."""
    folder = tmp_path_factory.mktemp("wideband")
    source = save_tiny_backbone(folder / "whisper", "whisper")
    backbone = SSLBackbone(source, layer=2)
    generator = HarmonicVocoder(backbone.width, **VOCODER)
    with torch.no_grad():
        generator.gate.slope.zero_()
        bias = generator.gate.output_projection.bias
        bias.unflatten(0, (2, 2, -1))[:, 0] = 20.0  # confidence of the gate
    model = folder / "model"
    backbone.save(model / "backbone")
    FeatureCleaner(backbone).saver(model / "cleaner.safetensors")
    generator.save(model / "vocoder.safetensors")
    restore = (ROOT / "hparams/models/restore.yaml").read_text("utf-8")
    restore = restore.replace("window_seconds: 20.0", "window_seconds: 4.0")
    restore = restore.replace("overlap_seconds: 2.0", "overlap_seconds: 1.0")
    (model / "hyperparams.yaml").write_text(MODEL + restore, "utf-8")
    return Restorer.from_hparams(model, run_opts={"device": "cpu"})


def tone(hz, seconds, rate):
    time = numpy.arange(round(seconds * rate)) / rate
    return 0.1 * numpy.sin(2 * numpy.pi * hz * time)


def test_windows_are_planned_at_the_sample_rate_of_the_vocoder(restorer):
    assert restorer.input_rate == restorer.sample_rate == 24000
    plan = restorer.plan
    assert (plan.hop_length, plan.window, plan.overlap) == (480, 200, 50)


@pytest.mark.parametrize("samples", [1, 479, 24000, 24001, 150007])
def test_output_is_as_long_as_the_input(restorer, samples):
    wav = 0.1 * torch.randn(1, samples)
    assert restorer.restore_batch(wav).shape == wav.shape


@pytest.mark.parametrize("seconds", [2.0, 9.3])
def test_frequencies_above_8_khz_are_kept(restorer, tmp_path, seconds):
    wav = tone(10000, seconds, 48000)
    soundfile.write(tmp_path / "in.wav", wav, 48000)
    restorer.restore_file(tmp_path / "in.wav", tmp_path / "out.wav")
    out, rate = soundfile.read(tmp_path / "out.wav")
    assert rate == 24000 and len(out) == round(seconds * rate)
    spectrum = numpy.abs(numpy.fft.rfft(out[4800:-4800]))
    hz = numpy.fft.rfftfreq(len(out) - 9600, 1 / rate)
    assert hz[spectrum.argmax()] == pytest.approx(10000, abs=5)


def test_the_backbone_gets_the_recording_at_16_khz(restorer):
    inputs = []
    hook = restorer.mods.cleaner.register_forward_pre_hook(
        lambda module, arguments: inputs.append(arguments[0])
    )
    restorer.restore_batch(
        torch.from_numpy(tone(440, 1.0, 24000)).float()[None]
    )
    hook.remove()
    (wav,) = inputs[0].numpy()  # the level differs, as it is normalised
    expected = tone(440, 1.0, 16000)[100:15900]
    wav = wav[100:15900] * (
        expected @ wav[100:15900] / (wav[100:15900] ** 2).sum()
    )
    assert numpy.allclose(wav, expected, atol=1e-3)


def test_clips_of_different_lengths_in_a_batch_are_independent(restorer):
    wavs = 0.1 * torch.randn(2, 24000)
    both = restorer.restore_batch(wavs, torch.tensor([1.0, 0.5]))
    alone = restorer.restore_batch(wavs[1:, :12000])
    assert torch.allclose(both[1, :12000], alone[0], atol=1e-3)
    assert not both[1, 12000:].any()
