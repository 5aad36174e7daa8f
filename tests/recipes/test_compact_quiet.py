"""Targets without the noise of their rooms, ``recipes/Compact/quiet.py``.

Authors
 * The miipher2 authors 2026
"""

import numpy as np
import pytest
import soundfile

from miipher2.dataio.manifests import read_manifest, write_manifest

RATE = 24000


@pytest.fixture
def quiet(recipe):
    return recipe("Compact/quiet.py")


def speech_in_a_room(seconds=3.0):
    """Syllables of 0.2 s with pauses of 0.2 s, and hiss 50 dB below them."""
    time = np.arange(int(seconds * RATE)) / RATE
    speech = 0.3 * np.sin(2 * np.pi * 300 * time) * (time % 0.4 < 0.2)
    hiss = 1e-3 * np.random.default_rng(0).standard_normal(len(time))
    return speech, speech + hiss


def level(samples):
    return 20 * np.log10(np.sqrt(np.mean(samples**2)))


def test_the_room_gets_quieter_and_the_speech_stays(quiet):
    speech, recorded = speech_in_a_room()
    cleaned = quiet.quieter(recorded, RATE)
    assert cleaned.shape == recorded.shape
    time = np.arange(len(speech)) / RATE
    pause = (time % 0.4 > 0.25) & (time % 0.4 < 0.35)
    gone = level(recorded[pause]) - level(cleaned[pause])
    assert 9 < gone < 12.1
    middle = (time % 0.4 > 0.05) & (time % 0.4 < 0.15)
    assert level((cleaned - speech)[middle]) < level(speech[middle]) - 30


@pytest.mark.parametrize("seconds", [0.0, 0.001, 0.1, 1.0])
def test_silence_of_any_length_stays_silence(quiet, seconds):
    silence = np.zeros(int(seconds * RATE))
    assert np.array_equal(quiet.quieter(silence, RATE), silence)


def test_the_manifest_has_both(quiet, tmp_path, capsys):
    _, recorded = speech_in_a_room()
    data = tmp_path / "data"
    data.mkdir()
    soundfile.write(data / "a.flac", recorded, RATE)
    row = {"ID": "x/a", "duration": 3.0, "wav": "$data_root/a.flac"}
    rows = [{**row, "ID": name, "spk_id": "anna"} for name in ("x/a", "again")]
    write_manifest(tmp_path / "train.csv", rows)
    arguments = [str(tmp_path / "train.csv"), str(tmp_path / "out")]
    quiet.main([*arguments, "--data-root", str(data)])
    again, found = read_manifest(tmp_path / "out/manifest.csv", "elsewhere")
    assert found["wav"] == str(data / "a.flac")
    assert (found["ID"], found["spk_id"]) == ("x/a", "anna")
    assert again == {**found, "ID": "again"}
    cleaned, rate = soundfile.read(found["target_wav"])
    assert (rate, len(cleaned)) == (RATE, len(recorded))
    assert np.allclose(cleaned, quiet.quieter(recorded, RATE), atol=1e-4)
    with pytest.raises(SystemExit):  # other copies would take their names
        quiet.main([*arguments, "--data-root", str(data)])
    assert "out: there already" in capsys.readouterr().err.splitlines()[-1]
    (data / "a.flac").write_text("no sound")
    arguments[1] = str(tmp_path / "new")
    with pytest.raises(SystemExit):
        quiet.main([*arguments, "--data-root", str(data)])
    line = capsys.readouterr().err.splitlines()[-1]
    assert "a.flac: cannot be read as sound" in line
