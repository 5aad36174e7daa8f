"""The feature loss.

Authors
 * The miipher2 authors 2026
"""

import torch

from miipher2.training.losses import FeatureLoss, MultiScaleSTFTLoss


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


def test_what_is_heard_counts_more_than_what_is_faint():
    torch.manual_seed(0)
    time = torch.arange(16000) / 16000
    true = 0.1 * torch.sin(2 * torch.pi * 1000 * time)[None]
    faint = 1e-4 * torch.randn(1, 16000)
    loss = MultiScaleSTFTLoss()
    wrong = sum(loss(true + 0.05 * torch.randn(1, 16000), true))
    assert sum(loss(true + faint, true)) < 0.3 * wrong
    assert sum(loss(true, true)) == 0


def test_silence_has_a_gradient():
    made = torch.zeros(1, 8000, requires_grad=True)
    sum(MultiScaleSTFTLoss()(made, torch.zeros(1, 8000))).backward()
    assert made.grad.isfinite().all()
