"""Pitch tracks: right, kept, aligned with the sound.

Authors
 * The miipher2 authors 2026
"""

import numpy as np
import pytest
import soundfile
import torch

from miipher2.dataio.pitch import DEFAULT_HZ, PitchTracks
from miipher2.errors import UserError

swift_f0 = pytest.importorskip("swift_f0")


def voice(path, hz, seconds=2.0, start=0.5):
    """Writes a buzz that starts after a while."""
    time = np.arange(int(seconds * 16000)) / 16000
    wav = sum(np.cos(2 * np.pi * hz * k * time) / k for k in range(1, 20))
    wav[: int(start * 16000)] = 0.0
    soundfile.write(path, 0.05 * wav, 16000)
    return path


@pytest.mark.parametrize("hz", [90.0, 210.0])
def test_it_hears_the_pitch_where_there_is_voice(tmp_path, hz):
    tracks = PitchTracks(tmp_path / "kept")
    track = tracks(voice(tmp_path / "a.wav", hz), start=0.0, frames=200)
    assert track.shape == (200, 2)
    assert torch.allclose(track[60:190, 0], torch.tensor(hz), rtol=0.02)
    assert track[60:190, 1].mean() > 0.95 and track[:40, 1].mean() < 0.05


def test_a_part_is_a_part_of_the_whole(tmp_path):
    path = voice(tmp_path / "a.wav", 120.0)
    tracks = PitchTracks(tmp_path / "kept")
    whole = tracks(path, 0.0, 200)
    assert torch.allclose(tracks(path, 0.4, 50), whole[40:90], rtol=1e-3)


def test_a_track_is_made_once(tmp_path, monkeypatch):
    path = voice(tmp_path / "a.wav", 120.0)
    first = PitchTracks(tmp_path / "kept")(path, 0.0, 100)
    again = PitchTracks(tmp_path / "kept")
    monkeypatch.setattr(again, "_detect", None)
    assert torch.equal(again(path, 0.0, 100), first)
    assert [p.suffix for p in (tmp_path / "kept").iterdir()] == [".npy"]


def test_silence_has_no_pitch(tmp_path):
    path = tmp_path / "silence.wav"
    soundfile.write(path, np.zeros(16000), 16000)
    track = PitchTracks(tmp_path / "kept")(path, 0.0, 100)
    assert (track[:, 0] == DEFAULT_HZ).all() and (track[:, 1] == 0).all()


def test_the_package_is_named_where_it_is_missing(tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "swift_f0", None)
    path = voice(tmp_path / "a.wav", 120.0)
    with pytest.raises(UserError, match=r"miipher2\[pitch\]"):
        PitchTracks(tmp_path / "kept")(path, 0.0, 10)
