"""Tests of miipher2.models.discriminators.

Authors
 * The miipher2 authors 2026
"""

import torch
from torchaudio.functional import resample

from miipher2.models.discriminators import (
    FrameDiscriminator,
    ResampledDiscriminator,
)


def test_resampling_before_a_plain_discriminator_gives_the_same_scores(
    tmp_path,
):
    plain = FrameDiscriminator(channels=2)
    plain.save(tmp_path / "discriminator.safetensors")
    resampled = ResampledDiscriminator(24000, 16000, channels=2)
    resampled.load(tmp_path / "discriminator.safetensors")
    wav = torch.randn(1, 1, 12000)
    all_scores, features = resampled(wav)
    expected, _ = plain(resample(wav, 24000, 16000))
    for scores, expected_scores in zip(all_scores, expected, strict=True):
        assert torch.allclose(scores, expected_scores, atol=1e-5)
    assert len(features) == len(all_scores)


def test_gradients_reach_the_waveform_before_resampling():
    wav = torch.randn(1, 1, 12000, requires_grad=True)
    scores, _ = ResampledDiscriminator(24000, 16000, channels=2)(wav)
    sum(score.sum() for score in scores).backward()
    assert wav.grad.shape == wav.shape and wav.grad.abs().sum() > 0
