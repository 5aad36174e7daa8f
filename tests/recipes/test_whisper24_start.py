"""Tests of initialising a 24 kHz vocoder from a 16 kHz vocoder.

Authors
 * The miipher2 authors 2026
"""

import math
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from miipher2.models.vocoders.harmonic import HarmonicVocoder

SMALL = {
    "channels": 8,
    "intermediate": 16,
    "layers": 1,
    "spectral_gate": True,
}


@pytest.fixture
def recipe_module(recipe):
    return recipe("Whisper24/start_vocoder.py")


@pytest.fixture
def start(recipe_module):
    """Return a ``Start`` that has written the weights of the new vocoder.

    The first two maps are exact, because both vocoders receive the same
    features.
    """
    torch.manual_seed(0)
    old = HarmonicVocoder(4, **SMALL).eval()
    for parameter in old.parameters():
        nn.init.normal_(parameter, std=0.1)
    settings = {"sample_rate": 24000, "hop_length": 480, "n_fft": 960}
    new = HarmonicVocoder(
        4, **SMALL, **settings, level_width=8, normalise=True
    ).eval()
    compact = SimpleNamespace(
        mods=SimpleNamespace(cleaner=lambda wav: wav, generator=old)
    )
    backbone = SimpleNamespace(width=4)
    start = recipe_module.Start(compact, backbone, new)
    conv, direct = old.trunk.conv_in, old.direct
    bins = 481 - start.handover
    with torch.no_grad():
        first = conv.weight.flatten(1), torch.zeros(8)
        upper = torch.zeros(2 * bins, 4), torch.full((2 * bins,), -5.0)
        start.fill(first, (direct.weight, direct.bias), upper)
    return start


def test_ridge_regression_finds_a_linear_map(recipe_module):
    torch.manual_seed(0)
    weight, bias = torch.randn(3, 5), torch.randn(3)
    ridge = recipe_module.Ridge(5, 3)
    for _ in range(4):
        x = torch.randn(50, 5)
        ridge.add(x, x @ weight.T + bias)
    found = ridge.solve(1e-7)
    assert torch.allclose(found[0], weight, atol=1e-3)
    assert torch.allclose(found[1], bias, atol=1e-3)


def test_the_ridge_strength_with_the_smallest_error_is_used(
    recipe_module, capsys
):
    torch.manual_seed(0)
    ridge = recipe_module.Ridge(2, 1)
    x = torch.randn(100, 2)
    ridge.add(x, x[:, :1])
    weight, _ = recipe_module.best_map(ridge, [(x, x[:, :1])])
    assert weight[0, 0] > 0.99
    assert "ridge 0.001" in capsys.readouterr().out


def test_filters_and_pitch_agree_below_the_handover(start):
    """The filters differ only by the higher level at the higher sample rate."""
    features = torch.randn(1, 12, 4)
    rise = math.log(24000 / 16000) / 2
    levels = torch.randn(1, 24, 321) - 3
    higher = torch.full((1, 24, 481), -11.5)
    higher[..., :321] = levels + rise
    found = []
    for vocoder, given in ((start.old, levels), (start.new, higher)):
        zeros = torch.zeros(given.shape, dtype=torch.complex64)
        vocoder._analyse = lambda *_, found=(zeros, given): found
        found.append(vocoder.predict(features))
    cut = start.handover
    (before, pitch_before, _), (after, pitch_after, _) = found
    # ``rise`` is not added to the zeros with which convolutions pad the levels.
    inner = slice(6, -6)
    assert torch.allclose(
        before[:, inner, :2, :cut] + rise,
        after[:, inner, :2, :cut],
        atol=1e-2,
    )
    assert torch.allclose(
        pitch_before[:, inner], pitch_after[:, inner], atol=1e-2
    )


def test_filters_above_the_handover_follow_the_regression(start):
    filters, _, _ = start.new.predict(torch.randn(1, 6, 4))
    cut = start.handover
    assert torch.allclose(filters[:, :, 1, cut:], torch.tensor(-5.0))
    assert torch.allclose(filters[:, :, 0, cut:], torch.tensor(-7.0))
    assert cut == 290


def test_the_gate_above_8_khz_is_copied_from_one_bin_without_correction(start):
    old, new = start.old.gate, start.new.gate
    assert torch.equal(new.slope[:, :321], old.slope)
    assert torch.equal(new.slope[:, 400], old.slope[:, 300])
    correction = new.output_projection.weight.unflatten(0, (2, 2, -1))[
        :, 1, 321:
    ]
    assert not correction.any()
