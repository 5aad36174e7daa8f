"""Tests of the notes on scores and of the report.

Authors
 * The miipher2 authors 2026
"""

import math

import numpy as np
import pytest
from example_scores import example
from toy_metrics import Peak, SameLength, speech, write

from miipher2.evaluation import metrics
from miipher2.evaluation.matching import list_files
from miipher2.evaluation.report import Report, means
from miipher2.evaluation.scorer import Scorer
from miipher2.evaluation.scores import SIDES


def test_undefined_scores_are_noted(tmp_path):
    class Undefined(Peak):
        def score(self, value, reference=None):
            return [math.nan]

    write(tmp_path / "a.wav", speech())
    scorer = Scorer(["restored"], [Undefined()])
    row = scorer.score("a.wav", {"restored": tmp_path / "a.wav"})
    assert row["notes"] == "Peak undefined: restored"
    assert math.isnan(row["restored_peak"])


def test_an_error_in_a_package_becomes_a_note(tmp_path):
    class Broken(Peak):
        def score(self, value, reference=None):
            raise RuntimeError("no such thing\nat all")

    write(tmp_path / "a.wav", speech())
    scorer = Scorer(["restored"], [Broken(), SameLength(), Peak()])
    row = scorer.score("a.wav", {"restored": tmp_path / "a.wav"})
    assert row["notes"] == "Peak failed: RuntimeError: no such thing"
    assert row["status"] == "done"


class ColumnsOnly(metrics.Metric):
    """Stub of a metric that has the columns of another metric."""


@pytest.fixture
def scorer():
    def make(*classes):
        stubs = [ColumnsOnly() for _ in classes]
        for stub, metric in zip(stubs, classes, strict=True):
            stub.columns, stub.headline = metric.columns, metric.headline
            stub.reference_sides = metric.reference_sides
        return Scorer(SIDES, stubs)

    return make


def test_summary_has_means_medians_and_intervals(tmp_path, scorer):
    path = example(tmp_path, files=30, audio=False)
    scorer = scorer(
        metrics.DNSMOS,
        metrics.SpeakerSimilarity,
        metrics.WordErrors,
        metrics.PhonemeErrors,
    )
    report = Report(path.parent, scorer, ["a remark"])
    report.write()
    summary = (path.parent / "summary.md").read_text()
    for part in ("## All files", "## noise", "## reverb", "- a remark\n"):
        assert part in summary
    assert report.failed == 1
    assert "(restored is silent)" in summary
    [line] = [
        line.split("|")
        for line in report.intervals("all").splitlines()
        if line.startswith("| OVRL") and "restored" in line
    ]
    cells = [cell.strip() for cell in line[1:-1]]
    restored, before = (
        report.scores[f"{side}_ovrl"] for side in ("restored", "input")
    )
    measured = np.isfinite(restored)  # all but the file that failed
    restored, before = restored[measured], before[measured]
    assert cells[:4] == ["OVRL", "restored", "29", f"{restored.mean():.2f}"]
    assert cells[5] == f"{np.median(restored):.2f}"
    assert cells[6] == f"{(restored - before).mean():+.2f}"
    low, high = map(float, cells[7].split(" to "))
    assert low < (restored - before).mean() < high


def test_dnsmos_is_not_shown_alone(tmp_path, scorer):
    path = example(tmp_path, audio=False)
    report = Report(path.parent, scorer(metrics.DNSMOS))
    head, *_, last = report.table().splitlines()
    for name in ("OVRL", "speaker", "WER %", "PER %"):
        assert name in head
    assert last.split("|")[-2].strip() == "-"
    assert "speaker, WER %, PER %: not measured. Do not" in report.summary()
    assert "WER %" not in Report(path.parent, scorer(metrics.LSD)).summary()


def test_means_of_no_files_are_nan():
    assert all(math.isnan(v) for v in means([], "a", ["x", "y"]).values())
    assert means([{"x_a": 1.0}], "a", []) == {}


def test_long_lists_are_shortened():
    (remark,) = list_files("silent", list("abcdefgh"))
    assert remark == "8 silent: a, b, c, d, e and 3 more"
    assert list_files("silent", []) == []
