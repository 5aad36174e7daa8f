"""Tests of the packaged models with sounds other than speech.

Authors
 * The miipher2 authors 2026
"""

import numpy as np
import pytest
import soundfile

from miipher2.inference.restorer import Restorer

SECONDS, RATE = 6, 16000


@pytest.fixture(scope="module", params=["compact", "whisper24"])
def restore(request):
    """Load a model by name; return a function that restores 16 kHz audio."""
    restorer = Restorer.from_hparams(request.param)
    rate = restorer.sample_rate
    return lambda wav: (restorer.restore(wav, sample_rate=RATE).numpy(), rate)


def coloured_noise(slope, seed=0):
    """Return noise with amplitudes proportional to ``frequency ** -slope``."""
    rng = np.random.default_rng(seed)
    spectrum = np.fft.rfft(rng.standard_normal(SECONDS * RATE))
    return np.fft.irfft(spectrum * np.arange(1.0, len(spectrum) + 1) ** -slope)


def tone(hz):
    """Return a sine wave."""
    return np.sin(2 * np.pi * hz * np.arange(SECONDS * RATE) / RATE)


def chords():
    """Return a progression of three chords of harmonic tones, played twice."""
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
def test_sounds_other_than_speech_are_attenuated(restore, wav, level_db):
    wav = (wav / wav.std() * 10 ** (level_db / 20)).clip(-1, 1)
    restored, _ = restore(wav)
    change_db = 20 * np.log10(restored.std() / wav.std() + 1e-9)
    assert change_db < -15


def test_speech_between_segments_of_noise_keeps_its_level(restore, request):
    """Speech is not attenuated, but the noise before and after it is."""
    folder = request.config.rootpath / "examples/speech/valid"
    path = sorted(folder.rglob("*.ogg"))[0]
    speech, _ = soundfile.read(path, dtype="float32")
    alone, rate = restore(speech)
    rng = np.random.default_rng(0)
    hiss = (speech.std() * 0.05 * rng.standard_normal(3 * RATE)).astype("f4")
    restored, _ = restore(np.concatenate([hiss, speech, hiss]))
    middle = restored[3 * rate : -3 * rate]
    change_db = 20 * np.log10(middle.std() / alone.std())
    assert abs(change_db) < 0.5
    for pause in (restored[: 2 * rate], restored[-2 * rate :]):
        assert pause.std() < 0.3 * hiss.std()
