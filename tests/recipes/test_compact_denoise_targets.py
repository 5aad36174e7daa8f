"""Tests of ``recipes/Compact/denoise_targets.py``, which denoises targets.

Authors
 * The miipher2 authors 2026
"""

import numpy as np
import pytest
import soundfile

from miipher2.dataio.manifests import read_manifest, write_manifest

RATE = 24000


@pytest.fixture
def script(recipe):
    return recipe("Compact/denoise_targets.py")


def noisy_syllables(seconds=3.0):
    """Return tones of 0.2 s with pauses of 0.2 s, without and with hiss."""
    time = np.arange(int(seconds * RATE)) / RATE
    speech = 0.3 * np.sin(2 * np.pi * 300 * time) * (time % 0.4 < 0.2)
    hiss = 1e-3 * np.random.default_rng(0).standard_normal(len(time))
    return speech, speech + hiss


def level_db(samples):
    return 20 * np.log10(np.sqrt(np.mean(samples**2)))


def test_noise_is_reduced_and_speech_is_preserved(script):
    speech, recorded = noisy_syllables()
    denoised = script.reduce_noise(recorded, RATE)
    assert denoised.shape == recorded.shape
    time = np.arange(len(speech)) / RATE
    pause = (time % 0.4 > 0.25) & (time % 0.4 < 0.35)
    reduction = level_db(recorded[pause]) - level_db(denoised[pause])
    assert 9 < reduction < 12.1
    middle = (time % 0.4 > 0.05) & (time % 0.4 < 0.15)
    error_db = level_db((denoised - speech)[middle])
    assert error_db < level_db(speech[middle]) - 30


@pytest.mark.parametrize("seconds", [0.0, 0.001, 0.1, 1.0])
def test_silence_of_any_length_stays_silent(script, seconds):
    silence = np.zeros(int(seconds * RATE))
    assert np.array_equal(script.reduce_noise(silence, RATE), silence)


def test_the_manifest_lists_recordings_and_targets(script, tmp_path, capsys):
    _, recorded = noisy_syllables()
    data = tmp_path / "data"
    data.mkdir()
    soundfile.write(data / "a.flac", recorded, RATE)
    row = {"ID": "x/a", "duration": 3.0, "wav": "$data_root/a.flac"}
    rows = [{**row, "ID": name, "spk_id": "anna"} for name in ("x/a", "copy")]
    write_manifest(tmp_path / "train.csv", rows)
    arguments = [str(tmp_path / "train.csv"), str(tmp_path / "out")]
    script.main([*arguments, "--data-root", str(data)])
    copy, row = read_manifest(tmp_path / "out/manifest.csv", "elsewhere")
    assert row["wav"] == str(data / "a.flac")
    assert (row["ID"], row["spk_id"]) == ("x/a", "anna")
    assert copy == {**row, "ID": "copy"}
    denoised, rate = soundfile.read(row["target_wav"])
    assert (rate, len(denoised)) == (RATE, len(recorded))
    expected = script.reduce_noise(recorded, RATE)
    assert np.allclose(denoised, expected, atol=1e-4)
    with pytest.raises(SystemExit):  # the output would be overwritten
        script.main([*arguments, "--data-root", str(data)])
    assert "out: already exists" in capsys.readouterr().err.splitlines()[-1]
    (data / "a.flac").write_text("not audio")
    arguments[1] = str(tmp_path / "new")
    with pytest.raises(SystemExit):
        script.main([*arguments, "--data-root", str(data)])
    line = capsys.readouterr().err.splitlines()[-1]
    assert "a.flac: cannot be read as audio" in line
