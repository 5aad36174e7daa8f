"""Tests of additive noise: level, spectrum and files.

Authors
 * The miipher2 authors 2026
"""

import re

import numpy as np
import pytest
import soundfile
import torch
from scipy import signal
from tiny_audio import RATE, write_manifest_of

from miipher2.degrade import (
    Babble,
    Calls,
    ColouredNoise,
    Hum,
    Knocks,
    Noise,
    generator,
)
from miipher2.degrade.recordings import Recordings
from miipher2.errors import UserError


def active_snr(clean, noise, rate=RATE):
    """Return the SNR in dB over 25 ms frames within 25 dB of the loudest."""
    frame = rate // 40
    speech_energy = noise_energy = 0.0
    frames = [
        (clean[i : i + frame], noise[i : i + frame])
        for i in range(0, len(clean), frame)
    ]
    loudest = max(np.mean(speech**2) for speech, _ in frames)
    for speech, other in frames:
        if np.mean(speech**2) >= loudest / 10**2.5:
            speech_energy += np.sum(speech**2)
            noise_energy += np.sum(other**2)
    return 10 * np.log10(speech_energy / noise_energy)


def measured(degradation, speech, seed):
    noisy, drawn = degradation(speech, generator(seed))
    clean = speech.numpy().astype(np.float64)
    return active_snr(clean, noisy.numpy().astype(np.float64) - clean), drawn


@pytest.mark.parametrize(
    "kind",
    ["noise", "music", "babble", "coloured", "calls", "knocks", "hum"],
)
@pytest.mark.parametrize("snr_db", [-5.0, 10.0, 30.0])
def test_snr_on_active_speech(corpora, speech, kind, snr_db):
    files = {
        k: (corpora[f"{k}_csv"], corpora[f"{k}_root"])
        for k in ("noise", "music", "speech")
    }
    span = (snr_db, snr_db)
    degradation = {
        "noise": lambda: Noise(*files["noise"], snr_db=span),
        "music": lambda: Noise(*files["music"], snr_db=span),
        "babble": lambda: Babble(*files["speech"], snr_db=span),
        "coloured": lambda: ColouredNoise(snr_db=span),
        "calls": lambda: Calls(snr_db=span, pause=(0.01, 0.1)),
        "knocks": lambda: Knocks(snr_db=span, pause=(0.05, 0.1)),
        "hum": lambda: Hum(snr_db=span),
    }[kind]()
    for seed in range(4):
        value, drawn = measured(degradation, speech, seed)
        assert value == pytest.approx(drawn["snr_db"], abs=0.2)
        assert value == pytest.approx(snr_db, abs=0.2)


def test_pauses_do_not_change_the_noise_level(speech):
    noise = ColouredNoise(snr_db=(10.0, 10.0), slope_db=(0.0, 0.0))
    longer = torch.cat([speech, torch.zeros(len(speech))])
    powers = [
        (noise(clip, generator(0))[0] - clip).square().mean()
        for clip in (speech, longer)
    ]
    assert 10 * torch.log10(powers[0] / powers[1]).abs() < 0.2


