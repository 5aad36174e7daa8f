"""Tests of miipher2.models.shards.

Authors
 * The miipher2 authors 2026
"""

import json

import pytest
import torch
from tiny_models import save_tiny_backbone

from miipher2.errors import UserError
from miipher2.models.backbone import SSLBackbone
from miipher2.models.shards import INDEX, WEIGHTS, split_weights
from miipher2.models.weights import halve


def test_splitting_the_weights_does_not_change_the_features(tmp_path):
    source = save_tiny_backbone(tmp_path / "full", "whisper")
    folder = tmp_path / "shards"
    SSLBackbone(source, layer=2).save(folder)
    halve(folder)
    before = SSLBackbone(folder, layer=2)
    shards = split_weights(folder, 100_000)
    assert len(shards) > 1 and not (folder / WEIGHTS).exists()
    assert max(path.stat().st_size for path in shards) < 110_000
    after = SSLBackbone(folder, layer=2)
    wav = torch.randn(1, 8000)
    assert torch.equal(before(wav), after(wav))
    assert before.fingerprint == after.fingerprint
    index = json.loads((folder / INDEX).read_text())
    assert set(index["weight_map"].values()) == {path.name for path in shards}


def test_a_tensor_larger_than_max_bytes_is_rejected(tmp_path):
    save_tiny_backbone(tmp_path, "whisper")
    with pytest.raises(UserError, match="more than max_bytes=10"):
        split_weights(tmp_path, 10)
    assert (tmp_path / WEIGHTS).exists()
