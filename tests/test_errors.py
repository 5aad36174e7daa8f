"""Tests of one-line error messages.

Authors
 * The miipher2 authors 2026
"""

import os
import sys

import pytest
from torch.utils.data import DataLoader

from miipher2.errors import UserError, one_line_errors


class Unreadable:
    """A dataset whose items raise a ``UserError``."""

    def __len__(self):
        return 1

    def __getitem__(self, index):
        raise UserError("a.wav: cannot be read; repair it")


def exit_of(error, capsys):
    with pytest.raises(SystemExit) as exit_, one_line_errors():
        raise error
    return exit_.value.code, capsys.readouterr().err


@pytest.mark.parametrize(
    ("error", "code", "line"),
    [
        (UserError("a.csv: not found"), 2, "error: a.csv: not found\n"),
        (
            PermissionError(13, "Permission denied", "a.wav"),
            2,
            "error: a.wav: Permission denied\n",
        ),
        (OSError("no space"), 2, "error: no space\n"),
        (KeyboardInterrupt(), 130, "interrupted\n"),
    ],
)
def test_expected_errors_are_one_line(error, code, line, capsys):
    assert exit_of(error, capsys) == (code, line)


def test_closed_standard_streams_are_replaced(monkeypatch):
    for name in ("stdin", "stdout", "stderr"):
        monkeypatch.setattr(sys, name, None)
    with one_line_errors():
        print("nothing", file=sys.stderr)
        assert sys.stdin.read() == "" and not sys.stdout.isatty()
        opened = sys.stdin, sys.stdout, sys.stderr
    for stream in opened:
        stream.close()


@pytest.mark.parametrize("count", [1, 100_000])
def test_a_closed_output_ends_the_run_silently(monkeypatch, capfd, count):
    # Python notices a closed output only when it writes the buffered text
    reader, writer = os.pipe()
    os.close(reader)
    with open(writer, "w") as stdout:
        monkeypatch.setattr(sys, "stdout", stdout)
        with pytest.raises(SystemExit) as exit_, one_line_errors():
            print("x" * count)
        stdout.flush()  # as Python does at exit
    assert exit_.value.code == 141
    assert capfd.readouterr().err == ""


def test_error_in_a_data_loader_worker_is_one_line(capsys):
    with pytest.raises(SystemExit), one_line_errors():
        list(DataLoader(Unreadable(), num_workers=1))
    line = capsys.readouterr().err
    assert line == "error: a.wav: cannot be read; repair it\n"


def test_bugs_keep_their_traceback():
    with pytest.raises(KeyError), one_line_errors():
        raise KeyError("bug")
