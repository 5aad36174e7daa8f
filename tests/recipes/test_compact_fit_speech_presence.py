"""Tests of ``fit_speech_presence.py``, which fits a speech detector.

Authors
 * The miipher2 authors 2026
"""

from pathlib import Path
from types import SimpleNamespace

import numpy
import pytest
import torch
from tiny_restorer import save_tiny_restorer


@pytest.fixture
def script(recipe, monkeypatch):
    recipes = Path(__file__).parents[2] / "recipes"
    monkeypatch.syspath_prepend(recipes / "Compact")  # to import pack.py
    return recipe("Compact/fit_speech_presence.py")


def test_the_report_shows_fractions_of_frames(script, capsys):
    features = numpy.full((200, 1), 5.0, dtype=numpy.float32)
    features[:100] = -5.0
    labels = numpy.ones(200)
    script.report(
        lambda features: features[:, 0],
        speech=[(features, labels)],
        noise=[(-torch.ones(100, 1).numpy() * 5, None)],
    )
    shown = capsys.readouterr().out
    assert "50.0% of speech missed, 0.0% of noise" in shown
    # The gate opens 27 frames before detected speech: 25 for the margin and
    # two for smoothing. The other 73 of the missed frames are attenuated.
    assert "36.5% of speech attenuated" in shown
    assert "100.0% of noise fully attenuated, 0.0% not" in shown


def test_the_bias_is_set_so_that_one_speech_frame_in_1000_is_attenuated(script):
    backbone = SimpleNamespace(width=1, layer=1, fingerprint="a")
    presence = script.SpeechPresence(backbone).requires_grad_(False)
    presence.weight.fill_(1.0)
    rng = numpy.random.default_rng(0)
    features = rng.normal(8.0, 1.0, (50000, 1)).astype(numpy.float32)
    script.calibrate(presence, [(features, numpy.ones(50000))])
    gate = script.speech_gate(presence(torch.from_numpy(features)).numpy())
    assert 0.0008 < (gate < 1).mean() < 0.0012
    assert presence.bias < -7.0


def test_a_short_last_frame_is_labelled_by_its_own_samples(script):
    class Cleaner:
        hop_length = 320

        def __call__(self, wav):
            return torch.zeros(len(wav), 3, 2)

    restorer = SimpleNamespace(
        mods=SimpleNamespace(cleaner=Cleaner()),
        input_level={"level_db": -26.0, "max_gain_db": 40.0},
    )
    active = numpy.arange(740) >= 320  # the last frame has 100 samples
    ((_, labels),) = script.collect(restorer, [(torch.ones(740), active)])
    assert labels.tolist() == [0, 1, 1]


def test_music_is_repeated_up_to_about_half_of_the_noise(script):
    rows = [{"path": f"noise/{n}.wav"} for n in range(9)]
    rows += [{"path": f"noise/music_{n}.wav"} for n in range(2)]
    paths = [row["path"] for row in script.with_more_music(rows)]
    music = [path for path in paths if "music" in path]
    assert len(music) == 8 and len(paths) == 17
    assert script.with_more_music(rows[:9]) == rows[:9]


def test_measuring_needs_a_model_with_a_speech_detector(
    script, tmp_path, capsys
):
    model = save_tiny_restorer(tmp_path)
    with pytest.raises(SystemExit):
        script.main([str(tmp_path), str(model), "--measure"])
    assert "has no speech detector; fit" in capsys.readouterr().err
    assert not (model / script.WEIGHTS).exists()
