"""Tests of miipher2.models.vocoders.harmonic and pulse_train.

Authors
 * The miipher2 authors 2026
"""

from types import SimpleNamespace

import pytest
import torch
from hyperpyyaml import load_hyperpyyaml

from miipher2.errors import UserError
from miipher2.models.pretraining_targets import SpectralTargets
from miipher2.models.vocoders.base import build_vocoder
from miipher2.models.vocoders.harmonic import HarmonicVocoder
from miipher2.models.vocoders.pulse_train import pulse_train
from miipher2.models.weights import save_weights

SMALL = {"channels": 16, "intermediate": 32, "layers": 2}


def small(**settings):
    """Return a small vocoder that has the same weights on every call."""
    torch.manual_seed(0)
    return HarmonicVocoder(4, **{**SMALL, **settings})


def pitch(hz, frames, batch=1):
    """Return a batch with a constant pitch and all frames voiced."""
    values = torch.tensor([float(hz), 1.0])
    return values.expand(batch, 2 * frames, 2).clone()


@pytest.mark.parametrize("frames", [1, 2, 7, 50])
def test_each_frame_gives_hop_length_samples(frames):
    vocoder = small()
    features = torch.randn(2, frames, 4)
    wav, error = vocoder(features, pitch=pitch(100, frames, 2))
    assert wav.shape == (2, frames * 320) and error.isfinite()
    output, own_loss = vocoder.eval()(features)
    assert output.shape == wav.shape and output.isfinite().all()
    assert own_loss == 0


def test_a_warm_start_reproduces_the_spectra_of_stage_0(tmp_path):
    targets = SpectralTargets()
    head = {
        "weight": torch.eye(241).half(),  # as in the packaged model
        "bias": torch.zeros(241).half(),
    }
    save_weights(
        tmp_path / "head.safetensors", head, {"targets": "SpectralTargets"}
    )
    # Noise with a level and a spectral slope that change over time
    torch.manual_seed(0)
    wav = torch.randn(32000) * torch.linspace(0.01, 0.3, 32000)
    wav[1:] += 0.9 * torch.linspace(-1, 1, 31999) * wav[:-1]
    frames = targets(wav)

    def error(warm_start=None):
        torch.manual_seed(0)
        vocoder = HarmonicVocoder(241, **SMALL)
        if warm_start is not None:
            vocoder.warm_start(warm_start)
        wav, _ = vocoder.eval()(frames[None])
        output = targets(wav[0].detach())
        return 4 * (output - frames)[:, :160].abs().mean()

    assert error(tmp_path) < 0.4 < 1.0 < error()
    save_weights(tmp_path / "head.safetensors", head, {"targets": "Others"})
    with pytest.raises(UserError, match="Others.*SpectralTargets"):
        error(tmp_path)


@pytest.mark.parametrize("hz", [60.0, 123.4, 440.0])
def test_pulses_contain_all_harmonics_and_nothing_else(hz):
    wav = pulse_train(torch.full((1, 200), hz), 80, 16000)[0]
    window = torch.hann_window(len(wav))
    power = torch.fft.rfft(wav * window).abs().square()
    bins = torch.arange(len(power)).float()  # The spacing is 1 Hz.
    from_harmonic = (bins - hz * (bins / hz).round()).abs()
    inside = (bins > hz / 2) & (bins < 7900)
    assert power[inside & (from_harmonic > 4)].sum() < 1e-3 * power.sum()
    peaks = power[(hz * torch.arange(1, int(7900 / hz))).round().long()]
    assert peaks.max() < 5 * peaks.min()
    assert wav.square().mean() == pytest.approx(1.0, rel=0.1)


def test_pulses_do_not_click_while_the_pitch_glides():
    hz = torch.linspace(100, 300, 100)[None]
    wav = pulse_train(hz, 160, 16000)[0]
    spectra = torch.stft(
        wav, 256, 64, window=torch.hann_window(256), return_complex=True
    )
    level = spectra.abs().square().mean(dim=0)[4:-4]
    assert level.max() < 20 * level.median()


def test_filters_with_a_gain_of_1_do_not_change_the_pulses():
    vocoder = small().eval()
    hz = torch.full((1, 20), 100.0)
    filters = torch.zeros(1, 20, 3, 321)
    filters[:, :, 1] = -20.0
    wav = vocoder.render(hz, filters)
    assert torch.allclose(wav, pulse_train(hz, 160, 16000), atol=1e-4)


def test_eval_mode_is_deterministic():
    vocoder = small().eval()
    features = torch.randn(3, 9, 4)
    wav, _ = vocoder(features)
    assert torch.equal(vocoder(features)[0], wav)
    assert torch.allclose(vocoder(features[1:2])[0][0], wav[1], atol=1e-3)
    # A clip can be longer than the period of the noise.
    long, _ = vocoder(torch.randn(1, 500, 4))
    assert long.shape == (1, 160000) and long.abs().max() > 0


