"""Tests of clips in which noise replaces speech.

Authors
 * The miipher2 authors 2026
"""

import pytest
import torch

from miipher2.degrade import ColouredNoise, Hum, Noise, NoSpeech, generator


def level(wav):
    return 20 * float(wav.square().mean().sqrt().log10())


def test_clips_are_replaced_with_noise_at_the_drawn_level():
    no_speech = NoSpeech(1.0, [ColouredNoise(), Hum()], (-40.0, -30.0))
    wav = torch.sin(torch.arange(16000) / 5)
    silence = torch.zeros(16000)
    noise, drawn = no_speech(wav, generator(1))
    assert torch.equal(noise, no_speech(silence, generator(1))[0])
    assert level(noise) == pytest.approx(drawn["level_db"], abs=0.1)
    assert -40 <= drawn["level_db"] <= -30
    assert noise.shape == wav.shape and noise.dtype == torch.float32


def test_noise_without_recordings_is_left_out():
    no_speech = NoSpeech(0.1, [Noise(None), ColouredNoise()])
    assert len(no_speech.sources) == 1 and no_speech.missing() is None
    assert NoSpeech(0.1, [Noise(None)]).missing() == "no noise source"


def test_noise_never_exceeds_full_scale():
    loud = NoSpeech(1.0, [ColouredNoise()], (0.0, 0.0))
    assert loud(torch.zeros(8000), generator(0))[0].abs().max() <= 1
