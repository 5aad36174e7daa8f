"""The figures that the quickstart prints.

Authors
 * The miipher2 authors 2026
"""

import importlib.util

from tiny_runs import ROOT


def test_figures_before_and_after_also_when_they_got_worse(capsys):
    path = ROOT / "examples/quickstart.py"
    spec = importlib.util.spec_from_file_location("quickstart", path)
    quickstart = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(quickstart)
    quickstart.report(ROOT / "examples/restored")
    lines = capsys.readouterr().out.splitlines()
    assert len([line for line in lines if " before, " in line]) == 4
    assert "1.92 before, 1.14 after" in "\n".join(lines)
    assert "which is better" in lines[-1]
    quickstart.report(ROOT / "examples/noisy")
    assert "which is worse" in capsys.readouterr().out
