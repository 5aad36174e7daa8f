"""Tests of ``average_models.py``, which computes the mean of trained models.

Authors
 * The miipher2 authors 2026
"""

import shutil

import pytest
import torch

from miipher2.inference.restorer import Restorer
from miipher2.models.weights import load_weights, save_weights
from tests.tiny_restorer import save_tiny_restorer


@pytest.fixture
def models(tmp_path):
    """Save two models; the weights of the second one are larger by 1."""
    first = save_tiny_restorer(tmp_path / "first")
    second = tmp_path / "second" / "model"
    shutil.copytree(first, second)
    for name in ("cleaner", "vocoder"):
        path = second / f"{name}.safetensors"
        tensors, identity = load_weights(path)
        larger = {key: tensor + 1 for key, tensor in tensors.items()}
        save_weights(path, larger, identity)
    return first, second


@pytest.fixture
def average(recipe):
    """Return a function that runs the script with the given paths."""
    main = recipe("Whisper24/average_models.py").main
    return lambda *paths: main([str(path) for path in paths])


@pytest.mark.parametrize("name", ["cleaner", "vocoder"])
def test_every_model_counts_equally_in_the_mean(
    average, models, tmp_path, name
):
    first, second = models
    average(first, second, second, second, tmp_path / "mean")
    before, identity = load_weights(first / f"{name}.safetensors")
    after, same_identity = load_weights(tmp_path / f"mean/{name}.safetensors")
    assert same_identity == identity and after.keys() == before.keys()
    for key, tensor in before.items():
        assert after[key].dtype == tensor.dtype
        assert torch.allclose(after[key], tensor + 0.75, atol=1e-6)


def test_the_mean_is_a_complete_model(average, models, tmp_path):
    average(*models, tmp_path / "mean")
    restorer = Restorer.from_hparams(tmp_path / "mean")
    assert restorer.restore_batch(torch.zeros(1, 16000)).shape[0] == 1


def test_models_with_different_shapes_are_rejected(
    average, models, tmp_path, capsys
):
    first, second = models
    path = second / "vocoder.safetensors"
    tensors, identity = load_weights(path)
    name = min(tensors)
    tensors[name] = torch.cat([tensors[name]] * 2)
    save_weights(path, tensors, identity)
    with pytest.raises(SystemExit):
        average(first, second, tmp_path / "mean")
    error = capsys.readouterr().err
    assert "second/model/vocoder.safetensors: not the same" in error
    assert not (tmp_path / "mean").exists()


def test_an_existing_folder_is_not_overwritten(
    average, models, tmp_path, capsys
):
    with pytest.raises(SystemExit):
        average(*models, tmp_path)
    assert f"{tmp_path}: already exists" in capsys.readouterr().err


def test_one_model_is_not_enough(average, models, tmp_path, capsys):
    with pytest.raises(SystemExit):
        average(models[0], tmp_path / "mean")
    assert "at least two" in capsys.readouterr().err
