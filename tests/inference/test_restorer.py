"""Tests of ``Restorer``: clips, files, windows and model folders.

Authors
 * The miipher2 authors 2026
"""

import shutil

import numpy
import pyloudnorm
import pytest
import soundfile
import torch
from tiny_restorer import save_tiny_restorer, voice

from miipher2.errors import UserError
from miipher2.inference.restorer import Restorer


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return save_tiny_restorer(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="module")
def restorer(model):
    return Restorer.from_hparams(model, run_opts={"device": "cpu"})


def speech(seconds, seed=0):
    return torch.from_numpy(voice(seconds, seed=seed))


@pytest.fixture
def windows(restorer):
    """Return a function that sets the window length and overlap."""
    seconds = vars(restorer.hparams)
    before = dict(seconds)

    def change(window_seconds, overlap_seconds=1.0):
        seconds.update(
            window_seconds=window_seconds, overlap_seconds=overlap_seconds
        )

    yield change
    seconds.update(before)


@pytest.mark.parametrize("samples", [0, 1, 399, 16000, 16001, 100007])
def test_output_is_as_long_as_the_input(restorer, samples):
    wav = speech(7)[:samples]
    expected = round(samples * 1.5)
    assert restorer.restore(wav).shape == (expected,)
    assert restorer.restore_batch(wav[None]).shape == (1, expected)


def test_a_clip_gives_the_same_output_alone_and_in_a_batch(restorer):
    clips = [speech(1.0), speech(0.5, seed=1), speech(9.0, seed=2)]
    batch = torch.nn.utils.rnn.pad_sequence(clips, batch_first=True)
    lengths = torch.tensor([len(clip) / batch.shape[1] for clip in clips])
    together = restorer(batch, lengths)
    for row, clip in zip(together, clips, strict=True):
        alone = restorer.restore(clip)
        assert torch.equal(row[: len(alone)], alone)
        assert (row[len(alone) :] == 0).all()


def test_loudness_is_restored_and_silence_stays_silent(restorer):
    for gain in (0.03, 0.5):
        wav = gain * speech(3) + 0.1  # a DC offset is ignored
        restored = restorer.restore(wav).numpy()
        expected = pyloudnorm.Meter(16000).integrated_loudness(wav.numpy())
        found = pyloudnorm.Meter(24000).integrated_loudness(restored)
        assert found == pytest.approx(expected, abs=0.1)
    assert restorer.restore(20 * speech(2)).abs().max() < 0.891
    assert (restorer.restore(torch.zeros(16000)) == 0).all()


def spectra(wav):
    window = torch.hann_window(600)
    return torch.stft(wav, 600, 240, window=window, return_complex=True).abs()


def distance(a, b):
    """Return the log-spectral distance in dB of each frame of 10 ms."""
    a, b = (20 * (spectra(wav) + 1e-4).log10() for wav in (a, b))
    return (a - b).square().mean(dim=0).sqrt()


