"""Tests of the feature loss and the multi-scale STFT loss.

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


def test_padding_is_ignored():
    predicted, target = torch.randn(2, 1, 20, 8)
    alone = FeatureLoss()(predicted[:, :10], target[:, :10])
    predicted[:, 10:] = 1e3
    padded = FeatureLoss()(predicted, target, torch.tensor([0.5]))
    for name in alone:
        assert torch.allclose(alone[name], padded[name])


def test_loud_errors_count_more_than_faint_errors():
    torch.manual_seed(0)
    time = torch.arange(16000) / 16000
    target = 0.1 * torch.sin(2 * torch.pi * 1000 * time)[None]
    faint = 1e-4 * torch.randn(1, 16000)
    loss = MultiScaleSTFTLoss()
    loud = 0.05 * torch.randn(1, 16000)
    assert sum(loss(target + faint, target)) < 0.3 * sum(
        loss(target + loud, target)
    )
    assert sum(loss(target, target)) == 0


def test_silence_has_a_finite_gradient():
    predicted = torch.zeros(1, 8000, requires_grad=True)
    sum(MultiScaleSTFTLoss()(predicted, torch.zeros(1, 8000))).backward()
    assert predicted.grad.isfinite().all()
