"""Tests of the output: length, loudness, peaks and atomic writing.

Authors
 * The miipher2 authors 2026
"""

import math
import os
import resource
import shutil
import signal
import subprocess
import types

import numpy
import pyloudnorm
import pytest
import scipy.signal
import soundfile
import torch
from tiny_restorer import voice

from miipher2.dataio.atomic import atomic_write
from miipher2.errors import UserError
from miipher2.inference import writing as module
from miipher2.inference.batching import Engine
from miipher2.inference.job import Settings
from miipher2.inference.recording import Recording
from miipher2.inference.windows import WindowPlan
from miipher2.inference.writing import RestoredRecording


@pytest.fixture
def echo():
    """Return a restorer that amplifies its input by 6 dB."""
    return types.SimpleNamespace(
        plan=WindowPlan(window=200, overlap=50, hop_length=320),
        device="cpu",
        input_rate=16000,
        sample_rate=16000,
        hop_length=320,
        restore_windows=lambda wavs, *_: (2 * wavs, None, {}),
        output_samples=lambda samples: samples,
    )


def restore(echo, source, target, rate=16000, loudness="input", subtype=None):
    recording = Recording(source, 16000)
    recording.measure()
    settings = Settings(rate, loudness=loudness, subtype=subtype)
    restored = RestoredRecording(target, recording, echo, settings)
    windows = recording.windows(echo.plan, owner=None)
    for window, wav in Engine(echo).run(windows):
        if restored.add(window, wav):
            restored.close()
    return restored


def true_peak(wav):
    return abs(scipy.signal.resample_poly(wav, 16, 1, axis=0)).max()


@pytest.mark.parametrize("rate", [8000, 16000, 44100])
@pytest.mark.parametrize("new_rate", [16000, 22050, 48000])
@pytest.mark.parametrize("samples", [1, 1000, 70001, 200003])
def test_length_and_waveform_match_the_input(
    echo, tmp_path, rate, new_rate, samples
):
    wav = voice(samples / rate + 1, rate)[:samples]
    source, target = tmp_path / "a.wav", tmp_path / "out.wav"
    soundfile.write(source, wav, rate, subtype="FLOAT")
    restore(echo, source, target, new_rate)
    written, found_rate = soundfile.read(target)
    assert found_rate == new_rate
    assert len(written) == round(samples * new_rate / rate)
    if rate == new_rate:  # joining does not change the waveform
        numpy.testing.assert_allclose(written, wav, atol=2e-3)


def test_each_channel_keeps_its_loudness(echo, tmp_path):
    stereo = numpy.stack([voice(9), 0.1 * voice(9, seed=1)], axis=1)
    soundfile.write(tmp_path / "a.wav", stereo, 16000)
    restore(echo, tmp_path / "a.wav", tmp_path / "out.wav")
    written, _ = soundfile.read(tmp_path / "out.wav")
    meter = pyloudnorm.Meter(16000)
    for before, after in zip(stereo.T, written.T, strict=True):
        expected = meter.integrated_loudness(before)
        found = meter.integrated_loudness(after)
        assert found == pytest.approx(expected, abs=0.1)


def test_residual_noise_stays_quiet(echo, tmp_path):
    noise = numpy.random.default_rng(0).normal(0, 0.05, 9 * 16000)
    soundfile.write(tmp_path / "a.wav", noise, 16000)
    echo.restore_windows = lambda wavs, *_: (0.001 * wavs, None, {})
    restore(echo, tmp_path / "a.wav", tmp_path / "out.wav")
    written, _ = soundfile.read(tmp_path / "out.wav")
    assert 0 < written.std() < 0.01 * noise.std()


@pytest.mark.parametrize("rate", [16000, 48000])
@pytest.mark.parametrize("channels", [1, 2])
def test_a_requested_loudness_is_reached(echo, tmp_path, rate, channels):
    wavs = [voice(9, seed=seed) / (1 + seed) for seed in range(channels)]
    soundfile.write(tmp_path / "a.wav", numpy.stack(wavs, 1), 16000)
    restore(echo, tmp_path / "a.wav", tmp_path / "out.wav", rate, -30.0)
    written, _ = soundfile.read(tmp_path / "out.wav")
    found = pyloudnorm.Meter(rate).integrated_loudness(written)
    assert found == pytest.approx(-30, abs=0.1)


