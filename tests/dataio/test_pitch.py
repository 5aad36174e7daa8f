"""Tests of pitch tracks: accuracy, caching and alignment.

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
    """Write silence followed by a harmonic tone; return the path."""
    time = np.arange(int(seconds * 16000)) / 16000
    wav = sum(np.cos(2 * np.pi * hz * k * time) / k for k in range(1, 20))
    wav[: int(start * 16000)] = 0.0
    soundfile.write(path, 0.05 * wav, 16000)
    return path


@pytest.mark.parametrize("hz", [90.0, 210.0])
def test_pitch_and_voicing_of_a_tone(tmp_path, hz):
    tracks = PitchTracks(tmp_path / "cache")
    track = tracks(voice(tmp_path / "a.wav", hz), start=0.0, frames=200)
    assert track.shape == (200, 2)
    assert torch.allclose(track[60:190, 0], torch.tensor(hz), rtol=0.02)
    assert track[60:190, 1].mean() > 0.95 and track[:40, 1].mean() < 0.05


def test_segments_match_the_complete_track(tmp_path):
    path = voice(tmp_path / "a.wav", 120.0)
    tracks = PitchTracks(tmp_path / "cache")
    complete = tracks(path, 0.0, 200)
    assert torch.allclose(tracks(path, 0.4, 50), complete[40:90], rtol=1e-3)


def test_tracks_are_cached(tmp_path, monkeypatch):
    path = voice(tmp_path / "a.wav", 120.0)
    first = PitchTracks(tmp_path / "cache")(path, 0.0, 100)
    again = PitchTracks(tmp_path / "cache")
    monkeypatch.setattr(again, "_detect", None)
    assert torch.equal(again(path, 0.0, 100), first)
    assert [p.suffix for p in (tmp_path / "cache").iterdir()] == [".npy"]


def test_a_replaced_recording_is_measured_again(tmp_path):
    tracks = PitchTracks(tmp_path / "cache")
    tracks(voice(tmp_path / "a.wav", 120.0), 0.0, 100)
    track = tracks(voice(tmp_path / "a.wav", 200.0), 0.0, 100)
    assert track[80, 0] == pytest.approx(200.0, rel=0.02)


def test_a_different_range_is_measured_again(tmp_path):
    path = voice(tmp_path / "a.wav", 200.0)
    PitchTracks(tmp_path / "cache", highest=100.0)(path, 0.0, 100)
    track = PitchTracks(tmp_path / "cache")(path, 0.0, 100)
    assert track[80, 0] == pytest.approx(200.0, rel=0.02)


def test_silence_has_no_pitch(tmp_path):
    path = tmp_path / "silence.wav"
    soundfile.write(path, np.zeros(16000), 16000)
    track = PitchTracks(tmp_path / "cache")(path, 0.0, 100)
    assert (track[:, 0] == DEFAULT_HZ).all() and (track[:, 1] == 0).all()


def test_missing_package_raises(tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "swift_f0", None)
    path = voice(tmp_path / "a.wav", 120.0)
    with pytest.raises(UserError, match="pip install swift-f0"):
        PitchTracks(tmp_path / "cache")(path, 0.0, 10)
