"""Tests of the command line.

Authors
 * The miipher2 authors 2026
"""

import argparse
import importlib
import subprocess
import sys

import pytest

import miipher2
from miipher2.cli import COMMANDS, main


@pytest.mark.parametrize(
    "command",
    [
        "restore",
        "demo",
        "degrade",
        "rooms",
        "evaluate",
        "train",
        "export-model",
        "export-onnx",
    ],
)
def test_every_command_has_help(command, capsys):
    with pytest.raises(SystemExit) as exit_:
        main([command, "--help"])
    assert exit_.value.code == 0
    assert f"miipher2 {command}" in capsys.readouterr().out


def test_help_imports_no_torch_and_is_up_to_date(capsys):
    commands = ["restore", "degrade", "rooms", "evaluate", "export-onnx"]
    for command in ([], *([command] for command in commands)):
        program = (
            "import sys, miipher2.cli\n"
            "try: miipher2.cli.main(sys.argv[1:])\n"
            "finally: assert not {'torch', 'numpy'} & set(sys.modules)"
        )
        subprocess.check_call(
            [sys.executable, "-c", program, *command, "--help"]
        )
    with pytest.raises(SystemExit):
        main(["--help"])
    shown = " ".join(capsys.readouterr().out.split())
    for module, commands in COMMANDS.items():
        subparsers = argparse.ArgumentParser().add_subparsers()
        importlib.import_module(module).add_parser(subparsers)
        assert commands.keys() == subparsers.choices.keys()
        for action in subparsers._choices_actions:
            assert action.help == commands[action.dest]
            assert f"{action.dest} {action.help}" in shown


def test_version(capsys):
    with pytest.raises(SystemExit) as exit_:
        main(["--version"])
    assert exit_.value.code == 0
    assert capsys.readouterr().out == f"miipher2 {miipher2.__version__}\n"


@pytest.mark.parametrize("arguments", [[], ["unknown"], ["restore", "only"]])
def test_incorrect_usage_exits_with_2(arguments, capsys):
    with pytest.raises(SystemExit) as exit_:
        main(arguments)
    assert exit_.value.code == 2
    assert "error: " in capsys.readouterr().err


@pytest.mark.parametrize("missing", ["input", "model"])
def test_invalid_paths_give_a_one_line_error(tmp_path, missing, capsys):
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
