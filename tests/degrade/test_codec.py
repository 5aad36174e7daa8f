"""Tests of the codecs in degrade.yaml.

Authors
 * The miipher2 authors 2026
"""

import numpy as np
import pytest
import torch
from hyperpyyaml import load_hyperpyyaml
from scipy import signal
from tiny_audio import speech_like

from miipher2.degrade import Codec, codec, generator
from miipher2.degrade.command import DEFAULT_CHAIN
from miipher2.errors import UserError

with open(DEFAULT_CHAIN) as yaml_file:
    CODECS = load_hyperpyyaml(yaml_file)["codec"].codecs
SETTINGS = [(name, value) for name in CODECS for value in CODECS[name]]


def lag(decoded, source, rate):
    """Return the delay of ``decoded`` in ms and the correlation at this delay.

    Both are measured in the telephone band, because below this band the
    high-pass filters of AMR-NB and Opus shift the phase of the fundamental
    without delaying the signal.
    """
    band = signal.butter(4, (300, 3400), "bandpass", fs=rate, output="sos")
    decoded, source = (
        signal.sosfiltfilt(band, wave) for wave in (decoded, source)
    )
    match = signal.correlate(decoded, source, method="fft")
    delay = int(match.argmax()) - (len(source) - 1)
    norm = np.linalg.norm(decoded) * np.linalg.norm(source)
    return delay / rate * 1000, match.max() / norm


def test_codecs_of_the_default_chain():
    expected = "mp3 vorbis opus aac alaw mulaw gsm amr_nb g722"
    assert list(CODECS) == expected.split()


@pytest.mark.parametrize(("name", "setting"), SETTINGS)
def test_output_is_aligned_with_the_input(name, setting):
    for rate, seed in ((16000, 3), (24000, 4)):
        source = speech_like(seed, seconds=1.6, rate=rate)
        decoded = codec.transcode(source, rate, name, setting)
        assert decoded.shape == source.shape
        delay_ms, correlation = lag(decoded, source, rate)
        assert abs(delay_ms) <= 1.0
        assert correlation > 0.5


@pytest.mark.parametrize("name", list(CODECS))
def test_end_of_a_long_clip_is_aligned_and_complete(name):
    source = speech_like(5, seconds=6.05)
    decoded = codec.transcode(source, 16000, name, CODECS[name][-1])
    tail = slice(-8000, None)
    assert abs(lag(decoded[tail], source[tail], 16000)[0]) <= 1.0
    last = np.abs(source).nonzero()[0][-1]
    assert np.abs(decoded[last - 800 : last]).max() > 0.01


@pytest.mark.parametrize("name", ["alaw", "mulaw", "gsm", "amr_nb"])
def test_telephone_codecs_have_no_energy_above_4_khz(name):
    source = speech_like(0)
    decoded = codec.transcode(source, 16000, name, CODECS[name][0])
    hz, power = signal.welch(decoded, 16000, nperseg=1024)
    assert power[hz > 4200].sum() < 1e-4 * power.sum()


@pytest.mark.parametrize("name", ["mp3", "opus", "aac"])
def test_higher_bit_rate_has_smaller_error(name):
    source = speech_like(6)
    errors = []
    for kbps in (min(CODECS[name]), 64):
        decoded = codec.transcode(source, 16000, name, kbps)
        spectra = [
            np.abs(signal.stft(wave, 16000, nperseg=512)[2])
            for wave in (decoded, source)
        ]
        errors.append(np.abs(spectra[0] - spectra[1]).sum())
    assert errors[1] < errors[0]


def test_all_codecs_and_settings_are_drawn():
    step = Codec(codecs={"alaw": [64], "gsm": [13], "vorbis": [0, 5]})
    clip = torch.zeros(400)
    drawn = [step(clip, generator(seed))[1] for seed in range(60)]
    assert {d["codec"] for d in drawn} == {"alaw", "gsm", "vorbis"}
    assert {d["quality"] for d in drawn if d["codec"] == "vorbis"} == {0, 5}


def test_soundfile_opus_is_aligned():
    source = speech_like(3, seconds=1.6)
    for kbps in CODECS["opus"]:
        decoded = codec._opus(source, 16000, kbps)
        assert abs(lag(decoded, source, 16000)[0]) <= 1.0


def test_pyav_codecs_are_left_out_without_pyav(monkeypatch):
    monkeypatch.setattr(codec, "av", None)
    step = Codec(codecs={"alaw": [64], "aac": [32], "amr_nb": [12.2]})
    assert list(step.codecs) == ["alaw"]
    with pytest.raises(UserError, match="pip install 'av<19'"):
        Codec(codecs={"aac": [32]})


def test_a_decoder_is_not_an_encoder():
    av = pytest.importorskip("av")
    assert codec._has_encoder("aac")
    assert "gsm" in av.codecs_available and not codec._has_encoder("gsm")


def test_unknown_codec_raises():
    with pytest.raises(UserError, match="mp4"):
        Codec(codecs={"mp4": [32]})
