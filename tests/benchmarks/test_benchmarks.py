"""The speed benchmarks, at tiny sizes.

Authors
 * The miipher2 authors 2026
"""

import importlib.util
import json
import math
import sys

import jobs  # noqa: E402
import pytest
import speed  # noqa: E402
from tiny_runs import ROOT


@pytest.fixture
def benchmark(monkeypatch):
    """Loads a benchmark whose jobs run in this process."""

    def load(name):
        path = ROOT / "benchmarks" / f"{name}.py"
        spec = importlib.util.spec_from_file_location(f"benchmark_{name}", path)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)

        def here(script, job, limit=None):
            figures = {}
            for told in module.JOBS[job["job"]](job):
                figures |= json.loads(json.dumps(told))
            return figures

        monkeypatch.setattr(jobs, "apart", here)
        return module

    monkeypatch.setattr(speed, "spare_the_machine", lambda: None)
    monkeypatch.setattr(speed, "device_limit", lambda device, precision: 100.0)
    return load


def tables(text):
    """The rows of each table, without its header."""
    found = []
    for block in text.split("\n\n"):
        if block.startswith("|"):
            lines = block.strip().split("\n")
            rows = [line.strip("| ").split(" | ") for line in lines]
            assert len({len(row) for row in rows[:1] + rows[2:]}) == 1
            found.append(rows[2:])
    return found


def number(cell):
    return float(cell.split(" ")[0])


def test_restoring(benchmark, monkeypatch, capsys):
    restore = benchmark("restore")
    monkeypatch.setattr(restore, "SECONDS", (0.5, 1.5))
    monkeypatch.setattr(restore, "COUNTED_SECONDS", 1.0)
    restore.main(
        "--models hubert-tiny --clips 2 --repeats 1 --long-seconds 2".split()
    )
    speeds, parts, apart, wanted = tables(capsys.readouterr().out)
    assert [row[1] for row in speeds][:2] == [
        "(a) plain, fp32",
        "(b) engine, fp32",
    ]
    for row in speeds:
        for cell in row[2:]:
            assert 0 < number(cell) < math.inf
    named = {(row[1], row[2]) for row in parts}
    every = {"front-end", "layers", "adapters", "vocoder", "all", "limit"}
    for row in speeds:
        assert every < {part for way, part in named if way == row[1]}
    assert ("(a) plain, fp32", "layers above") in named
    assert ("(b) engine, fp32", "layers above") not in named
    # the same weights do the same: only 16 bit and precision are between
    assert number(apart[0][2]) > 60 and number(apart[0][3]) > 40
    assert all(number(row[2]) > 25 for row in apart)
    assert wanted[0][3] in ("yes", "**no**")


def test_training(benchmark, capsys):
    train = benchmark("train")
    train.main(
        "--size hubert-tiny --batch-size 1 --repeats 1 --segment-seconds 0.8".split()
    )
    rows, wanted = tables(capsys.readouterr().out)
    for title in train.STAGES:
        plain, *ours = [row for row in rows if row[0] == title]
        assert plain[1] == "plain, fp32" and ours[0][1] == "ours, fp32"
        # it is the same step
        assert number(ours[0][8]) == pytest.approx(number(plain[8]), rel=0.05)
        for row in (plain, *ours):
            for cell in row[3:]:
                assert 0 < number(cell) < math.inf
    assert [row[0] for row in wanted] == list(train.STAGES)


def test_a_job_of_its_own_and_one_that_is_given_up(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(
        "import time\nprint('{\"a\": 1}', flush=True)\nprint('other')\n"
        "time.sleep(30)\n"
    )
    figures = jobs.apart(str(script), {"job": "any"}, limit=3)
    assert figures == {"a": 1, "failed": "not done after 3 s"}
    script.write_text("raise SystemExit(2)")
    figures = jobs.apart(str(script), {"job": "any"})
    assert figures == {"failed": "exit code 2"}


def test_tables_and_clocks():
    table = speed.markdown(["a", "b"], [["x", 1.0], ["y", None]])
    assert table == "| a | b |\n|---|---|\n| x | 1 |\n| y | - |"
    clock = speed.Clock(now=iter([0, 1, 3, 10]).__next__)
    with clock.part("layers"), clock.part("adapters"):
        pass
    assert clock.spent == {"adapters": 2, "layers": 8}


def test_reading_and_writing(benchmark, monkeypatch, capsys):
    data = str(ROOT / "examples" / "noisy")
    options = ["--data", data, "--workers", "1", "--copies", "2"]
    monkeypatch.setattr(sys, "argv", ["host.py", *options])
    monkeypatch.setattr("torch.set_num_threads", lambda number: None)
    benchmark("host").main()
    (rows,) = tables(capsys.readouterr().out)
    assert [row[0] for row in rows] == ["threads", "processes"]
    for row in rows:
        assert all(number(cell) > 0 for cell in row[1:])
    # helpers count, and what they do is not the main process's
    assert number(rows[1][4]) < number(rows[1][3])
