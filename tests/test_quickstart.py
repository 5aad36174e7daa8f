"""Tests of the figures that the quickstart prints.

Authors
 * The miipher2 authors 2026
"""

import importlib.util
import re

from tiny_runs import ROOT


def test_report_says_whether_figures_got_better_or_worse(capsys):
    path = ROOT / "examples/quickstart.py"
    spec = importlib.util.spec_from_file_location("quickstart", path)
    quickstart = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(quickstart)
    quickstart.report(ROOT / "examples/restored")
    lines = capsys.readouterr().out.splitlines()
    errors = [
        [float(word) for word in re.findall(r"\d+\.\d+", line)]
        for line in lines
        if " before, " in line
    ]
    assert len(errors) == 4
    before, after = errors[-1]
    assert after < before
    assert any(re.match(r"Mean: .*\(better\)", line) for line in lines)
    quickstart.report(ROOT / "examples/noisy")
    assert "(worse)" in capsys.readouterr().out
