"""Tests of reading recordings: formats, resampling and faulty files.

Authors
 * The miipher2 authors 2026
"""

import math
import os
import sys

import numpy
import pytest
import soundfile
import soxr
from tiny_restorer import voice

from miipher2.dataio.decoding import NoAudioStream, open_audio
from miipher2.errors import UserError
from miipher2.inference import recording as module
from miipher2.inference.recording import Recording
from miipher2.inference.windows import WindowPlan

PLAN = WindowPlan(window=200, overlap=50, hop_length=320)


def measured(path, **options):
    recording = Recording(path, 16000, **options)
    recording.measure()
    return recording


def joined(recording, channel=0):
    """Return the samples of a channel, assembled from its windows."""
    wav = numpy.full(recording.samples, numpy.nan, dtype="float32")
    for window in recording.windows(PLAN, owner=None):
        if window.channel is recording.channels[channel]:
            start = window.start * PLAN.hop_length
            wav[start : start + len(window.samples)] = window.samples
    return wav


@pytest.mark.parametrize("cached", [0.0, 60.0], ids=["read twice", "cached"])
@pytest.mark.parametrize("rate", [8000, 16000, 44100])
def test_windows_contain_the_resampled_recording(
    tmp_path, monkeypatch, rate, cached
):
    monkeypatch.setattr(module, "CACHE_SECONDS", cached)
    stereo = numpy.stack([voice(11.3, rate), voice(11.3, rate, 1)], axis=1)
    soundfile.write(tmp_path / "a.wav", stereo, rate, subtype="FLOAT")
    recording = measured(tmp_path / "a.wav")
    assert bool(recording.cache) == bool(cached)
    assert recording.frames == len(stereo) and recording.seconds == 11.3
    for channel in (0, 1):
        expected = soxr.resample(stereo[:, channel], rate, 16000)
        found = joined(recording, channel)
        assert abs(len(found) - 11.3 * 16000) <= 1
        numpy.testing.assert_allclose(found, expected, atol=1e-5)
    mono = measured(tmp_path / "a.wav", channels="mono")
    assert len(mono.channels) == 1
    expected = soxr.resample(stereo.mean(axis=1), rate, 16000)
    numpy.testing.assert_allclose(joined(mono), expected, atol=1e-5)


@pytest.mark.parametrize(
    ("suffix", "subtype"),
    [
        ("wav", "PCM_U8"),
        ("wav", "PCM_24"),
        ("wav", "DOUBLE"),
        ("wav", "ULAW"),
        ("flac", "PCM_16"),
        ("ogg", "VORBIS"),
        ("ogg", "OPUS"),
        ("mp3", "MPEG_LAYER_III"),
        ("aiff", "PCM_16"),
        ("au", "PCM_16"),
        ("caf", "PCM_16"),
        ("w64", "PCM_16"),
    ],
)
def test_soundfile_formats_are_read(tmp_path, suffix, subtype):
    path = tmp_path / f"a.{suffix}"
    soundfile.write(path, voice(3, 48000), 48000, subtype=subtype)
    recording = measured(path)
    assert recording.seconds == pytest.approx(3, abs=0.06)
    assert recording.note == ""
    expected = clip_level_db(voice(3, 48000))
    assert level_db(recording) == pytest.approx(expected, abs=0.6)


def level_db(recording, channel=0):
    """Return a speech level in dB relative to the model's input level."""
    return -20 * math.log10(recording.channels[channel].gain)


def clip_level_db(wav):
    """Return the ``level_db`` of a clip at 48 kHz."""
    wav = soxr.resample(wav, 48000, 16000)
    return level_db(Recording.from_samples(wav, 16000))


def encode(path, codec, wav, rate=48000, pictures=False):
    """Write stereo audio, or a video with or without audio, with PyAV."""
    av = pytest.importorskip("av")
    with av.open(str(path), "w") as container:
        if pictures:
            video = container.add_stream("mpeg4", rate=10)
            video.width = video.height = 64
            video.pix_fmt = "yuv420p"
        audio = (
            container.add_stream(codec, rate=rate, layout="stereo")
            if codec
            else None
        )
        for index in range(10 * pictures):
            black = numpy.zeros((64, 64, 3), dtype="uint8")
            picture = av.VideoFrame.from_ndarray(black, format="rgb24")
            picture.pts = index
            container.mux(video.encode(picture))
        if pictures:
            container.mux(video.encode(None))
        for start in range(0, len(wav) if codec else 0, 1024):
            block = numpy.stack([wav[start : start + 1024]] * 2)
            frame = av.AudioFrame.from_ndarray(block, "fltp", "stereo")
            frame.rate, frame.pts = rate, start
            container.mux(audio.encode(frame))
        if codec:
            container.mux(audio.encode(None))


