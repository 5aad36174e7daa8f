"""Codecs: in time with the input, at every bit rate of degrade.yaml.

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


def lag(heard, sent, rate):
    """By how many ms ``heard`` is late, and the correlation there.

    In the telephone band: below it, the high-pass filters of AMR-NB and Opus
    turn the phase of the pitch, which is no delay.
    """
    band = signal.butter(4, (300, 3400), "bandpass", fs=rate, output="sos")
    heard, sent = (signal.sosfiltfilt(band, wave) for wave in (heard, sent))
    match = signal.correlate(heard, sent, method="fft")
    late = int(match.argmax()) - (len(sent) - 1)
    alike = match.max() / np.linalg.norm(heard) / np.linalg.norm(sent)
    return late / rate * 1000, alike


def test_all_codecs_of_the_issue_are_here():
    expected = "mp3 vorbis opus aac alaw mulaw gsm amr_nb g722"
    assert list(CODECS) == expected.split()


@pytest.mark.parametrize(("name", "setting"), SETTINGS)
def test_output_is_aligned_with_the_input(name, setting):
    for rate, seed in ((16000, 3), (24000, 4)):
        sent = speech_like(seed, seconds=1.6, rate=rate)
        heard = codec.transcode(sent, rate, name, setting)
        assert heard.shape == sent.shape
        late_ms, alike = lag(heard, sent, rate)
        assert abs(late_ms) <= 1.0
        assert alike > 0.5


@pytest.mark.parametrize("name", list(CODECS))
def test_alignment_does_not_drift_and_the_end_is_kept(name):
    sent = speech_like(5, seconds=6.05)
    heard = codec.transcode(sent, 16000, name, CODECS[name][-1])
    tail = slice(-8000, None)
    assert abs(lag(heard[tail], sent[tail], 16000)[0]) <= 1.0
    last = np.abs(sent).nonzero()[0][-1]
    assert np.abs(heard[last - 800 : last]).max() > 0.01


@pytest.mark.parametrize("name", ["alaw", "mulaw", "gsm", "amr_nb"])
def test_telephone_codecs_have_nothing_above_4_khz(name):
    sent = speech_like(0)
    heard = codec.transcode(sent, 16000, name, CODECS[name][0])
    hz, power = signal.welch(heard, 16000, nperseg=1024)
    assert power[hz > 4200].sum() < 1e-4 * power.sum()


@pytest.mark.parametrize("name", ["mp3", "opus", "aac"])
def test_higher_bit_rates_are_closer(name):
    sent = speech_like(6)
    errors = []
    for kbps in (min(CODECS[name]), 64):
        heard = codec.transcode(sent, 16000, name, kbps)
        spectra = [
            np.abs(signal.stft(wave, 16000, nperseg=512)[2])
            for wave in (heard, sent)
        ]
        errors.append(np.abs(spectra[0] - spectra[1]).sum())
    assert errors[1] < errors[0]


def test_each_codec_and_rate_is_drawn():
    step = Codec(codecs={"alaw": [64], "gsm": [13], "vorbis": [0, 5]})
    clip = torch.zeros(400)
    drawn = [step(clip, generator(seed))[1] for seed in range(60)]
    assert {d["codec"] for d in drawn} == {"alaw", "gsm", "vorbis"}
    assert {d["quality"] for d in drawn if d["codec"] == "vorbis"} == {0, 5}


def test_opus_without_pyav_is_aligned_too():
    sent = speech_like(3, seconds=1.6)
    for kbps in CODECS["opus"]:
        heard = codec._opus(sent, 16000, kbps)
        assert abs(lag(heard, sent, 16000)[0]) <= 1.0


def test_without_pyav_its_codecs_are_left_out(monkeypatch):
    monkeypatch.setattr(codec, "av", None)
    left = Codec(codecs={"alaw": [64], "aac": [32], "amr_nb": [12.2]}).codecs
    assert list(left) == ["alaw"]
    with pytest.raises(UserError, match=r"miipher2\[codecs\]"):
        Codec(codecs={"aac": [32]})


def test_unknown_codecs_are_named():
    with pytest.raises(UserError, match="mp4"):
        Codec(codecs={"mp4": [32]})
