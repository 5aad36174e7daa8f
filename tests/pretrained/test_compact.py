"""The model that comes along: loads by name, small files, restores.

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
    """The model, loaded by its name."""
    return Restorer.from_hparams("compact")


def test_its_files_are_small_and_complete():
    sizes = [p.stat().st_size for p in FOLDER.rglob("*") if p.is_file()]
    assert max(sizes) <= 16e6 and sum(sizes) <= 40e6
    card = (FOLDER / "README.md").read_text()
    assert "FIGURES" not in card and "## Data" in card


def test_it_is_found_by_its_name_and_where_none_is_named(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert find_model("compact") == FOLDER
    (tmp_path / "compact").mkdir()  # of the user's, for something else
    assert find_model() == FOLDER


def test_it_speaks_as_long_as_it_hears(compact):
    wavs = 0.05 * torch.randn(2, 16001)
    assert compact.restore_batch(wavs).shape == wavs.shape


def test_a_noisy_voice_gets_less_noise(compact, request):
    """Between words, the restored recording is quieter than the noisy one."""
    folder = request.config.rootpath / "examples"
    path = sorted((folder / "speech/valid").rglob("*.ogg"))[0]
    speech, _ = soundfile.read(path, dtype="float32")
    pause = np.zeros(16000, np.float32)
    speech = np.concatenate([pause, speech, pause])
    rng = np.random.default_rng(0)
    hiss = rng.standard_normal(len(speech)).astype(np.float32)
    noisy = speech + 0.1 * speech.std() * hiss
    restored = compact.restore_batch(torch.from_numpy(noisy)[None])[0].numpy()
    quiet = slice(4000, 12000)
    spoken = slice(16000, len(speech) - 16000)
    before = noisy[quiet].std() / noisy[spoken].std()
    after = restored[quiet].std() / restored[spoken].std()
    assert after < 0.5 * before
    # and the syllables are where they were
    envelopes = [
        np.abs(w[: len(w) // 800 * 800]).reshape(-1, 800).mean(axis=1)
        for w in (speech, restored)
    ]
    assert np.corrcoef(envelopes)[0, 1] > 0.8
