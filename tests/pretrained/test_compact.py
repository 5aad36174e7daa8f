"""Tests of the packaged model compact: files, lookup and restoration.

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


SECONDS, RATE = 6, 16000


def coloured_noise(slope, seed=0):
    """Return noise with an amplitude of ``frequency ** -slope``."""
    rng = np.random.default_rng(seed)
    spectrum = np.fft.rfft(rng.standard_normal(SECONDS * RATE))
    return np.fft.irfft(spectrum * np.arange(1.0, len(spectrum) + 1) ** -slope)


def tone(hz):
    """Return a sine wave."""
    return np.sin(2 * np.pi * hz * np.arange(SECONDS * RATE) / RATE)


def chords():
    """Return a progression of three chords of harmonic tones."""
    wav = np.zeros(SECONDS * RATE)
    for start, root in zip(
        range(0, len(wav), RATE), [220, 262, 196] * 2, strict=True
    ):
        time = np.arange(RATE) / RATE
        for pitch in (root, root * 1.26, root * 1.5):
            for harmonic in range(1, 8):
                wav[start : start + RATE] += (
                    np.sin(2 * np.pi * harmonic * pitch * time)
                    * np.exp(-2 * time)
                    / harmonic
                )
    return wav


@pytest.mark.parametrize(
    ("wav", "level_db"),
    [
        (coloured_noise(0.0), -60),
        (coloured_noise(0.0, 1), -20),
        (coloured_noise(0.5), -40),
        (coloured_noise(1.0), -30),
        (coloured_noise(-0.5), -50),
        (tone(440), -30),
        (tone(1000), -20),
        (tone(100), -40),
        (chords(), -25),
    ],
    ids="faint white pink brown blue 440Hz 1kHz 100Hz chords".split(),
)
def test_sounds_other_than_speech_are_attenuated(compact, wav, level_db):
    wav = (wav / wav.std() * 10 ** (level_db / 20)).clip(-1, 1)
    restored = compact.restore(wav).numpy()
    change_db = 20 * np.log10(restored.std() / wav.std() + 1e-9)
    assert change_db < -15


def test_speech_between_segments_of_noise_keeps_its_level(compact, request):
    """Speech is not attenuated, but the noise before and after it is."""
    folder = request.config.rootpath / "examples/speech/valid"
    path = sorted(folder.rglob("*.ogg"))[0]
    speech, _ = soundfile.read(path, dtype="float32")
    alone = compact.restore(speech).numpy()
    rng = np.random.default_rng(0)
    hiss = (speech.std() * 0.05 * rng.standard_normal(3 * RATE)).astype("f4")
    restored = compact.restore(np.concatenate([hiss, speech, hiss])).numpy()
    middle = restored[len(hiss) : -len(hiss)]
    change_db = 20 * np.log10(middle.std() / alone.std())
    assert abs(change_db) < 0.5
    for pause in (restored[: 2 * RATE], restored[-2 * RATE :]):
        assert pause.std() < 0.1 * hiss.std()
