"""Discriminators' convolutions on a CPU: the same numbers, faster.

Authors
 * The miipher2 authors 2026
"""

import contextlib
from types import SimpleNamespace

import pytest
import torch
from speechbrain.lobes.models.HifiGAN import (
    DiscriminatorLoss,
    DiscriminatorP,
    DiscriminatorS,
    GeneratorLoss,
    MelganFeatureLoss,
    MSEDLoss,
    MSEGLoss,
)
from torch import nn

from miipher2.models.vocoders.quick_judging import QuickJudging
from miipher2.training.vocoder_brain import VocoderBrain

LAYERS = {
    "a period": (lambda: nn.Conv2d(3, 4, (5, 1), (3, 1)), (3, 40, 7)),
    "a period, no stride": (lambda: nn.Conv2d(3, 4, (5, 1)), (3, 9, 2)),
    "few channels": (
        lambda: nn.Conv1d(8, 16, 41, 4, padding=20, groups=4),
        (8, 101),
    ),
    "few channels, less stride": (
        lambda: nn.Conv1d(8, 8, 41, 2, padding=20, groups=2),
        (8, 300),
    ),
    "more channels": (
        lambda: nn.Conv1d(64, 64, 41, 2, padding=20, groups=2),
        (64, 95),
    ),
}
OTHERS = {
    "no groups": (lambda: nn.Conv1d(8, 4, 5, padding=2), (8, 50)),
    "padded": (lambda: nn.Conv2d(3, 4, (5, 1), padding=(2, 0)), (3, 9, 2)),
    "no bias": (lambda: nn.Conv2d(3, 4, (5, 1), bias=False), (3, 9, 2)),
    "dilated": (
        lambda: nn.Conv1d(8, 8, 5, 2, padding=4, dilation=2, groups=2),
        (8, 50),
    ),
    "same": (lambda: nn.Conv1d(8, 8, 5, padding="same", groups=2), (8, 50)),
}


def both_ways(make, shape, ask):
    """What a layer gives, and what ``ask`` gets, with and without."""
    torch.manual_seed(0)
    layer, found = make(), []
    x = torch.randn(2, *shape, requires_grad=True)
    for quick in (None, QuickJudging()):
        if quick is None:
            y = layer(x)
        else:
            with torch.autocast("cpu", torch.bfloat16), quick:
                y = layer(x)
        torch.manual_seed(1)
        change = torch.randn(y.shape)
        found.append([y, *ask(quick, layer, x, y, change.to(y.dtype))])
    return found


@pytest.mark.parametrize("make,shape", LAYERS.values(), ids=LAYERS)
def test_the_same_numbers_but_for_rounding(make, shape):
    def ask(quick, layer, x, y, change):
        return torch.autograd.grad(y, [x, layer.weight, layer.bias], change)

    plain, quick = both_ways(make, shape, ask)
    for one, other in zip(plain, quick, strict=True):
        assert one.shape == other.shape
        error = (one - other.float()).norm() / one.norm()
        assert error < 0.02


@pytest.mark.parametrize("make,shape", LAYERS.values(), ids=LAYERS)
def test_weights_that_do_not_learn_cost_nothing(make, shape):
    def ask(quick, layer, x, y, change):
        inputs = [x, layer.weight, layer.bias]
        if quick is not None:
            quick.weights_learn = False
        of_x, *others = torch.autograd.grad(
            y, inputs, change, allow_unused=True
        )
        assert (others == [None, None]) == (quick is not None)
        return [of_x]

    plain, quick = both_ways(make, shape, ask)
    torch.testing.assert_close(plain[1], quick[1].float(), atol=0.05, rtol=0.05)


@pytest.mark.parametrize("make,shape", OTHERS.values(), ids=OTHERS)
def test_other_layers_are_left_alone(make, shape):
    layer, x = make(), torch.randn(2, *shape)
    with torch.autocast("cpu", torch.bfloat16):
        plain = layer(x)
        with QuickJudging():
            assert torch.equal(layer(x), plain)


@pytest.mark.parametrize("make,shape", LAYERS.values(), ids=LAYERS)
def test_in_single_precision_all_is_as_it_was(make, shape):
    layer, x = make(), torch.randn(2, *shape)
    plain = layer(x)
    with QuickJudging():
        assert torch.equal(layer(x), plain)


class Judges(nn.Module):
    """One of each kind that HiFi-GAN has."""

    def __init__(self):
        super().__init__()
        self.judges = nn.ModuleList(
            [
                DiscriminatorP(3),
                DiscriminatorS(),
                DiscriminatorS(use_spectral_norm=True),
            ]
        )

    def forward(self, wav):
        scores, features = zip(*(j(wav) for j in self.judges), strict=True)
        return list(scores), list(features)


def test_both_networks_learn_what_they_would_learn_anyway():
    """The Brain's step, with and without, after the same start."""
    found = []
    for quick in (False, True):
        torch.manual_seed(0)
        judges = Judges()
        made = (0.1 * torch.randn(2, 1, 2000)).requires_grad_()
        target = 0.1 * torch.randn(2, 1, 2000)
        brain = object.__new__(VocoderBrain)
        brain.modules = SimpleNamespace(discriminator=judges)
        brain.quick_judging = QuickJudging() if quick else Nothing()
        brain.training_ctx = torch.autocast("cpu", torch.bfloat16)
        brain.generator_loss = GeneratorLoss(
            mseg_loss=MSEGLoss(),
            mseg_loss_weight=1,
            feat_match_loss=MelganFeatureLoss(),
            feat_match_loss_weight=2,
        )
        brain.discriminator_loss = DiscriminatorLoss(msed_loss=MSEDLoss())
        brain.scaler = torch.amp.GradScaler("cpu", enabled=False)
        brain.grad_accumulation_factor = 2
        brain.optimizers_dict = {
            "discriminator": torch.optim.AdamW(judges.parameters()),
            "generator": torch.optim.AdamW([made]),
        }
        for _ in range(brain.grad_accumulation_factor):
            losses = brain.adversarial_losses(made, target)
            brain.teach("discriminator", losses["D_loss"], again=True)
            brain.teach("generator", losses["G_loss"])
        found.append([made.grad, *(p.grad for p in judges.parameters())])
    for plain, quick in zip(*found, strict=True):
        error = (plain - quick).norm() / plain.norm()
        assert error < 0.05


class Nothing(contextlib.nullcontext):
    """In the place of ``QuickJudging``."""
