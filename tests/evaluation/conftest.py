"""Fixtures for the evaluation tests.

Authors
 * The miipher2 authors 2026
"""

import numpy
import pytest
from toy_metrics import Correlation, Level, Peak, SameLength, speech, write

from miipher2.evaluation import metrics, scorer


@pytest.fixture
def toy_metrics(monkeypatch):
    """Load toy metrics and LSD instead of the installed metrics."""
    loaded = [Peak(), metrics.LSD(), SameLength()]
    monkeypatch.setattr(scorer, "load_metrics", lambda *_: (loaded, []))


@pytest.fixture
def folders(tmp_path):
    """Write clean, noisy and restored versions of four files in two folders."""
    for index, name in enumerate(("hiss/a", "hiss/b", "room/a", "room/b")):
        clean = speech(index)
        hiss = 0.02 * numpy.random.default_rng(9).standard_normal(len(clean))
        write(tmp_path / "clean" / f"{name}.flac", clean)
        write(tmp_path / "input" / f"{name}.wav", clean + hiss)
        write(tmp_path / "restored" / f"{name}.wav", clean + 0.1 * hiss)
    return tmp_path


@pytest.fixture
def toy_gate_metrics(monkeypatch):
    """Load toy metrics instead of DNSMOS and Resemblyzer."""
    found = {"dnsmos": Level, "speaker": Correlation}
    monkeypatch.setattr(metrics, "METRICS", found)
    monkeypatch.setattr("miipher2.evaluation.gate.METRICS", found)