@pytest.mark.parametrize(
    ("name", "codec", "pictures"),
    [
        ("a.m4a", "aac", False),
        ("a.aac", "aac", False),
        ("a.webm", "libopus", False),
        ("a.mp4", "aac", True),
        ("A.MKV", "aac", True),
        ("a.m2ts", "aac", True),
        ("a.flv", "aac", False),
        ("a.3g2", "aac", False),
        ("a.wv", "wavpack", False),
    ],
)
def test_pyav_formats_are_read(tmp_path, name, codec, pictures):
    encode(tmp_path / name, codec, voice(3, 48000), pictures=pictures)
    recording = measured(tmp_path / name)
    assert (recording.rate, len(recording.channels)) == (48000, 2)
    assert recording.seconds == pytest.approx(3, abs=0.05)
    expected = clip_level_db(voice(3, 48000))
    assert level_db(recording, 1) == pytest.approx(expected, abs=0.6)


def test_spaces_and_dots_after_the_suffix_are_ignored(tmp_path):
    encode(tmp_path / "a.m4a", "aac", voice(1, 48000))
    path = (tmp_path / "a.m4a").rename(tmp_path / "a.m4a. ")
    assert measured(path).seconds == pytest.approx(1, abs=0.05)


def test_a_header_without_a_length_is_noted(tmp_path):
    path = tmp_path / "a.wav"
    soundfile.write(path, voice(1, 16000), 16000)
    content = bytearray(path.read_bytes())
    content[4:8] = content[40:44] = bytes(4)
    path.write_bytes(content)
    recording = measured(path)
    assert recording.seconds == 1.0 and len(joined(recording)) == 16000
    assert recording.note.startswith("its header gives no length; read to")


def test_a_video_without_audio_is_an_error(tmp_path):
    encode(tmp_path / "a.mp4", None, [], pictures=True)
    with pytest.raises(NoAudioStream, match="a video without an audio track"):
        measured(tmp_path / "a.mp4")


def test_a_change_in_the_number_of_channels_is_an_error(tmp_path):
    av = pytest.importorskip("av")
    parts = []
    for channels in (1, 2):
        path = tmp_path / f"{channels}.aac"
        wav = numpy.stack([voice(1, 48000)] * channels)
        with av.open(str(path), "w") as container:
            layout = "mono" if channels == 1 else "stereo"
            audio = container.add_stream("aac", rate=48000, layout=layout)
            for start in range(0, wav.shape[1] - 1023, 1024):
                block = numpy.ascontiguousarray(wav[:, start : start + 1024])
                frame = av.AudioFrame.from_ndarray(block, "fltp", layout)
                frame.rate, frame.pts = 48000, start
                container.mux(audio.encode(frame))
            container.mux(audio.encode(None))
        parts.append(path.read_bytes())
    path = tmp_path / "both.aac"
    path.write_bytes(b"".join(parts))
    with pytest.raises(UserError, match="both.aac: .* channels change"):
        measured(path)


def test_an_io_error_is_reported(tmp_path, monkeypatch):
    path = tmp_path / "a.ogg"
    soundfile.write(path, voice(0.5), 16000)

    def broken(path):
        raise OSError(5, "Input/output error")

    monkeypatch.setattr("miipher2.dataio.decoding._has_last_ogg_page", broken)
    with pytest.raises(UserError, match="a.ogg: Input/output error"):
        measured(path)


def test_an_unknown_codec_is_reported(tmp_path):
    path = tmp_path / "a.webm"
    encode(path, "libopus", voice(1, 48000))
    path.write_bytes(path.read_bytes().replace(b"A_OPUS", b"A_XPUS"))
    with pytest.raises(UserError, match="unknown codec"):
        measured(path)


def test_pyav_formats_are_an_error_without_pyav(tmp_path, monkeypatch):
    (tmp_path / "a.m4a").write_bytes(b"1234")
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(UserError, match="pip install 'av<19'"):
        measured(tmp_path / "a.m4a")


def set_header_rate(path, rate):
    """Change the sample rate in the header of a wav file."""
    content = bytearray(path.read_bytes())
    content[24:28] = rate.to_bytes(4, "little")
    path.write_bytes(content)


