"""Tests of miipher2.models.vocoders.istft and stft.

Authors
 * The miipher2 authors 2026
"""

from types import SimpleNamespace

import pytest
import torch
from hyperpyyaml import load_hyperpyyaml

from miipher2.errors import UserError
from miipher2.models.vocoders.base import build_vocoder
from miipher2.models.vocoders.istft import ISTFTVocoder
from miipher2.models.vocoders.stft import FrameSTFT

SMALL = {"channels": 16, "intermediate": 32, "layers": 2}


def small(width=4, **settings):
    """Return a small vocoder that has the same weights on every call."""
    torch.manual_seed(0)
    return ISTFTVocoder(width, **{**SMALL, **settings})


def spectra(wav, n_fft, hop):
    """Return the log magnitudes and the phases of a waveform."""
    spectrum = FrameSTFT(n_fft, hop).analyse(wav)
    return spectrum.abs().clamp(min=1e-9).log(), spectrum.angle()


@pytest.mark.parametrize("frames", [1, 2, 7, 50])
@pytest.mark.parametrize("training", [False, True])
def test_each_frame_gives_hop_length_samples(frames, training):
    wav, own_loss = small().train(training)(torch.randn(2, frames, 4))
    assert wav.shape == (2, frames * 320)
    assert wav.isfinite().all() and own_loss == 0


@pytest.mark.parametrize("frames", [1, 2, 7, 50])
@pytest.mark.parametrize("n_fft,hop", [(1280, 320), (640, 320), (1920, 480)])
def test_the_inverse_stft_reconstructs_the_waveform(frames, n_fft, hop):
    wav = 0.1 * torch.randn(2, frames * hop)
    stft = FrameSTFT(n_fft, hop)
    output = stft.synthesise(stft.analyse(wav))
    assert output.shape == wav.shape
    # The edges are not faded, and the waveform is not shifted.
    assert torch.allclose(output, wav, atol=1e-4)


def test_the_vocoder_reconstructs_a_waveform_from_its_spectra():
    wav = 0.1 * torch.randn(1, 7 * 320)
    vocoder = small().eval()
    expected = torch.cat(spectra(wav, 1280, 320), dim=-1)
    vocoder.head.register_forward_hook(lambda *_: expected)
    assert torch.allclose(vocoder(torch.randn(1, 7, 4))[0], wav, atol=1e-4)


def test_a_frame_is_centred_on_its_samples():
    spectrum = torch.zeros(1, 9, 641, dtype=torch.complex64)
    spectrum[:, 4] = torch.polar(torch.ones(641), torch.randn(641))
    energy = FrameSTFT(1280, 320).synthesise(spectrum)[0].square()
    centre = (energy * torch.arange(len(energy))).sum() / energy.sum()
    assert abs(centre - 4.5 * 320) < 60


def test_the_output_is_clamped_in_eval_mode_only():
    vocoder = small()
    torch.nn.init.constant_(vocoder.head.bias, 50.0)
    features = torch.randn(1, 7, 4)
    loud, _ = vocoder(features)
    assert 1 < loud.abs().max() < 1e6
    assert vocoder.eval()(features)[0].abs().max() == 1


@pytest.mark.parametrize("bias", [-200.0, 0.0, 200.0])
def test_every_weight_has_a_finite_gradient(bias):
    vocoder = small()
    torch.nn.init.constant_(vocoder.head.bias, bias)
    features = torch.zeros(2, 7, 4) if bias < 0 else torch.randn(2, 7, 4)
    wav, _ = vocoder(features)
    (wav.square().mean() + wav.abs().mean()).backward()
    for name, parameter in vocoder.named_parameters():
        assert parameter.grad.isfinite().all(), name
        if bias == 0:
            assert parameter.grad.abs().sum() > 0, name


def test_under_bf16_autocast_the_output_is_close_and_in_fp32():
    vocoder = small().eval()
    features = torch.randn(2, 20, 4)
    exact, _ = vocoder(features)
    with torch.autocast("cpu", torch.bfloat16):
        rounded, _ = vocoder(features)
    assert rounded.dtype == torch.float32
    assert (rounded - exact).norm() < 0.1 * exact.norm()


def test_the_output_for_a_clip_does_not_depend_on_the_batch():
    vocoder = small().eval()
    features = torch.randn(3, 9, 4)
    together, _ = vocoder(features)
    assert torch.allclose(vocoder(features[1:2])[0][0], together[1], atol=1e-6)


def test_training_learns_a_tone():
    vocoder = small()
    features = torch.ones(1, 10, 4)
    tone = 0.3 * torch.sin(2 * torch.pi * 200 * torch.arange(3200) / 16000)
    optimizer = torch.optim.Adam(vocoder.parameters(), 0.01)
    losses = []
    for _ in range(60):
        loss = (vocoder(features)[0][0] - tone).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.2 * tone.square().mean()


def test_saved_weights_are_loaded_only_into_a_vocoder_of_the_same_size(
    tmp_path,
):
    vocoder = small().eval()
    vocoder.save(tmp_path / "v.safetensors")
    torch.manual_seed(1)
    loaded = ISTFTVocoder(4, **SMALL).eval()
    features = torch.randn(1, 9, 4)
    assert not torch.equal(loaded(features)[0], vocoder(features)[0])
    loaded.load(tmp_path / "v.safetensors")
    assert torch.equal(loaded(features)[0], vocoder(features)[0])
    with pytest.raises(UserError, match="width 4, but .* width 5"):
        small(width=5).load(tmp_path / "v.safetensors")
    with pytest.raises(UserError, match="blocks.2"):
        small(layers=3).load(tmp_path / "v.safetensors")


def test_the_yaml_builds_a_vocoder(request):
    path = request.config.rootpath / "hparams/models/vocoder/istft.yaml"
    loaded = load_hyperpyyaml(path.read_text())
    backbone = SimpleNamespace(width=256, frame_rate=50.0)
    rate = loaded["sample_rate"]
    vocoder = build_vocoder(loaded["generator"], backbone, rate).eval()
    assert vocoder.sample_rate == rate == 16000
    assert 6e6 < sum(p.numel() for p in vocoder.parameters()) < 8e6
    vocoder.prepare_inference()
    with torch.no_grad():
        assert vocoder(torch.randn(1, 3, 256))[0].shape == (1, 960)
