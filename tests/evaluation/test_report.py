"""Tests of the report.

Authors
 * The miipher2 authors 2026
"""

import csv
import io
import math

from toy_metrics import Peak, speech, write

from miipher2.evaluation.report import Report, list_files, means


def test_undefined_scores_are_noted(tmp_path):
    class Undefined(Peak):
        def score(self, value, reference=None):
            return [math.nan]

    write(tmp_path / "a.wav", speech())
    report = Report(["restored"], [Undefined()])
    report.add("a.wav", {"restored": tmp_path / "a.wav"})
    (row,) = csv.DictReader(io.StringIO(report.files_csv()))
    assert row["restored_peak"] == ""
    assert row["notes"] == "Peak undefined: restored"
    assert (
        report.table().splitlines()[-1] == "| all   | restored |     1 |    - |"
    )


def test_means_of_no_files_are_nan():
    assert all(math.isnan(v) for v in means([], "a", ["x", "y"]).values())
    assert means([{"x_a": 1.0}], "a", []) == {}


def test_long_lists_are_shortened():
    (remark,) = list_files("silent", list("abcdefgh"))
    assert remark == "8 silent: a, b, c, d, e and 3 more"
    assert list_files("silent", []) == []