@pytest.mark.parametrize("batch_size", [1, 2, 3])
@pytest.mark.parametrize("gate", [False, True])
def test_windows_continue_the_previous_window(batch_size, gate):
    """The output of each window matches the output for the full recording."""
    vocoder = small(layers=1, spectral_gate=gate).eval()
    features = torch.randn(1, 250, 4).cumsum(dim=1) / 10
    recording = 0.1 * torch.randn(1, 250 * 320)
    complete = vocoder(features, recording)[0][0]
    segments = [("left", 0, 80), ("left", 80, 150), ("left", 150, None)]
    outputs, states = [], {"right": 0.5}
    for first in range(0, 3, batch_size):
        batch = segments[first : first + batch_size]
        starts = [start for _, start, _ in batch]
        wavs, states = vocoder.synthesise(
            torch.stack([features[0, s : s + 100] for s in starts]),
            torch.stack([recording[0, s * 320 :][:32000] for s in starts]),
            batch,
            states,
            overlap=20,
        )
        outputs += wavs
    assert states == {"right": 0.5}
    for (_, start, next_start), output in zip(segments, outputs, strict=True):
        # The frames that are affected by an edge are excluded.
        first = 0 if start == 0 else 10
        last = 100 if next_start is None else 90
        expected = complete[(start + first) * 320 :][: (last - first) * 320]
        output = output[first * 320 : last * 320]
        assert (output - expected).norm() < 0.01 * expected.norm()


def test_new_states_are_returned_and_given_states_not_modified():
    """The states passed in can be used again to repeat a batch."""
    vocoder = small(layers=1).eval()
    features, segments = torch.rand(1, 100, 4), [("left", 80, 160)]
    states = {"left": 0.25, "right": 0.5}
    wav, after = vocoder.synthesise(features, None, segments, states, 20)
    assert states == {"left": 0.25, "right": 0.5}
    assert after["left"] != 0.25 and after["right"] == 0.5
    again, _ = vocoder.synthesise(features, None, segments, states, 20)
    assert torch.equal(again, wav)


@pytest.mark.parametrize("recorded", [False, True])
def test_every_weight_has_a_gradient(recorded):
    vocoder = small(spectral_gate=True)
    torch.nn.init.normal_(vocoder.gate.output_projection.weight, std=0.1)
    recording = 0.1 * torch.randn(9, 2240) if recorded else None
    wav, error = vocoder(torch.randn(9, 7, 4), recording, pitch(200, 7, 9))
    (wav.square().mean() + wav.abs().mean() + error).backward()
    for name, parameter in vocoder.named_parameters():
        assert parameter.grad.isfinite().all(), name
        if recorded or not name.startswith("gate"):
            assert parameter.grad.abs().sum() > 0, name


def test_some_training_clips_are_completely_synthesised():
    vocoder = small(spectral_gate=True)
    _, _, (recorded, synthesised) = vocoder.predict(
        torch.randn(200, 3, 4), 0.1 * torch.randn(200, 960)
    )
    selected = (synthesised == 1).all(dim=2).all(dim=1)
    assert (recorded[selected] == 0).all()
    assert (recorded[~selected].abs() > 0).any()
    assert (synthesised[~selected] < 1).all()
    assert 0.15 < selected.float().mean() < 0.45


def test_without_a_recording_all_bins_are_synthesised():
    features = torch.randn(1, 9, 4)
    plain = small().eval()
    gated = small(spectral_gate=True).eval()
    gated.load_state_dict(plain.state_dict(), strict=False)
    assert torch.allclose(gated(features)[0], plain(features)[0], atol=1e-6)
    recording = 0.1 * torch.randn(1, 9 * 320)
    assert not torch.allclose(gated(features, recording)[0], plain(features)[0])


def test_training_learns_the_pitch():
    vocoder = small()
    hz = torch.tensor([90.0, 150.0, 220.0, 400.0])
    features = torch.nn.functional.one_hot(torch.arange(4)).float()
    features = features[:, None].expand(4, 9, 4)
    targets = torch.stack([pitch(value, 9)[0] for value in hz])
    optimizer = torch.optim.Adam(vocoder.parameters(), 0.01)
    for _ in range(80):
        _, error = vocoder(features, pitch=targets)
        optimizer.zero_grad()
        error.backward()
        optimizer.step()
    _, scores, _ = vocoder.predict(features)
    predicted = vocoder.predicted_pitch(scores)[:, 9]
    assert torch.allclose(predicted, hz, rtol=0.02)


def test_unvoiced_frames_have_no_pitch_error():
    vocoder = small()
    unvoiced = pitch(200, 7)
    unvoiced[..., 1] = 0.0
    assert vocoder(torch.randn(1, 7, 4), pitch=unvoiced)[1] == 0


def test_the_yaml_builds_a_vocoder(request):
    path = request.config.rootpath / "hparams/models/vocoder/harmonic.yaml"
    loaded = load_hyperpyyaml(path.read_text())
    backbone = SimpleNamespace(width=320, frame_rate=50.0, sample_rate=16000)
    vocoder = build_vocoder(loaded["generator"], backbone, 16000)
    assert 6e6 < sum(p.numel() for p in vocoder.parameters()) < 8e6


@pytest.mark.parametrize("gate", [False, True])
def test_padded_pitch_gives_finite_gradients(gate):
    vocoder = HarmonicVocoder(
        16, channels=8, intermediate=16, layers=1, spectral_gate=gate
    )
    pitch = torch.zeros(1, 20, 2)  # Hz, voicing; the last 12 steps are padding
    pitch[:, :8] = torch.tensor([120.0, 1.0])
    recording = torch.zeros(1, 3200) if gate else None
    wav, error = vocoder(torch.rand(1, 10, 16), recording, pitch)
    (wav.square().sum() + error).backward()
    assert wav.isfinite().all() and error.isfinite()
    for parameter in vocoder.parameters():
        assert parameter.grad is None or parameter.grad.isfinite().all()
