"""The scores of many files: one row per file and a table of means.

The columns of ``files.csv`` are listed in ``miipher2.evaluation.scores``.

Authors
 * The miipher2 authors 2026
"""

import csv
import io
import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from miipher2.dataio.atomic import write_text
from miipher2.errors import UserError
from miipher2.evaluation.base import Metric
from miipher2.evaluation.html_report import write_html
from miipher2.evaluation.scorer import Scorer
from miipher2.evaluation.scores import Row

MAX_LISTED = 5  # files per remark of the summary; files.csv has all of them


def list_files(remark: str, files: Sequence[str]) -> list[str]:
    """Return a remark with the file count and the first few names.

    Arguments
    ---------
    remark : str
        What the files have in common.
    files : list of str
        Their names.

    Returns
    -------
    list of str
        One sentence; empty if there are no files.

    Example
    -------
    >>> list_files("silent", ["a.wav", "b.wav"])
    ['2 silent: a.wav, b.wav']
    """
    if not files:
        return []
    more = len(files) - MAX_LISTED
    suffix = f" and {more} more" if more > 0 else ""
    return [f"{len(files)} {remark}: {', '.join(files[:MAX_LISTED])}{suffix}"]


def complete_scores(
    rows: Iterable[Row], column: str, sides: Iterable[str]
) -> np.ndarray:
    """Return the scores of the files that have one for every side.

    Arguments
    ---------
    rows : list of dict
        Scores of a file by ``SIDE_COLUMN``.
    column : str
        The metric's column.
    sides : list of str
        The sides, or the names of the systems compared.

    Returns
    -------
    numpy.ndarray
        ``(files, sides)``.
    """
    keys = [f"{side}_{column}" for side in sides]
    scores = [[row.get(key, math.nan) for key in keys] for row in rows]
    array = np.array(scores, dtype=float).reshape(len(scores), len(keys))
    return array[np.isfinite(array).all(axis=1)]


def means(
    rows: Iterable[Row], column: str, sides: Iterable[str]
) -> dict[str, float]:
    """Return the mean per side over the files with a score for every side.

    Arguments
    ---------
    rows : list of dict
        Scores of a file by ``SIDE_COLUMN``.
    column : str
        The metric's column.
    sides : list of str
        The sides, or the names of the systems compared.

    Returns
    -------
    dict
        Mean by side; NaN if there is no such file.

    Example
    -------
    >>> rows = [{"a_lsd": 1.0, "b_lsd": 2.0}, {"a_lsd": 3.0, "b_lsd": 4.0}]
    >>> means([*rows, {"a_lsd": 9.0}], "lsd", ["a", "b"])
    {'a': 2.0, 'b': 3.0}
    """
    sides = list(sides)
    scores = complete_scores(rows, column, sides)
    if not len(scores):
        return dict.fromkeys(sides, math.nan)
    return dict(zip(sides, scores.mean(axis=0).tolist(), strict=True))


