"""Tests of reverberation and of simulated rooms.

Authors
 * The miipher2 authors 2026
"""

import numpy as np
import pytest
import torch
from scipy import signal
from tiny_audio import RATE, decaying, write_manifest_of

from miipher2.degrade import Reverb, generator
from miipher2.errors import UserError


def rt60_of(response, decay_db=20):
    """Return the RT60 in seconds, extrapolated from a decay of ``decay_db``."""
    acoustics = pytest.importorskip("pyroomacoustics.experimental.rt60")
    response = np.asarray(response, np.float64)
    return acoustics.measure_rt60(response, RATE, decay_db)


def impulse(seconds=1.0):
    wav = torch.zeros(int(seconds * RATE))
    wav[100] = 0.5
    return wav


@pytest.mark.parametrize("rt60", [0.2, 0.5, 1.0])
def test_output_has_the_rt60_of_the_response(tmp_path, rt60):
    manifest = write_manifest_of(tmp_path, {"room": decaying(rt60)})
    wet, _ = Reverb(manifest, tmp_path)(impulse(2.0), generator(0))
    # Skip the direct sound, whose level is not part of the decay.
    assert rt60_of(wet.numpy()[101:]) == pytest.approx(rt60, rel=0.15)


@pytest.mark.parametrize("rate", [8000, 16000, 44100, 48000])
def test_direct_sound_is_aligned_at_every_sample_rate(tmp_path, rate):
    room = decaying(0.4, rate=rate)
    manifest = write_manifest_of(tmp_path, {"room": room}, rate=rate)
    wet, _ = Reverb(manifest, tmp_path)(impulse(), generator(0))
    assert int(wet.abs().argmax()) == 100
    assert rt60_of(wet.numpy()[105:]) == pytest.approx(0.4, rel=0.15)


def test_speech_is_aligned_and_keeps_its_polarity(tmp_path, speech):
    manifest = write_manifest_of(tmp_path, {"room": -decaying(0.5)})
    wet, _ = Reverb(manifest, tmp_path)(speech, generator(0))
    match = signal.correlate(wet.numpy(), speech.numpy(), method="fft")
    assert match.argmax() - (len(speech) - 1) == 0
    assert match.max() > -match.min()


def test_direct_sound_is_aligned_if_a_reflection_is_louder(tmp_path):
    room = np.zeros(2000)
    room[50], room[400] = 0.6, 0.9
    manifest = write_manifest_of(tmp_path, {"room": room})
    wet, _ = Reverb(manifest, tmp_path)(impulse(), generator(0))
    assert (wet.abs() > 0.01).nonzero()[0] == 100


def test_early_target_ends_50_ms_after_the_direct_sound(tmp_path):
    manifest = write_manifest_of(tmp_path, {"room": decaying(0.8)})
    reverb = Reverb(manifest, tmp_path, target="early")
    target, wet, _ = reverb.pair(impulse(), generator(0))
    end = 100 + round(0.05 * RATE)
    assert torch.allclose(target[:end], wet[:end], atol=1e-6)
    assert target[end:].abs().max() < 1e-6
    assert wet[end:].abs().max() > 1e-3


def test_dry_target_is_the_input(tmp_path, speech):
    manifest = write_manifest_of(tmp_path, {"room": decaying(0.8)})
    target, wet, _ = Reverb(manifest, tmp_path).pair(speech, generator(0))
    assert torch.equal(target, speech)
    assert not torch.equal(wet, speech)


def test_early_target_stays_within_full_scale(tmp_path):
    room = np.zeros(2000)
    room[10:15] = 0.9
    manifest = write_manifest_of(tmp_path, {"room": room})
    reverb = Reverb(manifest, tmp_path, target="early")
    target, _, _ = reverb.pair(torch.ones(1000), generator(0))
    assert target.abs().max() <= 1


def test_speech_level_changes_by_less_than_3_db(tmp_path, speech):
    manifest = write_manifest_of(tmp_path, {"room": 0.01 * decaying(0.4)})
    wet, _ = Reverb(manifest, tmp_path)(speech, generator(0))
    ratio = wet.square().mean() / speech.square().mean()
    assert abs(10 * torch.log10(ratio)) < 3


def test_silent_response_raises(tmp_path):
    manifest = write_manifest_of(tmp_path, {"dead": np.zeros(100)})
    with pytest.raises(UserError, match="dead.flac"):
        Reverb(manifest, tmp_path)(impulse(), generator(0))


def test_unknown_target_raises():
    with pytest.raises(UserError, match="dry"):
        Reverb(None, target="wet")


@pytest.mark.parametrize("rt60", [0.2, 0.5, 1.0])
def test_rt60_agrees_with_pyroomacoustics(rt60):
    from miipher2.degrade.rooms import reverberation_time

    response = decaying(rt60)
    expected = rt60_of(response, decay_db=30)
    assert reverberation_time(response, RATE) == pytest.approx(
        expected, rel=0.05
    )


def test_simulated_rooms_have_the_target_rt60():
    pytest.importorskip("pyroomacoustics")
    from miipher2.degrade.reverb import direct_path
    from miipher2.degrade.rooms import Rooms

    for index, rt60 in enumerate((0.2, 0.5, 1.0)):
        rooms = Rooms(rt60_s=(rt60, rt60), distance_m=(0.5, 2.0))
        rir, room = rooms.simulate(generator(0, index))
        again, _ = rooms.simulate(generator(0, index))
        assert np.array_equal(rir, again)
        assert rt60_of(rir) == pytest.approx(rt60, rel=0.15)
        assert room["rt60_measured_s"] == pytest.approx(rt60, rel=0.15)
        assert 0.5 <= room["distance_m"] <= 2.0
        # The fractional delay filters of pyroomacoustics add 40 samples.
        seconds = (direct_path(rir) - 40) / RATE
        assert seconds == pytest.approx(room["distance_m"] / 343, abs=1e-3)


def test_impossible_rooms_raise():
    pytest.importorskip("pyroomacoustics")
    from miipher2.degrade.rooms import Rooms

    rooms = Rooms(size_m=((2, 3), (2, 3), (2, 3)), distance_m=(50.0, 60.0))
    with pytest.raises(UserError, match="change the ranges"):
        rooms.simulate(generator(0))