def test_gain_of_noise_in_speech_pauses_is_limited(tmp_path):
    """Noise that is nearly silent during speech gets a limited gain."""
    rng = np.random.default_rng(0)
    late = 0.1 * rng.standard_normal(RATE)
    late[: RATE // 2] *= 1e-3
    manifest = write_manifest_of(tmp_path, {"late": late})
    clip = torch.zeros(RATE)
    clip[: RATE // 2] = 0.1 * torch.sin(torch.arange(RATE // 2) / 5.0)
    noise = Noise(manifest, tmp_path, snr_db=(0.0, 0.0))
    value, drawn = measured(noise, clip, 0)
    assert value == pytest.approx(drawn["snr_db"], abs=0.2)
    assert value > 10  # at 0 dB, the noise would be far too loud
    assert noise(clip, generator(0))[0].abs().max() < 2


@pytest.mark.parametrize("slope_db", [-6.0, -3.0, 0.0, 3.0])
def test_slope_of_coloured_noise(slope_db):
    noise = ColouredNoise(snr_db=(0.0, 0.0), slope_db=(slope_db, slope_db))
    samples, _ = noise.noise(20 * RATE, generator(0))
    hz, power = signal.welch(samples, RATE, nperseg=2048)
    band = (hz > 100) & (hz < 7000)
    fitted = np.polyfit(np.log2(hz[band]), 10 * np.log10(power[band]), 1)[0]
    assert fitted == pytest.approx(slope_db, abs=0.2)


@pytest.mark.parametrize("mains_hz", [50.0, 60.0])
def test_hum_consists_of_harmonics_of_the_mains_frequency(mains_hz):
    hum, _ = Hum(mains_hz=(mains_hz,), harmonics=5).noise(RATE, generator(1))
    power = np.abs(np.fft.rfft(hum)) ** 2  # one bin per Hz
    lines = power[[round(mains_hz * n) for n in range(1, 6)]].sum()
    assert lines / power.sum() > 0.999


def test_harmonics_do_not_alias():
    # An alias of harmonic 9 would be at 370 Hz, between two harmonics.
    hum, _ = Hum(mains_hz=(50.0,), harmonics=9, sample_rate=820).noise(
        820, generator(0)
    )
    power = np.abs(np.fft.rfft(hum)) ** 2
    assert power[[50 * n for n in range(1, 9)]].sum() / power.sum() > 0.999


def test_short_recording_is_repeated(tmp_path):
    rng = np.random.default_rng(0)
    manifest = write_manifest_of(tmp_path, {"short": 0.1 * rng.random(1000)})
    noise, _ = Noise(manifest, tmp_path).noise(4500, generator(0))
    assert np.array_equal(noise[:1000], noise[1000:2000])
    assert noise.shape == (4500,)


def test_recordings_are_resampled_and_downmixed(tmp_path):
    """A stereo recording at 48 kHz is resampled, and its channels averaged."""
    time = np.arange(2 * 48000) / 48000
    tone = 0.5 * np.sin(2 * np.pi * 1000 * time)
    stereo = np.stack([tone, np.zeros_like(tone)], axis=1)
    manifest = write_manifest_of(tmp_path, {"tone": stereo}, rate=48000)
    samples, _ = Noise(manifest, tmp_path).noise(RATE, generator(0))
    hz, power = signal.welch(samples, RATE, nperseg=RATE // 10)
    assert hz[power.argmax()] == 1000
    assert np.abs(samples).max() == pytest.approx(0.25, abs=0.01)


def test_only_a_segment_of_a_long_recording_is_read(tmp_path, monkeypatch):
    ramp = np.linspace(-0.9, 0.9, 30 * RATE)
    manifest = write_manifest_of(tmp_path, {"ramp": ramp})
    noise = Noise(manifest, tmp_path)

    def refuse(row):
        raise AssertionError("the complete file was read")

    monkeypatch.setattr(noise.recordings, "read", refuse)
    starts = set()
    for seed in range(5):
        samples, _ = noise.noise(RATE, generator(seed))
        assert np.allclose(np.diff(samples), 1.8 / 30 / RATE, atol=1e-4)
        starts.add(float(samples[0]))
    assert len(starts) == 5


@pytest.mark.parametrize("speed", [0.5, 0.8, 1.7])
def test_speed_changes_the_pitch(tmp_path, speed):
    tone = 0.5 * np.sin(2 * np.pi * 1000 * np.arange(RATE) / RATE)
    manifest = write_manifest_of(tmp_path, {"tone": tone})
    noise = Noise(manifest, tmp_path, speed=(speed, speed))
    samples, drawn = noise.noise(2 * RATE, generator(0))
    hz, power = signal.welch(samples, RATE, nperseg=RATE // 10)
    assert hz[power.argmax()] == pytest.approx(1000 * speed)
    assert samples.shape == (2 * RATE,)
    assert drawn == {"noise": "tone", "speed": pytest.approx(speed)}


def test_voices_of_babble_are_different_speakers(tmp_path):
    clips = {
        f"{speaker}{take}": np.ones(9) for speaker in "abc" for take in "12"
    }
    manifest = write_manifest_of(tmp_path, clips)
    # Remove the take from the speaker in the last column.
    text = re.sub(r"\d$", "", manifest.read_text(), flags=re.MULTILINE)
    manifest.write_text(text)
    babble = Babble(manifest, tmp_path, voices=(5, 5))
    for seed in range(5):
        _, drawn = babble.noise(9, generator(seed))
        speakers = [ID[0] for ID in drawn["voices"]]
        assert len(set(speakers)) == len(speakers)


def test_missing_or_empty_manifest_raises(tmp_path):
    empty = tmp_path / "empty.csv"
    empty.write_text("ID,duration,wav\n")
    for manifest in (empty, tmp_path / "none.csv"):
        noise = Noise(manifest, tmp_path)  # not read yet
        with pytest.raises(UserError, match=manifest.name):
            noise(torch.ones(100), generator(0))


def test_missing_audio_file_raises(tmp_path):
    manifest = tmp_path / "noise.csv"
    manifest.write_text("ID,duration,wav\na,1.0,$data_root/gone.wav\n")
    with pytest.raises(UserError, match="gone.wav"):
        Noise(manifest, tmp_path)(torch.ones(100), generator(0))


def test_a_replaced_recording_is_read_again(tmp_path):
    manifest = write_manifest_of(tmp_path, {"a": np.full(100, 0.5)})
    recordings = Recordings(manifest, tmp_path)
    assert recordings.read(recordings.rows[0])[0] == 0.5
    soundfile.write(tmp_path / "a.flac", np.full(101, 0.25), RATE)
    assert recordings.read(recordings.rows[0])[0] == 0.25


def test_duration_longer_than_the_file_raises(tmp_path):
    manifest = write_manifest_of(tmp_path, {"a": np.zeros(100)})
    text = manifest.read_text().replace("0.00625", "60")
    manifest.write_text(text)
    recordings = Recordings(manifest, tmp_path)
    message = "a.flac: no samples; .* shorter than the 60 s given in"
    with pytest.raises(UserError, match=message):
        recordings.crop(recordings.rows[0], 100, generator(0))
