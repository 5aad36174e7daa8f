"""Tests of CSV tables.

Authors
 * The miipher2 authors 2026
"""

import pytest

from miipher2.dataio.tables import read_table, write_table
from miipher2.errors import UserError


def test_written_rows_are_read_back(tmp_path):
    path, rows = tmp_path / "a.csv", [{"ID": 'x, "y"', "text": "two\nlines"}]
    write_table(path, ("ID", "text"), [{**rows[0], "other": 1}])
    assert list(read_table(path, ("text",))) == [(3, rows[0])]


def test_invalid_utf8_raises_unless_surrogateescape_is_given(tmp_path):
    path = tmp_path / "a.csv"
    path.write_bytes(b"\xef\xbb\xbfwav\n\xff.wav\n")
    with pytest.raises(UserError, match="a.csv: cannot be read: .*UTF-8"):
        list(read_table(path, ("wav",)))
    rows = read_table(path, ("wav",), errors="surrogateescape")
    assert list(rows) == [(2, {"wav": "\udcff.wav"})]


@pytest.mark.parametrize(
    "text, message",
    [
        ("ID,texts\n", "columns ID,text, found ID,texts; text missing"),
        ("", "found none"),
        ("ID,text\na,Hello, there\n", "a.csv, line 2: more cells than columns"),
        ("ID,text\na," + "x" * 200_000, "a.csv: cannot be read: field"),
    ],
)
def test_invalid_tables_raise(tmp_path, text, message):
    path = tmp_path / "a.csv"
    path.write_text(text)
    with pytest.raises(UserError, match=message):
        list(read_table(path, ("ID", "text")))
    with pytest.raises(UserError, match="absent.csv: cannot be read: No such"):
        list(read_table(tmp_path / "absent.csv", ("ID",)))


def test_empty_surplus_cells_are_ignored(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("ID,text\na,b,,\n")
    assert list(read_table(path, ("ID", "text"))) == [
        (2, {"ID": "a", "text": "b"})
    ]
