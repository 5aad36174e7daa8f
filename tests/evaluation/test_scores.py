"""Tests of the reader of ``files.csv``.

Authors
 * The miipher2 authors 2026
"""

import math

import pytest
from example_scores import COLUMNS, example

from miipher2.errors import UserError
from miipher2.evaluation.scores import Scores, read_rows


def test_rows_and_arrays_agree(tmp_path):
    path = example(tmp_path, audio=False)
    rows = list(read_rows(path))
    assert [row["file"] for row in rows] == sorted(row["file"] for row in rows)
    scores = Scores(path)
    assert scores.files == [row["file"] for row in rows]
    assert len(scores) == 6
    for name in set(COLUMNS) & set(scores.columns):
        for row, value in zip(rows, scores[name], strict=True):
            assert row.get(name, math.nan) == pytest.approx(value, nan_ok=True)
    groups = scores.groups()
    assert list(groups) == ["noise", "reverb", "all"]
    assert [int(mask.sum()) for mask in groups.values()] == [3, 3, 6]
    assert scores.sides("lsd") == ["input", "restored"]
    assert scores.sides("ovrl") == ["input", "restored", "clean"]
    assert math.isnan(scores["seconds"][-1])  # the file that failed


def test_a_table_without_scores_raises(tmp_path):
    path = tmp_path / "files.csv"
    path.write_text("ID,wav\na,b\n")
    with pytest.raises(UserError, match="expected the columns file,notes"):
        Scores(path)


def test_a_row_with_more_cells_than_columns_raises(tmp_path):
    path = tmp_path / "files.csv"
    path.write_text("file,seconds,notes\na.wav,1.0,,2\n")
    with pytest.raises(UserError, match="files.csv, line 2: more cells than"):
        list(read_rows(path))