class Report:
    """The scores of all files, and their means.

    Arguments
    ---------
    sides : iterable of str
        The sides available: any of ``input``, ``restored``, ``clean``.
    metrics : list of Metric
        The metrics to compute.
    remarks : list of str
        Sentences for the end of the summary.

    Example
    -------
    >>> from miipher2.evaluation.metrics import LSD
    >>> report = Report(["restored", "clean"], [LSD()])
    >>> report.add("a.wav", {})
    >>> print(report.table())
    | group | side     | files | LSD dB |
    | ----- | -------- | ----: | -----: |
    | all   | restored |     1 |      - |
    | all   | clean    |     1 |      - |
    """

    def __init__(
        self,
        sides: Iterable[str],
        metrics: Iterable[Metric],
        remarks: Iterable[str] = (),
    ) -> None:
        self.scorer = Scorer(sides, metrics, remarks)
        self.sides = self.scorer.sides
        self.remarks = self.scorer.remarks
        self.references = self.scorer.references
        self.columns = self.scorer.columns
        self.headings = self.scorer.headings
        self.rows: list[Row] = []

    def add(self, file: str, paths: Mapping[str, str | Path]) -> None:
        """Measure all sides of a restored file.

        Arguments
        ---------
        file : str
            The restored file, relative to its folder.
        paths : dict
            Path by side, without sides that this file lacks.
        """
        self.rows.append(self.scorer.score(file, paths))

    @property
    def failed(self) -> int:
        """The number of restored files that could not be measured."""
        return sum(row["status"] == "failed" for row in self.rows)

    def files_csv(self) -> str:
        """Return one row per restored file.

        Returns
        -------
        str
            CSV with the columns ``file``, ``seconds``, ``SIDE_delay_ms`` (to
            the clean side, empty if unknown), ``SIDE_METRIC`` (empty if not
            measured) and ``notes``.
        """
        text = io.StringIO()
        writer = csv.DictWriter(text, self.scorer.header, lineterminator="\n")
        writer.writeheader()
        for row in self.rows:
            writer.writerow(
                {
                    name: f"{value:.4f}" if isinstance(value, float) else value
                    for name, value in row.items()
                    if not _is_undefined(value)
                }
            )
        return text.getvalue()

    def groups(self) -> dict[str, list[Row]]:
        """Return the rows by top-level folder, followed by all rows.

        Returns
        -------
        dict
            Rows by ``FOLDER/``, sorted, then ``all``. Only ``all`` if there
            are fewer than two folders, or files outside of them.
        """
        groups = defaultdict(list)
        for row in self.rows:
            folder, slash, _ = str(row["file"]).partition("/")
            groups[folder + slash].append(row)
        if len(groups) < 2 or not all(name.endswith("/") for name in groups):
            return {"all": self.rows}
        return {**{n: groups[n] for n in sorted(groups)}, "all": self.rows}

    def table(self) -> str:
        """Return the means of each group and side as a Markdown table.

        The means of a metric are over the files that have a score for every
        side.
        """
        lines = [["group", "side", "files", *self.headings.values()]]
        for group, rows in self.groups().items():
            by_column = {
                name: means(rows, name, sides)
                for name, sides in self.columns.items()
            }
            for side in self.sides:
                line = [group.rstrip("/"), side, str(len(rows))]
                for name in self.columns:
                    mean = by_column[name].get(side, math.nan)
                    line.append(f"{mean:.2f}" if math.isfinite(mean) else "-")
                lines.append(line)
        return _markdown_table(lines)

    def summary(self) -> str:
        """Return the table and the remarks needed to read it, as Markdown."""
        remarks = [
            metric.remark(reference)
            for metric, reference in self.references.items()
        ]
        for name, sides in self.columns.items():
            count = len(complete_scores(self.rows, name, sides))
            if count < len(self.rows):
                remarks.append(
                    f"{self.headings[name]}: mean over {count} of "
                    f"{len(self.rows)} files, those with a score for every side"
                )
        noted = [f"{r['file']} ({r['notes']})" for r in self.rows if r["notes"]]
        remarks += self.remarks + list_files("with notes", noted)
        packages = dict.fromkeys(
            version
            for metric in self.references
            for version in metric.versions()
        )
        if packages:
            remarks.append(f"Measured with {', '.join(packages)}")
        listed = "".join(f"- {remark}\n" for remark in remarks)
        return f"{self.table()}\n\n{listed}"

    def write(self, folder: str | Path) -> None:
        """Write ``files.csv``, ``summary.md`` and ``report.html``.

        Arguments
        ---------
        folder : str or Path
            Created if necessary.

        Raises
        ------
        UserError
            If the files cannot be written.
        """
        try:
            write_text(Path(folder, "files.csv"), self.files_csv())
            write_text(Path(folder, "summary.md"), self.summary())
        except OSError as error:
            raise UserError(f"{folder}: cannot be written: {error}") from None
        write_html(folder)


def _markdown_table(lines: Sequence[Sequence[str]]) -> str:
    """Return a padded table; columns from the third on are right-aligned."""
    widths = [max(map(len, cells)) for cells in zip(*lines, strict=True)]
    rule = [f"{'':-<{w}}" for w in widths[:2]]
    rule += [f"{'':-<{w - 1}}:" for w in widths[2:]]
    rows = []
    for cells in [lines[0], rule, *lines[1:]]:
        padded = [
            cell.ljust(width) if index < 2 else cell.rjust(width)
            for index, (cell, width) in enumerate(
                zip(cells, widths, strict=True)
            )
        ]
        rows.append(f"| {' | '.join(padded)} |")
    return "\n".join(rows)


def _is_undefined(value: Any) -> bool:
    return isinstance(value, float) and not math.isfinite(value)