def write_faulty(folder, fault):
    """Write a file with the given fault."""
    path = folder / "a.wav"
    wav = voice(1.0)
    if fault == "nan":
        wav[777] = numpy.nan
    if fault == "infinite":
        wav = wav.astype("float64")
        wav[777] = 1e300  # too large for float32
    subtype = "DOUBLE" if fault in ("nan", "infinite") else "PCM_16"
    channels = 64 if fault == "64 channels" else 1
    soundfile.write(path, numpy.stack([wav] * channels, 1), 16000, subtype)
    if fault == "1 Hz":
        set_header_rate(path, 1)
    if fault == "768 kHz":
        set_header_rate(path, 768000)
    if fault == "text":
        path.write_text("not audio, but long enough to be a header")
    if fault == "empty":
        path.write_bytes(b"")
    if fault == "no samples":
        soundfile.write(path, wav[:0], 16000)
    if fault == "vanished":
        path.unlink()
    if fault == "loop":
        path.unlink()
        path.symlink_to(path)
    if fault == "folder":
        path.unlink()
        path.mkdir()
    if fault == "other format":
        path.unlink()
        path = folder / "a.m4a"
        soundfile.write(path, wav, 16000, format="FLAC")
        path.write_bytes(path.read_bytes()[:100])
    return path


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        ("nan", "NaN or infinite"),
        ("infinite", "NaN or infinite"),
        ("64 channels", "64 channels; expected at most 8"),
        ("1 Hz", "a sample rate of 1 Hz"),
        ("768 kHz", "a sample rate of 768000 Hz"),
        ("text", "cannot be read as audio"),
        ("empty", "an empty file"),
        ("no samples", "contains no samples"),
        ("vanished", "No such file"),
        ("loop", "symbolic links"),
        ("folder", "found a folder"),
        ("other format", "cannot be read as audio|contains no samples"),
    ],
)
def test_faulty_files_are_reported(tmp_path, fault, reason):
    path = write_faulty(tmp_path, fault)
    with pytest.raises(UserError, match=reason) as error:
        measured(path)
    assert str(error.value).startswith(f"{path}: ")


def test_the_mean_of_64_channels_is_measured(tmp_path):
    path = write_faulty(tmp_path, "64 channels")
    mono = measured(path, channels="mono")
    expected = level_db(Recording.from_samples(voice(1.0), 16000))
    assert level_db(mono) == pytest.approx(expected, abs=0.1)


@pytest.mark.parametrize("suffix", ["wav", "aiff", "au", "mp3"])
def test_a_truncated_file_is_read_up_to_its_end(tmp_path, suffix):
    path = tmp_path / f"a.{suffix}"
    soundfile.write(path, voice(4.0), 16000)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    recording = measured(path)
    assert 1.0 < recording.seconds < 3.0
    assert recording.note.startswith(f"ends after {recording.seconds:.3f} s")
    assert recording.note.endswith("4.000 s")
    assert not numpy.isnan(joined(recording)).any()


def test_an_ogg_file_without_its_last_page_is_noted(tmp_path):
    path = tmp_path / "a.ogg"
    soundfile.write(path, voice(4.0), 16000)
    assert measured(path).note == ""
    content = path.read_bytes()
    path.write_bytes(content[: content.rfind(b"OggS")])
    recording = measured(path)
    assert 1.0 < recording.seconds < 4.0
    assert recording.note.endswith("the file is truncated")


def test_a_wav_written_to_a_pipe_is_complete(tmp_path):
    path = tmp_path / "a.wav"
    soundfile.write(path, voice(4.0), 16000)
    content = bytearray(path.read_bytes())
    content[4:8] = content[40:44] = b"\xff" * 4
    path.write_bytes(content)
    assert measured(path).note == "" and measured(path).seconds == 4.0


def test_a_truncated_flac_is_an_error(tmp_path):
    path = tmp_path / "a.flac"
    soundfile.write(path, voice(4.0), 16000)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(UserError, match="lost sync"):
        measured(path)


def test_a_file_that_changes_while_it_is_read_is_an_error(
    tmp_path, monkeypatch
):
    monkeypatch.setattr(module, "CACHE_SECONDS", 0)
    path = tmp_path / "a.wav"
    soundfile.write(path, voice(20), 16000)
    recording = measured(path)
    soundfile.write(path, voice(9), 16000)
    with pytest.raises(UserError, match="changed while it was read"):
        joined(recording)
    path.unlink()
    with pytest.raises(UserError, match="No such file"):
        joined(recording)


def test_input_level_sets_the_gain():
    """By default, speech is scaled to -26 dB with a gain of up to 40 dB."""
    wav = voice(3.0)

    def gain(**input_level):
        recording = Recording.from_samples(wav, 16000, input_level)
        return recording.channels[0].gain

    assert gain() == gain(level_db=-26.0, max_gain_db=40.0)
    assert gain(level_db=-32.0) == pytest.approx(gain() * 10 ** (-6 / 20))
    assert gain(level_db=-40.0, max_gain_db=-30.0) < gain(level_db=-40.0)


def test_silent_channels_are_marked(tmp_path):
    half = numpy.stack([voice(2), numpy.zeros(32000)], axis=1)
    soundfile.write(tmp_path / "a.wav", half, 16000)
    channels = measured(tmp_path / "a.wav").channels
    assert [channel.silent for channel in channels] == [False, True]


def test_file_names_need_not_be_valid_utf8(tmp_path):
    name = os.fsdecode("früh\n 早い \xff.wav".encode("latin-1", "ignore"))
    path = tmp_path / name
    with open(path, "wb") as file:
        soundfile.write(file, voice(1), 16000, format="WAV")
    with open_audio(path) as audio:
        assert sum(map(len, audio.blocks)) == 16000
