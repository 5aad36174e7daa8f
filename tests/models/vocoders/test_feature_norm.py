"""Tests of the harmonic vocoder's inputs: normalised features and levels.

Authors
 * The miipher2 authors 2026
"""

import torch

from miipher2.models.vocoders.feature_norm import FeatureNorm
from miipher2.models.vocoders.harmonic import HarmonicVocoder

SMALL = {"channels": 16, "intermediate": 32, "layers": 2}


def vocoder(**settings):
    torch.manual_seed(0)
    settings = {**SMALL, "spectral_gate": True, **settings}
    return HarmonicVocoder(4, **settings).eval()


def test_statistics_are_saved_but_not_trained():
    norm = FeatureNorm(3)
    assert set(norm.state_dict()) == {"mean", "scale"}
    assert not list(norm.parameters())
    norm.mean.fill_(100.0)
    norm.scale.fill_(0.5)
    assert norm(torch.full((1, 2, 3), 104.0)).eq(2.0).all()


def test_features_in_half_precision_are_normalised_in_float32():
    norm = FeatureNorm(2)
    assert norm(torch.ones(1, 1, 2, dtype=torch.bfloat16)).dtype == torch.float


def test_normalisation_removes_offset_and_scale():
    plain, normalising = vocoder(), vocoder(normalise=True)
    normalising.norm.mean.fill_(50.0)
    normalising.norm.scale.fill_(0.1)
    features = torch.randn(1, 10, 4)
    recording = 0.1 * torch.randn(1, 3200)
    expected, _ = plain(features, recording)
    output, _ = normalising(50 + 10 * features, recording)
    assert torch.allclose(output, expected, atol=1e-3)


def test_by_default_features_are_not_normalised_and_levels_not_concatenated():
    names = set(vocoder().state_dict())
    assert not {name for name in names if name.startswith("norm.")}
    assert vocoder().trunk.conv_in.in_channels == 4


def test_levels_are_concatenated_with_the_features():
    wide = vocoder(level_width=3)
    assert wide.trunk.conv_in.in_channels == 7
    assert wide.gate.level_projection.out_features == 3
    torch.nn.init.normal_(wide.gate.level_projection.weight)
    features = torch.randn(1, 10, 4)
    loud, faint = (level * torch.randn(1, 3200) for level in (1.0, 1e-3))
    filters = [wide.predict(features, r)[0] for r in (loud, faint)]
    assert not torch.allclose(*filters)


def test_without_a_gate_no_levels_are_concatenated():
    plain = vocoder(spectral_gate=False, level_width=3)
    assert plain.trunk.conv_in.in_channels == 4
