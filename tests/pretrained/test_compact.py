"""Tests of the packaged ``compact`` model: files, lookup and restoration.

Authors
 * The miipher2 authors 2026
"""

import numpy as np
import pytest
import soundfile
import torch

from miipher2.inference.model_folder import PRETRAINED, find_model
from miipher2.inference.restorer import Restorer

FOLDER = PRETRAINED / "compact"


@pytest.fixture(scope="module")
def compact():
    """Load the model by name."""
    return Restorer.from_hparams("compact")


def test_the_files_are_small_and_the_card_is_complete():
    sizes = [p.stat().st_size for p in FOLDER.rglob("*") if p.is_file()]
    assert max(sizes) <= 16e6 and sum(sizes) <= 40e6
    card = (FOLDER / "README.md").read_text()
    assert "FIGURES" not in card and "## Data" in card


def test_the_model_is_found_by_name():
    assert find_model("compact") == FOLDER


def test_the_output_has_the_length_of_the_input(compact):
    wavs = 0.05 * torch.randn(2, 16001)
    assert compact.restore_batch(wavs).shape == wavs.shape


def test_noise_is_reduced_and_speech_is_preserved(compact, request):
    """Pauses become quieter, and the envelope of the speech is preserved."""
    folder = request.config.rootpath / "examples"
    path = sorted((folder / "speech/valid").rglob("*.ogg"))[0]
    speech, _ = soundfile.read(path, dtype="float32")
    pause = np.zeros(16000, np.float32)
    speech = np.concatenate([pause, speech, pause])
    rng = np.random.default_rng(0)
    hiss = rng.standard_normal(len(speech)).astype(np.float32)
    noisy = speech + 0.1 * speech.std() * hiss
    restored = compact.restore_batch(torch.from_numpy(noisy)[None])[0].numpy()
    silent = slice(4000, 12000)
    voiced = slice(16000, len(speech) - 16000)
    before = noisy[silent].std() / noisy[voiced].std()
    after = restored[silent].std() / restored[voiced].std()
    assert after < 0.5 * before
    envelopes = [
        np.abs(w[: len(w) // 800 * 800]).reshape(-1, 800).mean(axis=1)
        for w in (speech, restored)
    ]
    assert np.corrcoef(envelopes)[0, 1] > 0.8
