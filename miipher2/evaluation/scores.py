"""The scores of restored files: the rows of ``files.csv``.

Each evaluated file has one row and up to three recordings, called sides:
``input``, ``restored`` and ``clean``. A side that is not evaluated has no
columns, and the reference side of a metric has no scores for this metric. A
cell without a value is empty. The columns are, in order:

==================== ======================================================
``file``             path relative to the folder of the restored files
``condition``        group whose scores are averaged; empty if there is none
``status``           ``done``; ``silent``: all readable sides are silent;
                     ``failed``: the restored file cannot be read, or is
                     silent although another side is not, or the worker
                     process died; ``missing``: no restored file
``seconds``          duration of the restored file, if the status is ``done``
``{side}_path``      path of the recording
``{side}_delay_ms``  delay relative to the clean recording; not for ``clean``
``{side}_sig``,      DNSMOS P.835
``_bak``, ``_ovrl``
``{side}_p808``      DNSMOS P.808
``{side}_pesq_wb``   PESQ-WB
``{side}_estoi``     ESTOI
``{side}_sisdr``     SI-SDR in dB
``{side}_lsd``       log-spectral distance in dB
``{side}_mcd``       mel-cepstral distortion in dB
``{side}_speaker``   speaker similarity (cosine)
``{side}_wer``,      word error rate in percent: total, substitutions,
``_wer_sub``,        insertions and deletions
``_wer_ins``,
``_wer_del``
``{side}_cer``, ...  the same four columns for the character error rate
``{side}_loop``      1 if the recogniser repeated a phrase to the end of a
                     window of 30 s (the error rates then count it once); 0
                     otherwise
``{side}_per``       phoneme error rate in percent
``version``          hash of the recordings' sizes and modification times, the
                     transcript, the metrics and the package versions; if it
                     has changed, the file is scored again; empty if the
                     worker process died
``notes``            what is missing, undefined or unusual, and why
==================== ======================================================

Authors
 * The miipher2 authors 2026
"""

import csv
import io
import math
import sys
from array import array
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path

import numpy as np

from miipher2.dataio.atomic import atomic_write
from miipher2.dataio.tables import read_table
from miipher2.errors import UserError

SIDES = ("input", "restored", "clean")
TEXT_COLUMNS = (
    "file",
    "condition",
    "status",
    *(f"{side}_path" for side in SIDES),
    "version",
    "notes",
)

ERRORS = "surrogateescape"  # allows file names that are not valid UTF-8
ROWS = 10000  # per row group in Parquet

Row = dict[str, float | str]


def read_rows(path: str | Path) -> Iterator[Row]:
    """Read ``files.csv`` row by row.

    Arguments
    ---------
    path : str or Path
        The file.

    Yields
    ------
    dict
        Value by column: text in the columns of ``TEXT_COLUMNS``, numbers in all
        other columns. Empty cells in number columns are left out.

    Raises
    ------
    UserError
        If the file cannot be read or is not a table of scores.

    Example
    -------
    >>> path = getfixture("tmp_path") / "files.csv"
    >>> text = "file,input_lsd,restored_lsd,notes\\na.wav,,2.5,\\n"
    >>> _ = path.write_text(text)
    >>> list(read_rows(path))
    [{'file': 'a.wav', 'restored_lsd': 2.5, 'notes': ''}]
    """
    for line, cells in read_table(path, ("file", "notes"), errors=ERRORS):
        row: Row = {}
        for name, text in cells.items():
            if name in TEXT_COLUMNS:
                row[name] = text or ""
            elif text:
                try:
                    row[name] = float(text)
                except ValueError:
                    raise UserError(
                        f"{path}, line {line}: expected a number in column "
                        f"{name}, found {text!r}; choose a different output "
                        "folder"
                    ) from None
        yield row


def format_row(row: Row, header: Sequence[str]) -> list[str]:
    """Return the cells of a row of ``files.csv``.

    Arguments
    ---------
    row : dict
        Value by column.
    header : list of str
        The columns.

    Returns
    -------
    list of str
        Text unchanged, numbers with four decimal places; empty for missing
        values and numbers that are not finite.

    Example
    -------
    >>> row = {"file": "a.wav", "input_lsd": 1.0, "restored_lsd": math.nan}
    >>> format_row(row, ["file", "input_lsd", "restored_lsd", "notes"])
    ['a.wav', '1.0000', '', '']
    """
    cells = []
    for name in header:
        value = row.get(name, "")
        if not isinstance(value, str):
            value = f"{value:.4f}" if math.isfinite(value) else ""
        cells.append(value)
    return cells


def write_rows(
    path: Path, header: Sequence[str], rows: Iterable[Sequence[str]]
) -> None:
    """Write ``files.csv`` atomically, row by row.

    Arguments
    ---------
    path : Path
        The file.
    header : list of str
        The columns.
    rows : iterable of list of str
        The cells of each row.
    """
    with atomic_write(path) as file:
        text = io.TextIOWrapper(
            io.BufferedWriter(file), "utf-8", ERRORS, newline=""
        )
        table = csv.writer(text, lineterminator="\n")
        table.writerow(header)
        table.writerows(rows)
        text.flush()
        text.detach().detach()


