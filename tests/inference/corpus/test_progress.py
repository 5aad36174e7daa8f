"""Tests of the progress bar and the console log.

Authors
 * The miipher2 authors 2026
"""

import contextlib
import io
import logging
import os
import sys
from pathlib import Path

import pytest

from miipher2.inference.corpus.progress import Progress, logging_to
from miipher2.inference.items import Item, Row

logger = logging.getLogger("miipher2.inference")


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_log_lines_appear_above_the_bar(monkeypatch, capsys):
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    items = [Item("a.wav", Path("a.wav"), "a.wav", size=8)]
    with logging_to():
        logger.info("start")
        with Progress(items, 16000) as progress:
            progress.advance(4, 1800.0)
            progress.end(Row("a.wav", "a\n.wav", "a.wav", "failed", "empty"))
            logger.info("during")
            progress.advance(4, 1800.0)
        logger.info("end")
    assert capsys.readouterr().out == "start\nend\n"
    lines = [
        line.rpartition("\r")[2] for line in terminal.getvalue().split("\n")
    ]
    assert lines[:2] == ["failed: a\\n.wav: empty", "during"]
    assert "100%" in lines[2] and "1.0 h at " in lines[2]
    assert "1 failed, 00:00 left" in lines[2]


@pytest.mark.parametrize("size", [0, 8])
def test_progress_never_exceeds_the_total(monkeypatch, recwarn, size):
    """Growing files and rounding do not move the bar beyond 100 %."""
    monkeypatch.setattr(sys, "stderr", Terminal())
    monkeypatch.setenv("COLUMNS", "80")
    with Progress([Item("a", Path("a"), "a", size)], 16000) as progress:
        progress.bar.mininterval = 0
        for _ in range(4):
            progress.advance(0.3 + size / 3, 1000.0)
    shown = sys.stderr.getvalue()
    assert " 0%|" in shown and "| starting, ? left" in shown
    assert "100%|" in shown and "00:00 left" in shown
    assert "-00:00" not in shown and not recwarn
    assert max(map(len, shown.split("\r"))) <= 80


def test_log_line_to_a_closed_pipe_raises_an_error(monkeypatch, capfd):
    """The error is raised, and logging prints no traceback."""
    reader, writer = os.pipe()
    os.close(reader)
    with open(writer, "w") as stdout:
        monkeypatch.setattr(sys, "stdout", stdout)
        with logging_to(), pytest.raises(BrokenPipeError):
            logger.info("start")
        with contextlib.suppress(BrokenPipeError):
            stdout.close()
    assert capfd.readouterr().err == ""


def test_warnings_go_to_stderr_and_information_to_stdout(capsys, tmp_path):
    with logging_to(tmp_path / "log"):
        logger.info("information")
        logger.warning("warning")
    with logging_to(quiet=True):
        logger.info("hidden")
        logger.error("error")
    output = capsys.readouterr()
    assert (output.out, output.err) == ("information\n", "warning\nerror\n")
    lines = (tmp_path / "log").read_text().splitlines()
    assert [line.split()[-1] for line in lines] == ["information", "warning"]
