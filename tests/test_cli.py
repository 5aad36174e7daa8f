"""The command line.

Authors
 * The miipher2 authors 2026
"""

import numpy
import pytest
import soundfile

from miipher2.cli import main, pairs
from miipher2.errors import UserError


@pytest.fixture
def recordings(tmp_path):
    folder = tmp_path / "in"
    for name in ("a.wav", "sub/a.wav", "sub/a.flac", "sub/b ü.ogg"):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        rng = numpy.random.default_rng(0)
        wav = 0.1 * rng.standard_normal(8000)
        soundfile.write(path, wav, 16000)
    return folder


def restore(*arguments, model):
    given = [str(a) for a in arguments]
    return main(["restore", *given, "--model", str(model), "--device", "cpu"])


def test_a_folder_keeps_its_tree(recordings, trained, tmp_path, capsys):
    model = trained / "vocoder/model"
    assert restore(recordings, tmp_path / "out", model=model) == 0
    found = {
        p.relative_to(tmp_path / "out").as_posix()
        for p in (tmp_path / "out").rglob("*.wav")
    }
    assert found == {"a.wav", "sub/a.wav.wav", "sub/a.flac.wav", "sub/b ü.wav"}
    assert all(
        soundfile.info(tmp_path / "out" / name).frames == 8000 for name in found
    )
    assert "4 restored, 0 failed" in capsys.readouterr().out


def test_one_bad_recording_does_not_stop_the_others(
    recordings, trained, tmp_path, capsys
):
    (recordings / "bad.wav").write_text("not sound")
    model = trained / "vocoder/model"
    assert restore(recordings, tmp_path / "out", model=model) == 1
    said = capsys.readouterr()
    assert "4 restored, 1 failed" in said.out and "bad.wav" in said.err


def test_a_file_gives_a_file(recordings, trained, tmp_path):
    model = trained / "vocoder/model"
    assert restore(recordings / "a.wav", tmp_path / "b.flac", model=model) == 0
    assert soundfile.info(tmp_path / "b.flac").frames == 8000
    (tmp_path / "folder").mkdir()
    restore(recordings / "a.wav", tmp_path / "folder", model=model)
    assert (tmp_path / "folder/a.wav").exists()


def test_an_output_is_never_an_input(recordings):
    with pytest.raises(UserError, match="overwrite"):
        pairs(recordings, recordings)
    with pytest.raises(UserError, match="overwrite"):
        pairs(recordings / "a.wav", recordings / "a.wav")


@pytest.mark.parametrize("missing", ["input", "model"])
def test_wrong_paths_are_one_line(
    recordings, trained, tmp_path, missing, capsys
):
    source = tmp_path / "nothing" if missing == "input" else recordings
    model = trained / "vocoder/model" if missing == "input" else tmp_path / "no"
    with pytest.raises(SystemExit) as exit_:
        restore(source, tmp_path / "out", model=model)
    assert exit_.value.code == 2
    error = capsys.readouterr().err.strip()
    assert error.startswith("error: ") and "\n" not in error
