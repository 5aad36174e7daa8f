"""Tests of clipping.

Authors
 * The miipher2 authors 2026
"""

import pytest
import torch

from miipher2.degrade import Clipping, generator


@pytest.mark.parametrize("share", [0.001, 0.02, 0.3])
@pytest.mark.parametrize("kind", ["hard", "soft"])
def test_share_of_clipped_samples(speech, share, kind):
    clip, drawn = Clipping((share, share), kinds=(kind,))(speech, generator(0))
    if kind == "hard":
        hit = clip.abs() >= clip.abs().max() - 1e-7
    else:
        hit = clip.abs() >= drawn["threshold"] - 1e-7
        changed = (clip - speech).abs() > 1e-7
        assert torch.all(speech.abs()[changed] >= drawn["threshold"])
    assert float(hit.float().mean()) == pytest.approx(share, rel=0.02)
    untouched = speech.abs() < drawn["threshold"]
    assert torch.equal(clip[untouched], speech[untouched])


def test_soft_clipping_is_smooth_and_monotone():
    ramp = torch.linspace(0, 1, 10001)
    soft, _ = Clipping((0.5, 0.5), kinds=("soft",))(ramp, generator(0))
    slope = torch.diff(soft) / torch.diff(ramp)
    assert torch.all(slope > 0)
    assert torch.diff(slope).abs().max() < 0.02
    assert 0.5 < soft.max() < 0.76
