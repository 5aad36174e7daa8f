"""Output manifest with one row for every recording and every tar of a run.

Authors
 * The miipher2 authors 2026
"""

import csv
import dataclasses
import io

from miipher2.dataio.atomic import atomic_write
from miipher2.dataio.tables import read_table
from miipher2.errors import UserError
from miipher2.inference.items import Row

TYPES = {column.name: column.type for column in dataclasses.fields(Row)}
# Columns that are missing from manifests of earlier versions.
ADDED = ("input_bytes", "input_mtime_ns", "input_sha256", "scores")


def write_rows(path, rows, writer=""):
    """Write a manifest atomically.

    Arguments
    ---------
    path : Path
        The manifest, a ``.csv`` or ``.parquet`` file.
    rows : list of Row
        The rows.
    writer : str
        Name of the writer, unique among all processes that may write at the
        same time.

    Example
    -------
    >>> path = getfixture("tmp_path") / "manifest.csv"
    >>> rows = [Row("a.wav", "in/a.wav", "a.wav", reason="two\\nlines")]
    >>> write_rows(path, rows)
    >>> read_rows(path) == rows
    True
    """
    with atomic_write(path, writer) as file:
        if path.suffix == ".parquet":
            pyarrow = _import_pyarrow(path)
            columns = {
                name: [_escaped(getattr(row, name)) for row in rows]
                for name in TYPES
            }
            pyarrow.parquet.write_table(pyarrow.table(columns), file)
            return
        # File names may not be valid UTF-8, hence surrogateescape.
        text = io.TextIOWrapper(file, "utf-8", "surrogateescape", newline="")
        table = csv.DictWriter(text, TYPES, lineterminator="\n")
        table.writeheader()
        table.writerows(map(dataclasses.asdict, rows))
        text.flush()
        text.detach()


def read_rows(path):
    """Read a manifest.

    Arguments
    ---------
    path : Path
        The manifest, a ``.csv`` or ``.parquet`` file.

    Returns
    -------
    list of Row
        The rows in the order of the file; an empty list if the file does not
        exist. Columns that an earlier version did not write have their default
        values.

    Raises
    ------
    UserError
        If the file is not a manifest of restored recordings, or if pyarrow is
        needed but not installed.
    """
    if not path.exists():
        return []
    if path.suffix == ".parquet":
        pyarrow = _import_pyarrow(path)
    else:
        table = read_table(path, ("ID",), errors="surrogateescape")
        found = [row for _, row in table]
    try:
        if path.suffix == ".parquet":  # ArrowInvalid is a ValueError
            found = pyarrow.parquet.read_table(path).to_pylist()
        return [
            Row(
                **{
                    name: kind(row[name])
                    for name, kind in TYPES.items()
                    if name in row or name not in ADDED
                }
            )
            for row in found
        ]
    except (KeyError, OSError, TypeError, ValueError):
        raise UserError(
            f"{path}: not a manifest of restored recordings; move the file or "
            "choose a different output folder"
        ) from None


def _import_pyarrow(path):
    """Import and return pyarrow, an optional dependency."""
    try:
        import pyarrow.parquet
    except ImportError:
        raise UserError(
            f"{path}: Parquet needs pyarrow: pip install pyarrow"
        ) from None
    return pyarrow


def _escaped(value):
    """Escape invalid UTF-8, which Parquet does not accept."""
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode("utf-8")
    return value
