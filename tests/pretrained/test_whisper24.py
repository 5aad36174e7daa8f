"""The packaged model whisper24: file sizes, card, default, restoration.

Authors
 * The miipher2 authors 2026
"""

import re

import numpy as np
import pytest
import torch

from miipher2.inference.model_folder import PRETRAINED, find_model
from miipher2.inference.restorer import Restorer

FOLDER = PRETRAINED / "whisper24"


@pytest.fixture(scope="module")
def restorer():
    """The model, loaded by its name."""
    return Restorer.from_hparams("whisper24")


def test_its_files_are_small_and_name_no_machine():
    files = [path for path in FOLDER.rglob("*") if path.is_file()]
    sizes = [path.stat().st_size for path in files]
    assert max(sizes) <= 20e6 and sum(sizes) <= 90e6
    for path in files:
        head = path.read_bytes()[:20000]
        assert not re.search(rb"/(work|home|root|tmp)/", head), path


def test_it_is_the_default(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "whisper24").mkdir()  # does not hide the default
    assert find_model() == FOLDER


def test_the_card_has_whispers_licence():
    card = (FOLDER / "README.md").read_text("utf-8")
    assert "Copyright (c) 2022 OpenAI" in card and "## Limits" in card


@pytest.mark.parametrize("samples", [24000, 24001])
def test_the_output_is_as_long_as_the_input(restorer, samples):
    assert restorer.input_rate == restorer.sample_rate == 24000
    wav = 0.05 * torch.randn(1, samples)
    assert restorer.restore_batch(wav).shape == wav.shape


def test_hiss_is_attenuated(restorer):
    hiss = 0.003 * np.random.default_rng(0).standard_normal(3 * 24000)
    restored = restorer.restore(torch.from_numpy(hiss).float()).numpy()
    assert restored.std() < 0.3 * hiss.std()