def write_parquet(path: Path, files_csv: Path) -> None:
    """Write the rows of ``files.csv`` as Parquet, atomically.

    Arguments
    ---------
    path : Path
        The Parquet file to write.
    files_csv : Path
        The CSV file to convert.

    Raises
    ------
    UserError
        If pyarrow is not installed.
    """
    pyarrow = import_pyarrow(path)
    with open(files_csv, encoding="utf-8", errors=ERRORS, newline="") as file:
        header = next(csv.reader(file))
    schema = pyarrow.schema(
        [
            (n, pyarrow.string() if n in TEXT_COLUMNS else pyarrow.float64())
            for n in header
        ]
    )
    rows = read_rows(files_csv)
    with (
        atomic_write(path) as file,
        pyarrow.parquet.ParquetWriter(file, schema) as writer,
    ):
        while batch := list(islice(rows, ROWS)):
            columns = {n: [_valid(row.get(n)) for row in batch] for n in header}
            writer.write_table(pyarrow.table(columns, schema))


def import_pyarrow(path: Path):
    """Import pyarrow, which is optional; ``path`` is for the error message."""
    try:
        import pyarrow.parquet
    except ImportError:
        raise UserError(
            f"{path}: Parquet needs pyarrow: pip install pyarrow"
        ) from None
    return pyarrow


def _valid(value: float | str | None) -> float | str | None:
    """Escape invalid UTF-8, which Parquet does not accept."""
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode("utf-8")
    return value


class Scores:
    """The numeric columns of ``files.csv`` as arrays.

    Indexing with the name of a column returns its values ``(files,)``, which
    are all NaN if ``files.csv`` does not have this column.

    Arguments
    ---------
    path : str or Path
        The file.

    Attributes
    ----------
    files : list of str
        Values of the ``file`` column.
    conditions, status : list of str
        Values of the ``condition`` and ``status`` columns; empty strings if a
        column is missing.

    Raises
    ------
    UserError
        If the file cannot be read or is not a table of scores.

    Example
    -------
    >>> path = getfixture("tmp_path") / "files.csv"
    >>> _ = path.write_text("file,restored_lsd,notes\\na.wav,2.5,\\nb.wav,,\\n")
    >>> scores = Scores(path)
    >>> scores["restored_lsd"], scores["input_lsd"]
    (array([2.5, nan]), array([nan, nan]))
    >>> scores.sides("lsd")
    ['restored']
    """

    def __init__(self, path: str | Path) -> None:
        self.files: list[str] = []
        self.conditions: list[str] = []
        self.status: list[str] = []
        columns: dict[str, array] = {}
        for row in read_rows(path):
            count = len(self.files)
            self.files.append(str(row["file"]))
            # Equal strings share memory
            for texts, name in (
                (self.conditions, "condition"),
                (self.status, "status"),
            ):
                texts.append(sys.intern(str(row.get(name, ""))))
            for name, value in row.items():
                if name not in TEXT_COLUMNS:
                    column = columns.setdefault(name, array("d"))
                    column.extend([math.nan] * (count - len(column)))
                    column.append(float(value))
        for column in columns.values():
            column.extend([math.nan] * (len(self.files) - len(column)))
        self.columns = {n: np.frombuffer(c) for n, c in columns.items()}

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, column: str) -> np.ndarray:
        if column not in self.columns:
            return np.full(len(self), math.nan)
        return self.columns[column]

    def sides(self, metric: str) -> list[str]:
        """Return the sides that have scores for a metric.

        Arguments
        ---------
        metric : str
            Name of the metric, for example ``lsd``.

        Returns
        -------
        list of str
            The sides, in the order of ``SIDES``.
        """
        return [side for side in SIDES if f"{side}_{metric}" in self.columns]

    def metrics(self) -> list[str]:
        """Return the names of all scores, including ``delay_ms``."""
        names = (column.partition("_") for column in self.columns)
        found = (name for side, _, name in names if side in SIDES)
        return list(dict.fromkeys(found))

    def complete(self, metric: str) -> dict[str, np.ndarray]:
        """Return the scores of the files that have a score for every side.

        Arguments
        ---------
        metric : str
            Name of the metric, for example ``lsd``.

        Returns
        -------
        dict
            Scores ``(files,)`` by side, for the ``sides`` of the metric; NaN
            for all other files.
        """
        found = {s: self[f"{s}_{metric}"].copy() for s in self.sides(metric)}
        known = [np.isfinite(values) for values in found.values()]
        for values in found.values():
            values[~np.all(known, axis=0)] = math.nan
        return found

    def groups(self) -> dict[str, np.ndarray]:
        """Return a mask of the files of each condition, and of all files.

        Returns
        -------
        dict
            Boolean array ``(files,)`` by condition, in alphabetical order,
            followed by ``all``, the mask of all files.
        """
        names = np.array(self.conditions, dtype=object)
        found = {name: names == name for name in sorted(set(names) - {""})}
        return {**found, "all": np.ones(len(self), bool)}