@pytest.mark.parametrize("channels", [1, 2])
def test_a_limiter_helps_to_reach_the_loudness(echo, tmp_path, channels):
    rng = numpy.random.default_rng(0)
    wavs = [voice(9, seed=seed) for seed in range(channels)]
    for wav in wavs:  # add short peaks, as in speech
        starts = rng.integers(0, len(wav) - 1000, 20)
        for start in starts:
            wav[start : start + 1000] *= 3
    soundfile.write(tmp_path / "a.wav", numpy.stack(wavs, 1), 16000)
    for loudness, note in ((-16.0, ""), (-5.0, "more than 12 dB of limiting")):
        path = tmp_path / "out.wav"
        found_note = restore(
            echo, tmp_path / "a.wav", path, loudness=loudness
        ).note
        written, _ = soundfile.read(path)
        found = pyloudnorm.Meter(16000).integrated_loudness(written)
        assert 20 * math.log10(true_peak(written)) < -1
        assert note in found_note
        if note:
            assert f"{found:.1f} LUFS" in found_note
            assert found < -6
        else:
            assert found_note == ""
            assert found == pytest.approx(loudness, abs=0.5)
            assert abs(written).max() > 0.85  # the limiter was needed


def test_an_unfinished_search_for_the_loudness_is_noted(
    echo, tmp_path, monkeypatch
):
    monkeypatch.setattr(module, "LOUDNESS_PASSES", 1)
    wav = voice(9)
    for start in range(0, len(wav) - 1000, 8000):
        wav[start : start + 1000] *= 3
    soundfile.write(tmp_path / "a.wav", wav, 16000)
    path = tmp_path / "out.wav"
    note = restore(echo, tmp_path / "a.wav", path, loudness=-12.0).note
    written, _ = soundfile.read(path)
    found = pyloudnorm.Meter(16000).integrated_loudness(written)
    assert note == f"{found:.1f} LUFS instead of -12"


def test_loudness_off_keeps_the_balance_of_the_channels(echo, tmp_path):
    stereo = numpy.stack([0.1 * voice(9), voice(9, seed=1)], axis=1)
    hiss = 1e-5 * numpy.random.default_rng(0).standard_normal(len(stereo))
    three = numpy.column_stack([stereo, hiss])
    soundfile.write(tmp_path / "a.wav", three, 16000, subtype="FLOAT")
    restore(echo, tmp_path / "a.wav", tmp_path / "out.wav", loudness="off")
    written, _ = soundfile.read(tmp_path / "out.wav")
    ratios = written.std(axis=0) / three.std(axis=0)
    assert ratios[0] / ratios[1] == pytest.approx(1, abs=0.01)


def noise_of_levels(levels):
    """Return noise with the given level in each second."""
    rng = numpy.random.default_rng(0)
    noise = [level * rng.standard_normal(16000) for level in levels]
    return numpy.concatenate(noise).clip(-1, 1)


