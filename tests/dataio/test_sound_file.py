"""Tests of unfinished files and of files that are not regular files.

Authors
 * The miipher2 authors 2026
"""

import logging
import os
import struct

import numpy
import pytest
import soundfile

from miipher2.dataio.audio import read_audio
from miipher2.dataio.audio_files import list_audio
from miipher2.dataio.decoding import open_audio
from miipher2.dataio.headers import read_headers
from miipher2.dataio.sound_file import SoundFile
from miipher2.errors import UserError

SAMPLES = (numpy.arange(2000) % 100 / 200).astype("float32")


def unfinished(path, subtype="PCM_16", format="WAV", riff=0):
    """Write a file whose header gives a length of 0, as after a crash."""
    soundfile.write(path, SAMPLES, 8000, format=format, subtype=subtype)
    content = bytearray(path.read_bytes())
    if format == "AU":
        content[8:12] = bytes(4)
    elif format == "RF64":
        ds64 = content.index(b"ds64") + 8
        content[ds64 : ds64 + 24] = bytes(24)
    else:
        data = content.index(b"data") + 4
        content[4:8] = struct.pack("<I", riff)
        content[data : data + 4] = bytes(4)
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("riff", [0, 36, 2**32 - 1])
@pytest.mark.parametrize(
    ("format", "subtype"),
    [
        *(("WAV", name) for name in ("PCM_16", "PCM_24", "FLOAT", "ULAW")),
        ("WAVEX", "PCM_16"),
        ("RF64", "PCM_16"),
        ("AU", "PCM_16"),
    ],
)
def test_unfinished_files_are_read_to_the_end(tmp_path, format, subtype, riff):
    path = unfinished(tmp_path / "a.wav", subtype, format, riff)
    with SoundFile(path) as file:
        assert file.unfinished and file.frames == 2000
        numpy.testing.assert_allclose(file.read(), SAMPLES, atol=0.02)
        file.seek(500)
        numpy.testing.assert_allclose(file.read(9), SAMPLES[:9], atol=0.02)


def test_every_reader_reads_unfinished_files(tmp_path, caplog):
    path = unfinished(tmp_path / "a.wav")
    assert len(read_audio(path, 8000, start=0.1, seconds=0.1)) == 800
    assert len(read_audio(path, 16000)) == 4000
    assert caplog.text.count("its header gives no length") == 1
    caplog.clear()
    headers, _ = read_headers(tmp_path, list_audio(tmp_path))
    assert headers["a.wav"].seconds == 0.25
    assert "a.wav: its header gives no length; read to the" in caplog.text
    with open_audio(path) as audio:
        assert audio.unfinished and audio.header_length == 2000
        assert sum(len(block) for block in audio.blocks) == 2000


def test_an_empty_recording_with_other_chunks_is_not_unfinished(tmp_path):
    path = tmp_path / "a.wav"
    with soundfile.SoundFile(path, "w", 8000, 1) as file:
        file.title = "a title after no samples"
    with SoundFile(path) as file:
        assert not file.unfinished and file.frames == 0


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no FIFOs")
@pytest.mark.parametrize("suffix", [".wav", ".m4a"])
def test_fifos_are_skipped_in_listings_and_raise_when_read(
    tmp_path, suffix, caplog
):
    path = tmp_path / f"a{suffix}"
    os.mkfifo(path)
    assert list_audio(tmp_path, suffixes=(suffix,)) == []
    assert f"a{suffix}: skipped: expected a regular file, found a FIFO" in (
        caplog.text
    )
    message = "a[.]...: expected a regular file, found a FIFO"
    with pytest.raises(UserError, match=message):
        read_audio(path, 8000)
    with pytest.raises(UserError, match=message), open_audio(path):
        pass


def test_devices_are_not_listed(tmp_path, caplog):
    os.symlink(os.devnull, tmp_path / "a.wav")
    with caplog.at_level(logging.WARNING):
        assert list_audio(tmp_path) == []
    assert "found a device" in caplog.text


@pytest.mark.parametrize(
    ("name", "message"),
    [("absent.wav", "no such file"), ("empty.wav", "an empty file")],
)
def test_errors_name_missing_and_empty_files(tmp_path, name, message):
    (tmp_path / "empty.wav").touch()
    with pytest.raises(UserError, match=f"{name}: .*{message}"):
        read_audio(tmp_path / name, 8000)
