"""Tests of the command line.

Authors
 * The miipher2 authors 2026
"""

import pytest

from miipher2.cli import main


@pytest.mark.parametrize("command", ["restore", "degrade", "rooms", "evaluate"])
def test_every_command_has_help(command, capsys):
    with pytest.raises(SystemExit) as exit_:
        main([command, "--help"])
    assert exit_.value.code == 0
    assert f"miipher2 {command}" in capsys.readouterr().out


@pytest.mark.parametrize("arguments", [[], ["unknown"], ["restore", "only"]])
def test_wrong_usage_exits_with_2(arguments, capsys):
    with pytest.raises(SystemExit) as exit_:
        main(arguments)
    assert exit_.value.code == 2
    assert "error: " in capsys.readouterr().err


@pytest.mark.parametrize("missing", ["input", "model"])
def test_wrong_paths_give_a_one_line_error(tmp_path, missing, capsys):
    source = tmp_path / "in.wav"
    if missing == "model":
        source.write_bytes(b"audio")
    arguments = [
        "restore",
        source,
        tmp_path / "out.wav",
        "--model",
        tmp_path / "no",
    ]
    with pytest.raises(SystemExit) as exit_:
        main(list(map(str, arguments)))
    assert exit_.value.code == 2
    error = capsys.readouterr().err.strip()
    assert error.startswith("error: ") and "\n" not in error
