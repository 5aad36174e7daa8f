"""Tests of HiFi-GAN, warm starts, build_vocoder and FrameDiscriminator.

Authors
 * The miipher2 authors 2026
"""

import functools
from types import SimpleNamespace

import pytest
import torch
from hyperpyyaml import load_hyperpyyaml
from speechbrain.lobes.models.HifiGAN import UnitHifiganGenerator

from miipher2.errors import UserError
from miipher2.models.discriminators import FrameDiscriminator
from miipher2.models.vocoders.base import build_vocoder
from miipher2.models.vocoders.hifigan import HiFiGAN, load_matching
from miipher2.models.vocoders.istft import ISTFTVocoder

SMALL = {
    "upsample_factors": [8, 8, 5],
    "upsample_kernel_sizes": [16, 16, 11],
    "upsample_initial_channel": 16,
    "resblock_kernel_sizes": [3],
    "resblock_dilation_sizes": [[1, 3, 5]],
}


# In training mode, 1 or 2 frames are too few for reflection padding.
@pytest.mark.parametrize(
    "frames, training",
    [(1, False), (2, False), (7, False), (50, False), (7, True), (50, True)],
)
def test_each_frame_gives_hop_length_samples(frames, training):
    vocoder = HiFiGAN(width=4, **SMALL).train(training)
    wav, own_loss = vocoder(torch.randn(2, frames, 4))
    assert own_loss == 0
    assert wav.shape == (2, frames * 320)
    assert wav.abs().max() <= 1


