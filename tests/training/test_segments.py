"""Tests of the mask for clips that are shorter than a segment.

Authors
 * The miipher2 authors 2026
"""

from types import SimpleNamespace

import torch

from miipher2.training.vocoder_brain import VocoderBrain

HOP = 4


def test_segments_are_masked_after_the_end_of_short_clips():
    generator = SimpleNamespace(hop_length=HOP, subframes=2)
    brain = SimpleNamespace(
        unwrap=lambda module: module,
        modules=SimpleNamespace(generator=generator),
        vocoder_frames=5,
    )
    lengths = torch.tensor([1.0, 0.3])  # 10 and 3 frames
    batch = SimpleNamespace(
        cut=[0.99, 0.99], target=SimpleNamespace(lengths=lengths)
    )
    features = torch.arange(20.0).reshape(2, 10, 1)
    target = torch.ones(2, 10 * HOP)
    inputs, target, mask = VocoderBrain.segments(
        brain, batch, {"features": features}, target
    )
    assert inputs["features"][:, :, 0].tolist() == [
        [5, 6, 7, 8, 9],
        [10, 11, 12, 13, 14],
    ]
    assert target.shape == mask.shape == (2, 5 * HOP)
    assert mask[0].all() and mask[1].tolist() == [1] * 3 * HOP + [0] * 2 * HOP
