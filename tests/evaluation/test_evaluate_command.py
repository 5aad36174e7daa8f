"""Tests of ``miipher2 evaluate``.

Authors
 * The miipher2 authors 2026
"""

import argparse

import pytest

from miipher2.errors import UserError
from miipher2.evaluation import command, evaluate


def run(*options):
    parser = argparse.ArgumentParser()
    command.add_parser(parser.add_subparsers())
    arguments = parser.parse_args(
        ["evaluate", "--workers=1", *map(str, options)]
    )
    return arguments.run(arguments)


def test_command_writes_and_prints_the_report(folders, toy_metrics, capsys):
    options = ["--restored", folders / "restored", "--input", folders / "input"]
    options += [
        "--reference",
        folders / "clean",
        "--output",
        folders / "report",
    ]
    assert run(*options) == 0
    printed = capsys.readouterr().out
    summary = (folders / "report/summary.md").read_text("utf-8")
    table = (folders / "report/files.csv").read_bytes()
    assert summary in printed and "4 scored, 0 failed" in printed
    assert run(*options) == 0  # overwrites the report
    assert (folders / "report/files.csv").read_bytes() == table
    (folders / "restored/bad.wav").write_text("not audio")
    assert run(*options) == 1


def test_output_that_is_a_file_raises(folders, toy_metrics):
    (folders / "report").write_text("")
    with pytest.raises(UserError, match="give a folder"):
        run("--restored", folders / "restored", "--output", folders / "report")


def test_ctrl_c_prints_one_line(folders, toy_metrics, monkeypatch, capsys):
    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(evaluate, "_score", interrupt)
    report = folders / "report"
    assert run("--restored", folders / "restored", "--output", report) == 130
    printed = capsys.readouterr().err
    assert printed == "interrupted; run the same command again to resume\n"
