"""Tests of the loss in the feature space of a frozen encoder.

Authors
 * The miipher2 authors 2026
"""

import pytest
import torch
from tiny_models import save_tiny_backbone

from miipher2.models.backbone import SSLBackbone
from miipher2.models.cleaner import FeatureCleaner
from miipher2.training.ssl_loss import SSLLoss


@pytest.fixture(scope="module")
def cleaner(tmp_path_factory):
    folder = tmp_path_factory.mktemp("whisper")
    source = save_tiny_backbone(folder, "whisper")
    cleaner = FeatureCleaner(SSLBackbone(source, layer=2))
    for adapter in cleaner.adapters:
        torch.nn.init.normal_(adapter.adapter_up_proj.weight)
    return cleaner


def test_only_the_waveform_gets_a_gradient(cleaner):
    target = torch.randn(2, 12000)
    predicted = (0.5 * target).requires_grad_()
    loss = SSLLoss(cleaner, 24000)(predicted, target)
    loss.backward()
    assert loss > 0 and predicted.grad.abs().sum() > 0
    assert all(p.grad is None for p in cleaner.parameters())


def test_equal_waveforms_have_zero_loss_and_the_weight_is_a_factor(cleaner):
    predicted, target = torch.randn(2, 1, 12000).unbind(0)
    predicted, target = predicted.expand(2, -1), target.expand(2, -1)
    assert SSLLoss(cleaner, 24000)(target, target) == 0
    once, triple = (
        SSLLoss(cleaner, 24000, weight)(predicted, target) for weight in (1, 3)
    )
    assert float(triple) == pytest.approx(3 * float(once), rel=1e-4)


def test_the_loss_ignores_adapters_and_leaves_them_enabled(cleaner):
    target = torch.randn(1, 12000)
    loss = SSLLoss(cleaner, 24000)
    before = loss(0.3 * target.flip(-1), target)
    for adapter in cleaner.adapters:
        assert adapter.enabled
        torch.nn.init.zeros_(adapter.adapter_up_proj.weight)
    assert loss(0.3 * target.flip(-1), target) == before


def test_clips_with_a_silent_target_are_ignored(cleaner):
    target = torch.randn(2, 12000)
    target[1] = 0
    predicted = torch.randn(2, 12000)
    loss = SSLLoss(cleaner, 24000)
    assert torch.isfinite(loss(predicted, torch.zeros_like(target)))
    assert loss(predicted, torch.zeros_like(target)) == 0
    predicted[0] = target[0]
    assert loss(predicted, target) < 1e-6


def test_the_loss_has_no_parameters(cleaner):
    assert not list(SSLLoss(cleaner, 24000).parameters())