@pytest.mark.parametrize("frames", [1, 2, 20])
def test_prepare_inference_folds_weight_norms_and_keeps_the_output(frames):
    vocoder = HiFiGAN(width=4, **SMALL).eval()
    for parameter in vocoder.parameters():
        parameter.data *= 2
    features = torch.randn(2, frames, 4)
    with torch.inference_mode():
        before, _ = vocoder(features)
        vocoder.prepare_inference()
        after, _ = vocoder(features)
    assert not any("parametrizations" in n for n in vocoder.state_dict())
    torch.testing.assert_close(after, before, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize(
    "name,hop", [("hifigan", 320), ("hifigan_24k", 480), ("hifigan_small", 320)]
)
def test_each_hifigan_yaml_builds_a_vocoder(name, hop, request):
    path = request.config.rootpath / f"hparams/models/vocoder/{name}.yaml"
    loaded = load_hyperpyyaml(path.read_text())
    backbone = SimpleNamespace(width=8, frame_rate=50.0)
    rate = loaded["sample_rate"]
    vocoder = build_vocoder(loaded["generator"], backbone, rate).eval()
    assert vocoder.hop_length == hop
    assert vocoder.sample_rate == rate == 50 * hop
    with torch.no_grad():
        wav, _ = vocoder(torch.randn(1, 3, 8))
    assert wav.shape == (1, 3 * hop)


def test_mismatched_frame_rates_and_sample_rates_are_rejected():
    backbone = SimpleNamespace(width=8, frame_rate=25.0)
    with pytest.raises(UserError, match="8000 Hz, not .* 16000 Hz.* 640"):
        build_vocoder(functools.partial(HiFiGAN, **SMALL), backbone, 16000)
    with pytest.raises(UserError, match="sample_rate: 24000 Hz, but"):
        build_vocoder(functools.partial(HiFiGAN, **SMALL), backbone, 24000)


def test_a_stateless_vocoder_synthesises_windows_separately():
    vocoder = HiFiGAN(width=4, **SMALL).eval()
    features = torch.randn(2, 9, 4)
    segments, states = [("left", 0, 8)], {"right": 1}
    wavs, after = vocoder.synthesise(features, None, segments, states, 2)
    assert torch.equal(wavs, vocoder(features)[0])
    assert after == states and after is not states


def test_saved_weights_are_loaded_only_into_a_vocoder_of_the_same_size(
    tmp_path,
):
    vocoder = HiFiGAN(width=4, **SMALL).eval()
    vocoder.save(tmp_path / "v.safetensors")
    loaded = HiFiGAN(width=4, **SMALL).eval()
    loaded.load(tmp_path / "v.safetensors")
    features = torch.randn(1, 9, 4)
    assert torch.equal(loaded(features)[0], vocoder(features)[0])
    with pytest.raises(UserError, match="width 4, but .* width 5"):
        HiFiGAN(width=5, **SMALL).load(tmp_path / "v.safetensors")
    wider = HiFiGAN(width=4, **{**SMALL, "upsample_initial_channel": 32})
    with pytest.raises(UserError, match="generator.conv_post") as error:
        wider.load(tmp_path / "v.safetensors")
    assert "\n" not in str(error.value)


@pytest.fixture
def unit_checkpoint(tmp_path):
    """Save SpeechBrain's unit HiFi-GAN with the settings in ``SMALL``."""
    unit = UnitHifiganGenerator(
        in_channels=12,
        out_channels=1,
        resblock_type="1",
        vocab_size=10,
        embedding_dim=12,
        attn_dim=12,
        **SMALL,
    )
    torch.save(unit.state_dict(), tmp_path / "generator.ckpt")
    return tmp_path / "generator.ckpt", unit


def test_warm_start_loads_matching_tensors(unit_checkpoint):
    path, unit = unit_checkpoint
    vocoder = HiFiGAN(width=4, **SMALL)
    vocoder.warm_start(str(path))
    report = load_matching(HiFiGAN(width=4, **SMALL).generator, str(path))
    own, other = vocoder.generator.state_dict(), unit.state_dict()
    assert len(report["loaded"]) > 20
    for name in report["loaded"]:
        assert torch.equal(own[name], other[name])
    assert all(name.startswith("conv_pre") for name in report["new"])
    unused = {name.split(".")[0] for name in report["unused"]}
    assert unused == {"conv_pre", "unit_embedding", "attn_pooling"}


def test_a_vocoder_that_does_not_support_warm_starts_raises_an_error(
    unit_checkpoint,
):
    path, _ = unit_checkpoint
    backbone = SimpleNamespace(width=4, frame_rate=50.0)
    build_vocoder(
        functools.partial(HiFiGAN, **SMALL), backbone, 16000, str(path)
    )
    with pytest.raises(UserError, match="warm_start: .*generator.ckpt"):
        build_vocoder(ISTFTVocoder, backbone, 16000, str(path))


def test_warm_start_reads_the_older_weight_norm_names(
    unit_checkpoint, tmp_path
):
    path, unit = unit_checkpoint
    older = {
        name.replace("parametrizations.weight.original0", "weight_g").replace(
            "parametrizations.weight.original1", "weight_v"
        ): tensor
        for name, tensor in unit.state_dict().items()
    }
    torch.save(older, tmp_path / "older.ckpt")
    generator = HiFiGAN(width=4, **SMALL).generator
    new = load_matching(generator, str(path))
    assert load_matching(generator, str(tmp_path / "older.ckpt")) == new


def test_warm_start_from_an_unusable_file_is_rejected(tmp_path):
    torch.save({"a": torch.ones(1)}, tmp_path / "a.ckpt")
    (tmp_path / "b.ckpt").write_text("not a checkpoint")
    generator = HiFiGAN(width=4, **SMALL).generator
    with pytest.raises(UserError, match="no tensor in"):
        load_matching(generator, str(tmp_path / "a.ckpt"))
    for name in ("b.ckpt", "missing.ckpt", "a:b.ckpt"):
        with pytest.raises(UserError, match=name):
            load_matching(generator, str(tmp_path / name))


def test_discriminator_scores_do_not_depend_on_the_batch():
    discriminator = FrameDiscriminator(channels=4)
    wavs = torch.randn(3, 1, 4001)
    scores, features = discriminator(wavs)
    alone, _ = discriminator(wavs[1:2])
    assert len(scores) == len(features) == 8
    for score, expected in zip(scores, alone, strict=True):
        assert score.shape[0] == 3
        assert torch.allclose(score[1:2], expected, atol=1e-5)
    sum(s.square().mean() for s in scores).backward()
    assert all(p.grad is not None for p in discriminator.parameters())
