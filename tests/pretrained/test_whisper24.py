"""Tests of the packaged ``whisper24`` model: files, lookup and restoration.

Authors
 * The miipher2 authors 2026
"""

import re

import pytest
import torch

from miipher2.inference.model_folder import PRETRAINED, find_model
from miipher2.inference.restorer import Restorer

FOLDER = PRETRAINED / "whisper24"


@pytest.fixture(scope="module")
def restorer():
    """Load the model by name."""
    return Restorer.from_hparams("whisper24")


def test_the_files_are_small_and_contain_no_local_path():
    files = [path for path in FOLDER.rglob("*") if path.is_file()]
    sizes = [path.stat().st_size for path in files]
    assert max(sizes) <= 20e6 and sum(sizes) <= 90e6
    for path in files:
        head = path.read_bytes()[:20000]
        assert not re.search(rb"/(work|home|root|tmp)/", head), path


def test_whisper24_is_the_default(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    # A folder of the same name does not replace the default model.
    (tmp_path / "whisper24").mkdir()
    assert find_model() == FOLDER


def test_the_card_contains_the_licence_of_whisper():
    card = (FOLDER / "README.md").read_text("utf-8")
    assert "Copyright (c) 2022 OpenAI" in card and "## Limits" in card


@pytest.mark.parametrize("samples", [24000, 24001])
def test_the_output_has_the_length_of_the_input(restorer, samples):
    assert restorer.input_rate == restorer.sample_rate == 24000
    wav = 0.05 * torch.randn(1, samples)
    assert restorer.restore_batch(wav).shape == wav.shape
