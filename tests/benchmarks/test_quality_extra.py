"""Tests of the wideband, upper-band and no-speech conditions.

Authors
 * The miipher2 authors 2026
"""

import numpy
import pytest
import quality_clips
import quality_extra
import soundfile
import torch
from tiny_voice import voice

from miipher2.degrade import generator

RATE = 24000


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Corpus with 24 kHz speech; that of speaker b is band-limited to 8 kHz."""
    root = tmp_path_factory.mktemp("data")
    rng = numpy.random.default_rng(0)
    rows = []

    def add(path, wav, speaker="", rate=RATE):
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(root / path, wav, rate)
        rows.append(
            {
                "path": path,
                "seconds": str(len(wav) / rate),
                "speaker": speaker,
                "split": "valid",
            }
        )

    wide = voice(rng, 5, RATE)
    wide = wide + 0.3 * numpy.abs(wide) * rng.standard_normal(len(wide))
    add("speech24/x/valid/a/1.flac", 0.3 * wide, "a")
    spectrum = numpy.fft.rfft(wide)
    spectrum[numpy.fft.rfftfreq(len(wide), 1 / RATE) > 8000] = 0
    narrow = 0.3 * numpy.fft.irfft(spectrum, len(wide))
    add("speech24/x/valid/b/1.flac", narrow, "b")
    hiss = 0.1 * rng.standard_normal(4 * 16000)
    add("noise/x/valid/hiss.flac", hiss, rate=16000)
    add("noise/x/valid/music_a.flac", hiss[::-1], rate=16000)
    rir = numpy.exp(-numpy.arange(4000) / 800) * rng.standard_normal(4000)
    add("rir/x/valid/room.flac", numpy.r_[0.9, 0.1 * rir], rate=16000)
    return root, rows


def test_full_band_recordings_are_detected(data):
    root, _ = data
    speech = root / "speech24/x/valid"
    assert quality_extra.has_full_band(speech / "a/1.flac")
    assert not quality_extra.has_full_band(speech / "b/1.flac")


def test_only_the_upper_band_input_is_at_16_khz(data, tmp_path):
    root, files = data
    rows = quality_extra.write_wide_clip(
        tmp_path, files[0], root, files, tmp_path, 1
    )
    assert [row["condition"] for row in rows] == ["wideband", "upper-band"]
    rates = {}
    for row in rows:
        for side in ("input", "clean"):
            path = tmp_path / side / row["condition"] / f"{row['clip']}.wav"
            wav, rate = soundfile.read(path)
            assert len(wav) / rate == pytest.approx(float(row["seconds"]))
            rates[row["condition"], side] = rate
    assert rates == {
        ("wideband", "input"): 24000,
        ("wideband", "clean"): 24000,
        ("upper-band", "input"): 16000,
        ("upper-band", "clean"): 24000,
    }
    clean = tmp_path / "clean/upper-band/a_1.wav"
    scores = quality_extra.upper_band(
        tmp_path / "input/upper-band/a_1.wav", clean
    )
    assert scores["upper_level"] < -20
    assert scores["upper_lsd"] > 10
    same = quality_extra.upper_band(clean, clean)
    assert same == {"upper_level": 0.0, "upper_lsd": 0.0}


def test_upper_band_is_measured_only_above_8_khz(data, tmp_path):
    root, _ = data
    path = root / "speech24/x/valid/a/1.flac"
    wav, _ = soundfile.read(path)
    hz = numpy.fft.rfftfreq(len(wav), 1 / RATE)
    spectrum = numpy.fft.rfft(wav)
    gains = numpy.where(hz > 8000, 10 ** (-6 / 20), 1.0)
    halved = numpy.fft.irfft(spectrum * gains, len(wav))
    soundfile.write(tmp_path / "halved.wav", halved, RATE, "FLOAT")
    scores = quality_extra.upper_band(tmp_path / "halved.wav", path)
    assert scores["upper_level"] == pytest.approx(-6, abs=0.1)
    assert scores["upper_lsd"] == pytest.approx(6, abs=0.2)


def test_clips_without_speech_have_all_kinds_of_sound_and_different_levels(
    data, tmp_path
):
    root, files = data
    rows = quality_extra.write_no_speech(tmp_path, root, files, tmp_path, 10, 1)
    kinds = [row["source"].split("_")[0] for row in rows]
    assert kinds == 2 * list(quality_extra.NO_SPEECH)
    levels = []
    for row in rows:
        wav, rate = soundfile.read(
            tmp_path / "input/no-speech" / f"{row['clip']}.wav"
        )
        assert rate == 16000 and len(wav) == 5 * rate
        levels.append(10 * numpy.log10(numpy.mean(wav**2)))
    assert min(levels) > -61 and max(levels) < -19
    assert max(levels) - min(levels) > 10


def test_quieter_output_has_a_negative_level_change(tmp_path):
    wav = 0.1 * generator(0).standard_normal(16000)
    for name, gain in (("input", 1.0), ("output", 0.1), ("silent", 0.0)):
        soundfile.write(tmp_path / f"{name}.wav", gain * wav, 16000, "FLOAT")
    source = tmp_path / "input.wav"
    scores = quality_extra.no_speech(tmp_path / "output.wav", source)
    assert scores["level_change"] == pytest.approx(-20, abs=0.01)
    scores = quality_extra.no_speech(tmp_path / "silent.wav", source)
    assert scores["level_change"] == pytest.approx(-100, abs=1)


def test_extra_conditions_are_not_in_the_mean():
    import quality

    rows = [
        {"condition": condition, "restored_lsd": value}
        for condition, value in [
            ("noise", 1.0),
            ("babble", 3.0),
            ("clean", 7.0),
            ("wideband", 9.0),
        ]
    ]
    found = quality.summarise(rows, "lsd", ["restored"])
    assert list(found) == ["noise", "babble", "mean", "clean input", "wideband"]
    assert found["mean"] == {"restored": 2.0}


def test_level_at_24_khz():
    wav = torch.from_numpy(numpy.random.default_rng(0).standard_normal(24000))
    assert quality_clips.level(wav, 24000) == pytest.approx(1, abs=0.05)
