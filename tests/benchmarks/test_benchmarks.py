"""Tests of the speed benchmarks with tiny models.

Authors
 * The miipher2 authors 2026
"""

import importlib.util
import json
import math
import sys

import jobs  # noqa: E402
import pytest
import timing  # noqa: E402
from tiny_runs import ROOT


@pytest.fixture
def benchmark(monkeypatch):
    """Return a function that loads a benchmark.

    The jobs of the benchmark run in this process.
    """

    def load(name):
        path = ROOT / "benchmarks" / f"{name}.py"
        spec = importlib.util.spec_from_file_location(f"benchmark_{name}", path)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)

        def run_here(script, job, limit=None):
            figures = {}
            for measurements in module.JOBS[job["job"]](job):
                figures |= json.loads(json.dumps(measurements))
            return figures

        monkeypatch.setattr(jobs, "run_in_process", run_here)
        return module

    monkeypatch.setattr(timing, "limit_memory", lambda: None)
    monkeypatch.setattr(timing, "peak_gflops", lambda device, precision: 100.0)
    return load


def tables(text):
    """Return the rows of each table without the header."""
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


def test_restoration_benchmark(benchmark, monkeypatch, capsys):
    restore = benchmark("restore")
    monkeypatch.setattr(restore, "SECONDS", (0.5, 1.5))
    monkeypatch.setattr(restore, "COUNTED_SECONDS", 1.0)
    restore.main(
        "--models hubert-tiny --clips 2 --repeats 1 --long-seconds 2".split()
    )
    speeds, parts, differences, targets = tables(capsys.readouterr().out)
    assert [row[1] for row in speeds][:2] == [
        "reference, fp32",
        "engine, fp32",
    ]
    for row in speeds:
        for cell in row[2:]:
            assert 0 < number(cell) < math.inf
    named = {(row[1], row[2]) for row in parts}
    expected = {"front-end", "layers", "adapters", "vocoder", "all", "limit"}
    for row in speeds:
        assert expected < {part for system, part in named if system == row[1]}
    assert ("reference, fp32", "unused layers") in named
    assert ("engine, fp32", "unused layers") not in named
    # The same weights give the same output, up to rounding errors
    assert number(differences[0][2]) > 60 and number(differences[0][3]) > 40
    assert all(number(row[2]) > 25 for row in differences)
    assert targets[0][3] in ("yes", "**no**")


def test_training_benchmark(benchmark, capsys):
    train = benchmark("train")
    train.main(
        "--size hubert-tiny --batch-size 1 --repeats 1 --segment-seconds 0.8".split()
    )
    rows, targets = tables(capsys.readouterr().out)
    for title in train.STAGES:
        reference, *recipe = [row for row in rows if row[0] == title]
        assert reference[1] == "reference, fp32"
        assert recipe[0][1] == "recipe, fp32"
        # Both systems compute the same loss
        expected = pytest.approx(number(reference[8]), rel=0.05)
        assert number(recipe[0][8]) == expected
        for row in (reference, *recipe):
            for cell in row[3:]:
                assert 0 < number(cell) < math.inf
    assert [row[0] for row in targets] == list(train.STAGES)


def test_jobs_run_in_processes_with_a_time_limit(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(
        "import time\nprint('{\"a\": 1}', flush=True)\nprint('other')\n"
        "time.sleep(30)\n"
    )
    figures = jobs.run_in_process(str(script), {"job": "any"}, limit=3)
    assert figures == {"a": 1, "failed": "timed out after 3 s"}
    script.write_text("raise SystemExit(2)")
    figures = jobs.run_in_process(str(script), {"job": "any"})
    assert figures == {"failed": "exit code 2"}


def test_tables_and_clocks():
    table = timing.markdown(["a", "b"], [["x", 1.0], ["y", None]])
    assert table == "| a | b |\n|---|---|\n| x | 1 |\n| y | - |"
    clock = timing.Clock(now=iter([0, 1, 3, 10]).__next__)
    with clock.part("layers"), clock.part("adapters"):
        pass
    assert clock.spent == {"adapters": 2, "layers": 8}


def test_host_benchmark(benchmark, monkeypatch, capsys):
    data = str(ROOT / "examples" / "noisy")
    options = ["--data", data, "--workers", "1", "--copies", "2"]
    monkeypatch.setattr(sys, "argv", ["host.py", *options])
    monkeypatch.setattr("torch.set_num_threads", lambda number: None)
    benchmark("host").main()
    (rows,) = tables(capsys.readouterr().out)
    assert [row[0] for row in rows] == ["threads", "processes"]
    for row in rows:
        assert all(number(cell) > 0 for cell in row[1:])
    # The CPU time of workers is not counted for the main process
    assert number(rows[1][4]) < number(rows[1][3])
