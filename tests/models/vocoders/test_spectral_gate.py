"""Keeping what is good of a recording.

Authors
 * The miipher2 authors 2026
"""

import math
from types import SimpleNamespace

import pytest
import torch

from miipher2.errors import UserError
from miipher2.models.vocoders import spectral_gate as keeping
from miipher2.models.vocoders.base import build_vocoder
from miipher2.models.vocoders.convnext import FrameSTFT
from miipher2.models.vocoders.harmonic import HarmonicVocoder
from miipher2.models.vocoders.spectral_gate import (
    MASKED,
    QUIETEST,
    TRACE,
    Keeper,
)


def keeper():
    return Keeper(width=4, channels=8, subframes=2, n_fft=640)


def test_noise_of_power_1_is_heard_at_a_gain_of_1():
    torch.manual_seed(0)
    spectra = FrameSTFT(640, 160).analyse(torch.randn(1, 160000))
    heard = keeper().hear(spectra)[:, 4:-4]
    assert (2 * heard).exp().mean() == pytest.approx(1.0, rel=0.05)


def test_what_is_as_expected_is_kept_and_what_is_not_is_not():
    expected = torch.full((1, 2, 321), -3.0)
    off = torch.tensor([0.0, 1.0, 3.0, 7.0])[:, None, None]
    x = torch.randn(4, 1, 8)
    covered, lost = expected + off, expected - off
    for heard, trace in (covered, MASKED * math.exp(-7)), (lost, TRACE):
        kept, made = keeper().eval()(x, heard.expand(4, 2, 321), expected)
        # a trace of what was lost takes no place of what is made
        if heard is covered:
            assert torch.allclose(kept + made, torch.ones(()))
        else:
            assert made[3].min() > 0.99
        means = kept.mean(dim=(1, 2)).detach()
        assert means[0] > 0.7
        assert means[3].item() == pytest.approx(trace, abs=0.005)
        assert (means.diff() < 0).all()


def test_silence_is_no_hint():
    one = keeper()
    torch.nn.init.normal_(one.look.weight)
    heard = one.hear(torch.zeros(1, 6, 321, dtype=torch.complex64))
    assert (heard == QUIETEST).all()
    assert (one.hint(heard) == 0).all()


def test_it_learns_to_keep_the_voice_and_drop_the_noise(monkeypatch):
    """What it could not make: the features do not say where a cycle starts."""
    monkeypatch.setattr(keeping, "TRACE", 0.0)
    torch.manual_seed(0)
    vocoder = HarmonicVocoder(
        2, channels=16, intermediate=32, layers=2, keep=True
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
    clean, covered = distance().detach()
    # silence, the best that can be made, is at 1, the noisy recording at 0.5
    assert clean < 0.45 and covered < 0.45 and before.min() > 1


def test_a_recording_at_another_rate_is_refused():
    backbone = SimpleNamespace(width=4, frame_rate=50.0, sample_rate=16000)

    def vocoder(width):
        return HarmonicVocoder(
            width, 24000, 480, channels=8, intermediate=8, layers=1, keep=True
        )

    with pytest.raises(UserError, match="16000 Hz.*24000 Hz.*keep: False"):
        build_vocoder(vocoder, backbone, 24000)
