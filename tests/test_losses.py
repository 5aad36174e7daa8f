"""The feature loss.

Authors
 * The miipher2 authors 2026
"""

import torch

from miipher2.losses import FeatureLoss


def test_terms_follow_their_formulas():
    predicted, target = torch.randn(2, 3, 20, 8)
    terms = FeatureLoss(2.0, 3.0, 5.0)(predicted, target)
    error = predicted - target
    assert torch.allclose(terms["l1"], error.abs().mean((1, 2)))
    assert torch.allclose(terms["l2"], error.square().mean((1, 2)))
    convergence = error.square().sum((1, 2)) / target.square().sum((1, 2))
    assert torch.allclose(terms["sc"], convergence)
    total = 2 * terms["l1"] + 3 * terms["l2"] + 5 * terms["sc"]
    assert torch.allclose(terms["loss"], total)


def test_padding_does_not_count():
    predicted, target = torch.randn(2, 1, 20, 8)
    alone = FeatureLoss()(predicted[:, :10], target[:, :10])
    predicted[:, 10:] = 1e3
    padded = FeatureLoss()(predicted, target, torch.tensor([0.5]))
    for name in alone:
        assert torch.allclose(alone[name], padded[name])