@pytest.mark.parametrize("loudness", ["input", -23.0, "off"])
def test_a_recording_without_speech_is_never_amplified(
    echo, tmp_path, loudness
):
    noise = noise_of_levels([0.003] * 9)
    soundfile.write(tmp_path / "a.wav", noise, 16000)
    echo.restore_windows = lambda wavs, *_: (
        0.5 * wavs,
        torch.full((len(wavs), wavs.shape[1] // 320), -5.0),
        {},
    )
    restored = restore(
        echo, tmp_path / "a.wav", tmp_path / "out.wav", loudness=loudness
    )
    assert restored.note == "no speech found"
    written, _ = soundfile.read(tmp_path / "out.wav")
    change_db = 20 * math.log10(written.std() / noise.std())
    assert change_db == pytest.approx(-36, abs=1)


def test_the_gain_follows_the_speech(echo, tmp_path):
    """Loud noise before and after speech does not affect the gain."""
    wav = noise_of_levels([0.2] * 8 + [0.1] * 16 + [0.2] * 8)
    soundfile.write(tmp_path / "a.wav", wav, 16000, subtype="FLOAT")

    def with_presence(wavs, lengths, windows, states):
        (window,) = windows
        frames = window.start + torch.arange(wavs.shape[1] // 320)
        speech = (frames >= 8 * 50) & (frames < 24 * 50)
        restored = torch.where(
            speech.repeat_interleave(320), 2 * wavs, 0.1 * wavs
        )
        return restored, (20.0 * speech - 10.0)[None], {}

    echo.restore_windows = with_presence
    restored = restore(echo, tmp_path / "a.wav", tmp_path / "out.wav")
    assert restored.note == ""
    written, _ = soundfile.read(tmp_path / "out.wav")
    speech = slice(8 * 16000, 24 * 16000)
    change_db = 20 * math.log10(written[speech].std() / wav[speech].std())
    assert change_db == pytest.approx(0, abs=1)  # 4 dB if noise counted
    for pause in (slice(0, 7 * 16000), slice(25 * 16000, None)):
        assert written[pause].std() < 0.01 * wav[pause].std()


@pytest.mark.parametrize("loudness", ["input", -5.0, "off"])
@pytest.mark.parametrize("rate", [16000, 44100])
def test_the_true_peak_stays_below_minus_1_db(echo, tmp_path, loudness, rate):
    loud = 12 * voice(6).astype("float64")  # far beyond full scale
    soundfile.write(tmp_path / "a.wav", loud, 16000, subtype="FLOAT")
    restore(echo, tmp_path / "a.wav", tmp_path / "out.wav", rate, loudness)
    written, _ = soundfile.read(tmp_path / "out.wav")
    peak = 20 * math.log10(true_peak(written))
    assert peak < -1
    if loudness != "off":
        assert peak > -1.4  # not lower than necessary


def test_silent_recordings_are_not_changed(echo, tmp_path):
    rng = numpy.random.default_rng(0)
    hiss = numpy.round(32768 * 4e-5 * rng.standard_normal(160000)) / 32768
    for name, wav in (("zero", 0 * hiss), ("hiss", hiss)):
        soundfile.write(tmp_path / f"{name}.wav", wav, 16000)
        for loudness in ("input", -23.0, "off"):
            target = tmp_path / "out.wav"
            restore(echo, tmp_path / f"{name}.wav", target, 16000, loudness)
            written, _ = soundfile.read(target)
            assert abs(written - wav).max() <= 1 / 32768
    both = numpy.stack([voice(10), hiss], axis=1)
    soundfile.write(tmp_path / "both.wav", both, 16000)
    restore(echo, tmp_path / "both.wav", tmp_path / "out.wav")
    written, _ = soundfile.read(tmp_path / "out.wav")
    assert abs(written[:, 1] - hiss).max() <= 1 / 32768
    assert abs(written[:, 0] - both[:, 0]).max() < 2e-3


def test_pauses_stay_silent(echo, tmp_path):
    """Pauses are muted across windows, even if the model adds an offset."""
    echo.restore_windows = lambda wavs, *_: (2 * wavs + 0.01, None, {})
    wav = voice(20)
    pauses = [slice(20000, 28000), slice(60000, 200000), slice(310000, 320000)]
    for pause in pauses:
        wav[pause] = 0.0
    wav[40000:44000] = 0.0  # too short for a pause
    soundfile.write(tmp_path / "a.wav", wav, 16000)
    restore(echo, tmp_path / "a.wav", tmp_path / "out.wav")
    written, _ = soundfile.read(tmp_path / "out.wav")
    for pause in pauses:
        assert (written[pause.start + 1200 : pause.stop - 1200] == 0).all()
    speech = numpy.ones(len(wav), dtype=bool)
    for pause in pauses:
        speech[pause] = False
    assert (abs(written[speech] - wav[speech]) > 0.002).mean() > 0.99
    assert abs(numpy.diff(written)[60500:199000]).max() < 0.001  # no click


@pytest.mark.parametrize("suffix", ["wav", "flac", "ogg"])
def test_all_output_formats_are_written(echo, tmp_path, suffix):
    soundfile.write(tmp_path / "a.wav", voice(2), 16000)
    target = tmp_path / "new" / "folder" / f"b.{suffix}"
    restore(echo, tmp_path / "a.wav", target)
    info = soundfile.info(target)
    assert info.format == suffix.upper() and info.frames == 32000
    assert [path.name for path in target.parent.iterdir()] == [target.name]


@pytest.mark.parametrize(
    ("limit", "subtype", "expected"),
    [
        (60000, "PCM_16", "RF64"),
        (100000, "PCM_16", "WAV"),
        (100000, "PCM_24", "WAV"),
        (100000, "FLOAT", "RF64"),
    ],
)
def test_a_wav_of_more_than_4_gib_is_written_as_rf64(
    echo, tmp_path, monkeypatch, limit, subtype, expected
):
    monkeypatch.setattr(module, "WAV_LIMIT", limit)
    soundfile.write(tmp_path / "a.wav", voice(2), 16000)
    restore(echo, tmp_path / "a.wav", tmp_path / "out.wav", subtype=subtype)
    info = soundfile.info(tmp_path / "out.wav")
    assert (info.format, info.subtype) == (expected, subtype)


@pytest.mark.parametrize(
    ("source", "subtype", "target", "expected"),
    [
        ("a.wav PCM_16", None, "wav", "PCM_16"),
        ("a.wav PCM_24", None, "wav", "PCM_24"),
        ("a.flac PCM_24", None, "wav", "PCM_24"),
        ("a.aiff PCM_24", None, "flac", "PCM_24"),
        ("a.wav PCM_32", None, "wav", "PCM_24"),
        ("a.wav FLOAT", None, "wav", "FLOAT"),
        ("a.wav DOUBLE", None, "wav", "FLOAT"),
        ("a.wav FLOAT", None, "flac", "PCM_24"),
        ("a.wav PCM_U8", None, "wav", "PCM_16"),
        ("a.wav ULAW", None, "flac", "PCM_16"),
        ("a.ogg VORBIS", None, "wav", "PCM_16"),
        ("a.mp3 MPEG_LAYER_III", None, "flac", "PCM_16"),
        ("a.wav PCM_24", None, "ogg", "VORBIS"),
        ("a.wav PCM_24", "PCM_16", "wav", "PCM_16"),
        ("a.wav PCM_16", "FLOAT", "wav", "FLOAT"),
        ("a.wav PCM_16", "PCM_24", "flac", "PCM_24"),
    ],
)
def test_the_sample_format_follows_the_input_or_the_setting(
    echo, tmp_path, source, subtype, target, expected
):
    name, found = source.split()
    wav = 1e-3 * voice(1)
    soundfile.write(tmp_path / name, wav, 16000, subtype=found)
    output = tmp_path / f"out.{target}"
    restore(echo, tmp_path / name, output, subtype=subtype)
    assert soundfile.info(output).subtype == expected
    if expected == "FLOAT":  # the PEAK chunk has no timestamp
        content = output.read_bytes()
        time = content.index(b"PEAK") + 12
        assert content[time : time + 4] == bytes(4)
    if found == "FLOAT" and expected != "PCM_16":  # not rounded to 16 bits
        written, _ = soundfile.read(output)
        assert abs(written * 2**15 - numpy.round(written * 2**15)).max() > 0.1


@pytest.mark.parametrize(
    ("target", "subtype", "expected"),
    [
        ("out.flac", "FLOAT", "use PCM_16 or PCM_24, or write wav"),
        ("out.ogg", "PCM_24", "omit the subtype, or write wav or flac"),
        (
            "out.mp3",
            "PCM_16",
            r"unsupported output format: .mp3; use .wav, .flac",
        ),
    ],
)
def test_unsupported_formats_are_rejected(
    echo, tmp_path, target, subtype, expected
):
    soundfile.write(tmp_path / "a.wav", voice(1), 16000)
    with pytest.raises(UserError, match=expected):
        restore(echo, tmp_path / "a.wav", tmp_path / target, subtype=subtype)
    assert [path.name for path in tmp_path.iterdir()] == ["a.wav"]


@pytest.fixture(params=["too large", "disk"])
def small_disk(request, tmp_path):
    """Yield a folder that cannot hold a large file, and the error."""
    if request.param == "too large":
        limits = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, limits[1]))
        yield tmp_path / "small", "File too large"
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        return
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=100k", "tmpfs", str(disk)]
    if shutil.which("mount") is None or subprocess.call(mount):
        pytest.skip("mounting a small disk is not permitted here")
    yield disk, "No space left on device"
    subprocess.check_call(["umount", str(disk)])


@pytest.mark.parametrize("suffix", ["wav", "flac", "ogg"])
@pytest.mark.parametrize("in_memory", [0, 2**22])
def test_a_full_disk_leaves_no_file(
    echo, tmp_path, small_disk, suffix, in_memory, monkeypatch
):
    monkeypatch.setattr(module, "IN_MEMORY", in_memory)
    folder, reason = small_disk
    rng = numpy.random.default_rng(0)
    noise = 0.1 * rng.standard_normal(30 * 16000)
    source = tmp_path / "a.flac"
    size = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size[1], size[1]))
    soundfile.write(source, noise, 16000)
    resource.setrlimit(resource.RLIMIT_FSIZE, size)
    target = folder / f"out.{suffix}"
    with pytest.raises(UserError, match=f"out.{suffix}: cannot be .*{reason}"):
        restore(echo, source, target)
    assert list(folder.iterdir()) == []
    soundfile.write(tmp_path / "short.wav", noise[:1600], 16000)
    restore(echo, tmp_path / "short.wav", target)  # the space was freed
    assert soundfile.info(target).frames == 1600


def test_the_partial_file_of_a_killed_process_is_replaced(echo, tmp_path):
    soundfile.write(tmp_path / "a.wav", voice(2), 16000)
    target = tmp_path / "out" / "b.wav"
    target.parent.mkdir()
    process = os.fork()
    if not process:
        with atomic_write(target) as file:
            file.write(b"half")
            os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(process, 0)
    assert [path.suffix for path in target.parent.iterdir()] == [".partial"]
    restore(echo, tmp_path / "a.wav", target)
    assert [path.name for path in target.parent.iterdir()] == ["b.wav"]
