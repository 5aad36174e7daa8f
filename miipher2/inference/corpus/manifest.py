"""The output manifest: what became of every recording of a run.

Authors
 * The miipher2 authors 2026
"""

import csv
import dataclasses
import io

from miipher2.dataio.atomic import atomic_write
from miipher2.errors import UserError
from miipher2.inference.items import Row

TYPES = {column.name: column.type for column in dataclasses.fields(Row)}


def write_rows(path, rows, writer=""):
    """Writes a manifest, whole or not at all.

    Arguments
    ---------
    path : Path
        ``.csv`` or ``.parquet``.
    rows : list of Row
        What it is to hold.
    writer : str
        Who writes it, where several may do so at once.

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
            parquet, table = _parquet(path), {}
            for name in TYPES:
                table[name] = [_valid(getattr(row, name)) for row in rows]
            parquet.write_table(_arrow_table(table), file)
            return
        # Names that are no valid UTF-8 stay as they are.
        text = io.TextIOWrapper(file, "utf-8", "surrogateescape", newline="")
        writer = csv.DictWriter(text, TYPES, lineterminator="\n")
        writer.writeheader()
        writer.writerows(map(dataclasses.asdict, rows))
        text.flush()
        text.detach()


def read_rows(path):
    """Reads a manifest.

    Arguments
    ---------
    path : Path
        ``.csv`` or ``.parquet``. If there is none, it has no rows.

    Returns
    -------
    list of Row
        In the order of the file.

    Raises
    ------
    UserError
        If it is something else.
    """
    if not path.exists():
        return []
    if path.suffix == ".parquet":
        found = _parquet(path).read_table(path).to_pylist()
    else:
        text = path.read_bytes().decode("utf-8", "surrogateescape")
        found = list(csv.DictReader(io.StringIO(text, newline="")))
    try:
        return [
            Row(**{name: kind(row[name]) for name, kind in TYPES.items()})
            for row in found
        ]
    except (KeyError, TypeError, ValueError):
        raise UserError(
            f"{path}: not a manifest of restored recordings; move it away or "
            "give another output folder"
        ) from None


def _parquet(path):
    try:
        import pyarrow.parquet
    except ImportError:
        raise UserError(
            f"{path}: Parquet needs pyarrow: pip install miipher2[parquet]"
        ) from None
    return pyarrow.parquet


def _arrow_table(columns):
    import pyarrow

    return pyarrow.table(columns)


def _valid(value):
    """Parquet takes valid UTF-8 only."""
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode("utf-8")
    return value
