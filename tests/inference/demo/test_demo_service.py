"""Tests of the demo without its page: limits, models and messages.

Authors
 * The miipher2 authors 2026
"""

import socket
import sys
import threading

import numpy
import pytest
import soundfile
from tiny_restorer import voice

from miipher2.cli import main
from miipher2.errors import UserError
from miipher2.inference.demo.server import check_address
from miipher2.inference.demo.service import Models, Stopped, read_mono


@pytest.fixture(scope="session")
def models(tiny_model):
    """Return the models of a demo that is started with the tiny model."""
    return Models(str(tiny_model))


@pytest.fixture
def restore(models, tmp_path):
    """Return a function that restores a file with the tiny model."""

    def run(path, max_seconds=20.0, progress=lambda fraction: None):
        name = models.selected
        return models.restore(name, path, tmp_path, max_seconds, progress)

    return run


def save_voice(path, seconds, rate=16000):
    soundfile.write(path, voice(seconds, rate), rate)
    return path


def test_the_selected_model_comes_first_and_is_loaded_once(models, tiny_model):
    assert models.names == [str(tiny_model), "whisper24", "compact"]
    assert list(models._loaded) == [str(tiny_model)]
    assert models._load(str(tiny_model)) is models._load(str(tiny_model))
    with pytest.raises(UserError, match="expected one of"):
        models._load("/etc")


@pytest.mark.parametrize("rate, max_hz", [(16000, 12000), (48000, 24000)])
def test_restoration_draws_spectrograms_and_reports_progress(
    restore, tmp_path, rate, max_hz
):
    path = save_voice(tmp_path / "a.wav", 6.0, rate)
    fractions = []
    result = restore(path, progress=fractions.append)
    assert result.path.name == "a_restored.wav"
    info = soundfile.info(result.path)
    assert info.frames == 6 * 24000 and info.samplerate == 24000
    assert result.max_hz == max_hz
    assert result.before != result.after
    assert result.before[:24] == result.after[:24]  # signature and size
    assert fractions == sorted(fractions)
    assert fractions[-1] == pytest.approx(1)
    assert len(fractions) > 2


def test_a_recording_longer_than_the_limit_is_rejected(restore, tmp_path):
    path = save_voice(tmp_path / "a.wav", 2.0)
    assert len(read_mono(path, 2.0)[0]) == 32000
    with pytest.raises(UserError, match="a.wav: longer than 1.9 s"):
        restore(path, max_seconds=1.9)
    assert list(tmp_path.iterdir()) == [path]


def test_stereo_is_restored_in_stereo_and_drawn_in_mono(restore, tmp_path):
    path = tmp_path / "a.flac"
    soundfile.write(
        path, numpy.stack([voice(1.0), voice(1.0, seed=1)], 1), 16000
    )
    assert read_mono(path)[0].shape == (16000,)
    assert soundfile.info(restore(path).path).channels == 2


def test_stop_ends_the_running_restoration(tiny_model, tmp_path):
    models = Models(str(tiny_model))
    path = save_voice(tmp_path / "a.wav", 12.0)
    stopping = threading.Thread(target=models.stop)

    def stop(fraction):
        if fraction > 0 and not stopping.ident:
            stopping.start()
            models._stop.wait()

    with pytest.raises(Stopped):
        models.restore(models.selected, path, tmp_path, 20.0, stop)
    stopping.join(timeout=10)
    assert not stopping.is_alive()
    assert list(tmp_path.iterdir()) == [path]
    with pytest.raises(Stopped):
        models.restore(models.selected, path, tmp_path, 20.0, stop)


def test_a_port_in_use_is_an_error():
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with pytest.raises(UserError, match=f"--port {port}: in use"):
            check_address("127.0.0.1", port)
    check_address("127.0.0.1", port)


@pytest.mark.parametrize(
    "options, message",
    [
        (["--port", "0"], "--port 0: expected 1 to 65535"),
        (["--max-seconds", "nan"], "--max-seconds nan: expected"),
        (["--host", "192.0.2.1"], "--host 192.0.2.1: cannot listen on port"),
        (["--host", "127..0.1"], "--host 127..0.1: not a valid host name"),
    ],
)
def test_invalid_options_give_a_one_line_error(options, message, capsys):
    with pytest.raises(SystemExit) as exit_:
        main(["demo", *options])
    assert exit_.value.code == 2
    error = capsys.readouterr().err.strip()
    assert error.startswith(f"error: {message}") and "\n" not in error


def test_missing_gradio_is_reported_with_an_install_command(
    monkeypatch, capsys
):
    monkeypatch.setitem(sys.modules, "gradio", None)
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    with pytest.raises(SystemExit) as exit_:
        main(["demo", "--port", str(port)])
    assert exit_.value.code == 2
    assert capsys.readouterr().err == (
        "error: miipher2 demo needs Gradio: pip install 'gradio<7'\n"
    )
