"""Tests of the ``hparams/whisper24`` experiments with a tiny Whisper.

Authors
 * The miipher2 authors 2026
"""

import pytest
import torch
from tiny_models import save_tiny_backbone
from tiny_runs import arguments

from miipher2.inference.restorer import Restorer
from miipher2.models.weights import load_weights


@pytest.fixture(scope="module")
def whisper(tmp_path_factory):
    return save_tiny_backbone(tmp_path_factory.mktemp("whisper"), "whisper")


@pytest.fixture
def pitch(monkeypatch):
    """Replace the pitch detector with a constant of 120 Hz."""
    monkeypatch.setattr(
        "miipher2.dataio.pitch.PitchTracks.__call__",
        lambda self, path, start, frames: torch.tensor([120.0, 1.0]).repeat(
            frames, 1
        ),
    )


def test_both_stages_train_a_model_at_24_khz(
    train_script, corpus, whisper, pitch, tmp_path
):
    options = {"ssl_source": whisper, "ssl_layer": 2}
    train_script.main(
        arguments("whisper24/pa", corpus, tmp_path / "pa", **options)
    )
    options |= {"cleaner_folder": tmp_path / "pa", "start_folder": "null"}
    options |= {"vocoder_frames": 20}
    train_script.main(
        arguments("whisper24/vocoder", corpus, tmp_path / "vocoder", **options)
    )
    before, _ = load_weights(tmp_path / "pa/model/cleaner.safetensors")
    after, _ = load_weights(tmp_path / "vocoder/model/cleaner.safetensors")
    assert any(
        not torch.equal(before[name].half(), after[name]) for name in before
    )
    restorer = Restorer.from_hparams(tmp_path / "vocoder/model")
    assert restorer.input_rate == restorer.sample_rate == 24000
    assert restorer.restore(0.1 * torch.randn(24000)).shape == (24000,)
