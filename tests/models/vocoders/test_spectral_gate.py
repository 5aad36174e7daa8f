"""Tests of miipher2.models.vocoders.spectral_gate.

Authors
 * The miipher2 authors 2026
"""

import math
from types import SimpleNamespace

import pytest
import torch

from miipher2.models.vocoders.base import build_vocoder
from miipher2.models.vocoders.harmonic import HarmonicVocoder
from miipher2.models.vocoders.spectral_gate import SpectralGate
from miipher2.models.vocoders.stft import FrameSTFT
from miipher2.models.weights import save_weights


def small_gate():
    return SpectralGate(width=4, channels=8, subframes=2, n_fft=640)


def test_white_noise_of_power_1_has_level_0():
    torch.manual_seed(0)
    spectra = FrameSTFT(640, 160).analyse(torch.randn(1, 160000))
    levels = small_gate().levels(spectra)[:, 4:-4]
    assert (2 * levels).exp().mean() == pytest.approx(1.0, rel=0.05)


def test_bins_near_the_predicted_level_are_kept():
    gate = small_gate().eval()
    predicted = torch.full((1, 2, 321), -3.0)
    distance = torch.tensor([0.0, 1.0, 3.0, 7.0])[:, None, None]
    hidden = torch.randn(4, 1, 8)
    too_loud, too_quiet = predicted + distance, predicted - distance
    for levels, residue in (
        (too_loud, gate.masked_residue * math.exp(-7)),
        (too_quiet, gate.max_residue),
    ):
        levels = levels.expand(4, 2, 321)
        recorded, synthesised = gate(hidden, levels, predicted)
        if residue < gate.max_residue:
            assert torch.allclose(recorded + synthesised, torch.ones(()))
        else:
            # The residue of a bin far below the predicted level is too quiet
            # to replace synthesised speech.
            assert synthesised[3].min() > 0.99
        means = recorded.mean(dim=(1, 2)).detach()
        assert means[0] > 0.7
        assert means[3].item() == pytest.approx(residue, abs=0.005)
        assert (means.diff() < 0).all()


def test_silence_adds_nothing_to_the_features():
    gate = small_gate()
    torch.nn.init.normal_(gate.level_projection.weight)
    levels = gate.levels(torch.zeros(1, 6, 321, dtype=torch.complex64))
    assert (levels == gate.floor).all()
    assert (gate.embed(levels) == 0).all()


def test_the_gate_learns_to_keep_the_voice_and_remove_the_noise():
    """The features contain no phase: the voice must come from the recording."""
    torch.manual_seed(0)
    vocoder = HarmonicVocoder(
        2,
        channels=16,
        intermediate=32,
        layers=2,
        spectral_gate=True,
        gate_options={"max_residue": 0.0},
    )
    optimizer = torch.optim.Adam(vocoder.parameters(), 0.01)
    cycles = 440 * torch.arange(40 * 320) / 16000
    pitch = torch.tensor([440.0, 0.0]).expand(2, 80, 2)
    noisy = torch.tensor([[0.0], [1.0]])
    features = torch.stack([noisy, 1 - noisy], dim=-1).expand(2, 40, 2)

    def distance(*pitch):
        start = torch.rand(2, 1)
        voice = 0.1 * torch.sin(2 * torch.pi * (cycles + start))
        noise = 0.05 * torch.randn(2, 12800) * noisy
        wav, _ = vocoder(features, voice + noise, *pitch)
        return (wav - voice).square().mean(dim=1) / voice.square().mean()

    before = distance(pitch).detach()
    for _ in range(150):
        optimizer.zero_grad()
        distance(pitch).sum().backward()
        optimizer.step()
    vocoder.eval()
    # The distance of the noisy recording is 0.5. Without a recording, the best
    # output is silence, with a distance of 1.
    assert distance().max() < 0.45 and before.min() > 1


def test_vocoder_and_backbone_can_have_different_sample_rates():
    backbone = SimpleNamespace(width=4, frame_rate=50.0, sample_rate=16000)

    def vocoder(width):
        return HarmonicVocoder(
            width,
            24000,
            480,
            channels=8,
            intermediate=8,
            layers=1,
            spectral_gate=True,
        )

    built = build_vocoder(vocoder, backbone, 24000)
    assert built.needs_recording and built.sample_rate == 24000


def test_weights_of_an_earlier_version_are_loaded(tmp_path):
    settings = {"channels": 8, "intermediate": 8, "layers": 1}
    vocoder = HarmonicVocoder(4, spectral_gate=True, **settings)
    torch.nn.init.normal_(vocoder.gate.slope)
    old_names = {
        "gate.level_projection.weight": "keeper.look.weight",
        "gate.output_projection.weight": "keeper.say.weight",
        "gate.output_projection.bias": "keeper.say.bias",
        "gate.slope": "keeper.doubt",
    }
    tensors = {
        old_names.get(name, name): tensor
        for name, tensor in vocoder.state_dict().items()
    }
    save_weights(tmp_path / "v.safetensors", tensors, vocoder.identity())
    loaded = HarmonicVocoder(4, spectral_gate=True, **settings)
    loaded.load(tmp_path / "v.safetensors")
    for name, tensor in loaded.state_dict().items():
        assert torch.equal(tensor, vocoder.state_dict()[name])