def in_cross_fades(plan, samples):
    """Return a mask of the frames of 10 ms that lie in a cross-fade."""
    mask = torch.zeros(samples // 160 + 1, dtype=torch.bool)
    for start in list(plan.starts(samples))[1:]:
        first = 2 * (start + plan.unused)
        mask[first : first + 2 * plan.fade] = True
    return mask


@pytest.mark.parametrize("kind", ["speech", "noise"])
def test_windows_match_the_unwindowed_output(restorer, windows, kind):
    wav = speech(40)
    if kind == "noise":
        wav = 0.1 * torch.randn(40 * 16000, generator=torch.manual_seed(0))
    windows(100.0)
    expected = restorer.restore(wav)
    windows(4.0)
    joined = restorer.restore(wav)
    assert joined.shape == expected.shape
    error = (joined - expected).square().mean() / expected.square().mean()
    assert error < 0.02
    fades = in_cross_fades(restorer.plan, len(wav))
    assert 0.1 < fades.float().mean() < 0.4
    # The difference is hardly larger in cross-fades than elsewhere.
    difference = distance(joined, expected)
    assert difference[fades].mean() < 1.2 * difference[~fades].mean()
    # Cross-fades do not change the level of any frequency band.
    ratio = (
        spectra(joined).square()
        / spectra(expected).square().mean(dim=1)[:, None]
    )
    bands = ratio[1:].unflatten(0, (10, -1)).mean(dim=1)
    change = bands[:, fades].mean(dim=1) / bands[:, ~fades].mean(dim=1)
    if kind == "noise":
        assert (10 * change.log10()).abs().max() < 0.5
    # Cross-fades add no jumps between samples.
    steps = joined.diff().abs()
    near = fades.repeat_interleave(240)[: len(steps)]
    assert steps[near].max() < 1.1 * steps[~near].max()


def test_a_short_overlap_degrades_the_cross_fades(restorer, windows):
    """With too short an overlap, the previous test would fail."""
    wav = 0.1 * torch.randn(40 * 16000, generator=torch.manual_seed(0))
    windows(100.0)
    expected = restorer.restore(wav)
    windows(4.0, overlap_seconds=0.02)
    difference = distance(restorer.restore(wav), expected)
    fades = in_cross_fades(restorer.plan, len(wav))
    assert difference[fades].mean() > 1.5 * difference[~fades].mean()


def test_a_file_is_restored_to_its_full_length(restorer, tmp_path):
    stereo = numpy.stack([voice(9.1, 44100), voice(9.1, 44100, 1)], axis=1)
    soundfile.write(tmp_path / "in.flac", stereo[:396901], 44100)
    row = restorer.restore_file(
        tmp_path / "in.flac", tmp_path / "new/out.wav", sample_rate=48000
    )
    written, rate = soundfile.read(tmp_path / "new/out.wav")
    assert rate == 48000
    assert written.shape == (432001, 2)
    assert (row.status, row.channels, row.output_rate) == ("done", 2, 48000)
    assert row.seconds == 9 + 1 / 44100
    assert [p.name for p in (tmp_path / "new").iterdir()] == ["out.wav"]


def test_a_file_and_its_samples_give_the_same_output(restorer, tmp_path):
    """The outputs differ by less than one 16-bit quantisation step."""
    wav = speech(9.3)
    soundfile.write(tmp_path / "in.wav", wav, 16000, subtype="FLOAT")
    restorer.restore_file(tmp_path / "in.wav", tmp_path / "out.wav")
    written, _ = soundfile.read(tmp_path / "out.wav")
    expected = restorer.restore(wav).numpy()
    assert abs(written - expected).max() < 2**-15


def test_errors_name_the_file_and_leave_no_output(restorer, tmp_path):
    (tmp_path / "text.wav").write_text("not audio")
    soundfile.write(tmp_path / "good.wav", voice(0.2), 16000)
    for name in ("text.wav", "missing.wav"):
        with pytest.raises(UserError, match=name):
            restorer.restore_file(tmp_path / name, tmp_path / "out.wav")
    with pytest.raises(UserError, match="out.xyz"):
        restorer.restore_file(tmp_path / "good.wav", tmp_path / "out.xyz")
    with pytest.raises(UserError, match="overwrite"):
        restorer.restore_file(tmp_path / "good.wav", tmp_path / "good.wav")
    assert not list(tmp_path.glob("*out*"))


def test_windows_must_overlap_by_less_than_half(restorer, windows):
    windows(2.0, overlap_seconds=1.0)
    with pytest.raises(UserError, match="overlap_seconds"):
        restorer.restore(speech(1))


def test_a_trained_model_folder_is_self_contained(trained, tmp_path):
    folder = tmp_path / "moved"
    shutil.copytree(trained / "vocoder/model", folder)
    restorer = Restorer.from_hparams(folder, run_opts={"device": "cpu"})
    assert restorer.restore(speech(0.5)).shape == (8000,)
    text = (folder / "hyperparams.yaml").read_text("utf-8")
    assert str(trained.parent) not in text
    with pytest.raises(UserError, match="hyperparams.yaml"):
        Restorer.from_hparams(trained / "pa/model")


def test_a_truncated_weight_file_is_an_error(model, tmp_path):
    broken = tmp_path / "broken"
    shutil.copytree(model, broken)
    weights = broken / "vocoder.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    with pytest.raises(UserError, match="vocoder.safetensors"):
        Restorer.from_hparams(str(broken))


def test_the_identity_depends_only_on_the_files(model, restorer, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(model, copy)
    again = Restorer.from_hparams(copy, run_opts={"device": "cpu"})
    assert again.identity == restorer.identity
    path = copy / "hyperparams.yaml"
    path.write_text(path.read_text("utf-8") + "\n# changed\n")
    again = Restorer.from_hparams(copy, run_opts={"device": "cpu"})
    assert again.identity != restorer.identity
