"""The summary of an evaluation in Markdown: means, intervals and remarks.

An evaluated file has up to three recordings, called sides: ``input``,
``restored`` and ``clean``. The columns of ``files.csv`` are listed in
``miipher2.evaluation.scores``.

Authors
 * The miipher2 authors 2026
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from miipher2.dataio.atomic import write_text
from miipher2.errors import UserError
from miipher2.evaluation.group_statistics import GroupStatistics
from miipher2.evaluation.html_report import write_html
from miipher2.evaluation.matching import list_files
from miipher2.evaluation.scorer import Scorer
from miipher2.evaluation.scores import Scores, read_rows
from miipher2.evaluation.statistics import Statistics

MAX_CONDITIONS = 20  # with more, intervals are shown only for all files
# Headings of the columns that are always shown beside DNSMOS, because DNSMOS
# can rise even if words are lost
BESIDE_DNSMOS = {"speaker": "speaker", "wer": "WER %", "per": "PER %"}


def complete_scores(
    rows: Iterable[Mapping[str, Any]], column: str, sides: Iterable[str]
) -> np.ndarray:
    """Return the scores of the files that have a score for every side.

    Arguments
    ---------
    rows : list of dict
        One dict of scores per file, with keys such as ``restored_lsd``.
    column : str
        Name of the metric, for example ``lsd``.
    sides : list of str
        The sides, or the names of the systems compared.

    Returns
    -------
    numpy.ndarray
        Scores ``(files, sides)``.
    """
    keys = [f"{side}_{column}" for side in sides]
    scores = [[row.get(key, math.nan) for key in keys] for row in rows]
    array = np.array(scores, dtype=float).reshape(len(scores), len(keys))
    return array[np.isfinite(array).all(axis=1)]


def means(
    rows: Iterable[Mapping[str, Any]], column: str, sides: Iterable[str]
) -> dict[str, float]:
    """Return the mean score of each side.

    Arguments
    ---------
    rows : list of dict
        One dict of scores per file, with keys such as ``restored_lsd``.
    column : str
        Name of the metric, for example ``lsd``.
    sides : list of str
        The sides, or the names of the systems compared.

    Returns
    -------
    dict
        Mean by side, over the files with a score for every side; NaN without
        such files.

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
    """The scores of all files, and their statistics.

    Arguments
    ---------
    folder : str or Path
        The folder that contains ``files.csv``.
    scorer : Scorer
        Scorer with the metrics in ``files.csv``.
    remarks : list of str
        Further remarks for the end of the summary.

    Attributes
    ----------
    scores : Scores
        Numeric columns of ``files.csv``.
    statistics : GroupStatistics
        Means and intervals of the scores.
    """

    def __init__(
        self, folder: str | Path, scorer: Scorer, remarks: Iterable[str] = ()
    ) -> None:
        self.folder = Path(folder)
        self.files_csv = self.folder / "files.csv"
        self.scores = Scores(self.files_csv)
        self.statistics = GroupStatistics(self.scores)
        self.scorer = scorer
        self.further_remarks = list(remarks)
        self.headings = dict(scorer.headings)
        self.headline = [
            name
            for metric in scorer.references
            for name in metric.headline or metric.columns
        ]
        if "ovrl" in self.headline:
            self.unmeasured = [
                n for n in BESIDE_DNSMOS if n not in self.headings
            ]
            self.headline += self.unmeasured
            self.headings |= {n: BESIDE_DNSMOS[n] for n in self.unmeasured}
        else:
            self.unmeasured = []

    @property
    def failed(self) -> int:
        """Number of files that failed or are missing."""
        return sum(s in ("failed", "missing") for s in self.scores.status)

    def table(self) -> str:
        """Return the mean scores of each group and side as a Markdown table.

        The means of a metric are taken over the files with a score for every
        side.
        """
        lines = [["group", "side", "files"]]
        lines[0] += [self.headings[name] for name in self.headline]
        for group, mask in self.statistics.groups.items():
            for side in self.scorer.sides:
                means = [
                    self.statistics.of(group, name, side).mean
                    for name in self.headline
                ]
                files = str(int(mask.sum()))
                lines.append([group, side, files, *map(_number, means)])
        return _markdown_table(lines)

    def intervals(self, group: str) -> str:
        """Return the statistics of a group of files as a Markdown table.

        Arguments
        ---------
        group : str
            A condition, or ``all``.

        Returns
        -------
        str
            Table with one row per metric and side.
        """
        interval = "95 % interval"
        lines = [["metric", "side", "files", "mean", interval, "median"]]
        lines[0] += ["restored - input", interval]
        for name, sides in self.scorer.columns.items():
            change = self.statistics.of(group, name)
            for side in sides:
                stats = self.statistics.of(group, name, side)
                line = [self.headings[name], side, str(stats.files)]
                line += [
                    _number(stats.mean),
                    _interval(stats),
                    _number(stats.median),
                ]
                if change.files and side == "restored":
                    line += [f"{change.mean:+.2f}", _interval(change)]
                else:
                    line += ["-", "-"]
                lines.append(line)
        return _markdown_table(lines)

    def remarks(self) -> list[str]:
        """Return the remarks that explain the tables."""
        remarks = [
            metric.remark(reference)
            for metric, reference in self.scorer.references.items()
        ]
        for metric in self.scorer.references:
            [name, *_] = metric.headline or metric.columns
            count = self.statistics.of("all", name, "restored").files
            if count < len(self.scores):
                remarks.append(
                    f"{metric.names()}: means over the {count} of "
                    f"{len(self.scores)} files that have a score for every side"
                )
        if self.unmeasured:
            names = ", ".join(BESIDE_DNSMOS[name] for name in self.unmeasured)
            remarks.append(
                f"{names}: not measured. Do not judge by DNSMOS alone: it can "
                "rise even if words are lost or the voice changes"
            )
        noted = [
            f"{row['file']} ({row['notes']})"
            for row in read_rows(self.files_csv)
            if row["notes"]
        ]
        remarks += self.scorer.remarks + self.further_remarks
        remarks += list_files("with notes", noted)
        packages = dict.fromkeys(
            version
            for metric in self.scorer.references
            for version in metric.versions()
        )
        if packages:
            remarks.append(f"Measured with {', '.join(packages)}")
        return remarks

    def summary(self) -> str:
        """Return the tables and remarks, as Markdown.

        With more than ``MAX_CONDITIONS`` conditions, the tables of intervals
        for individual conditions are left out.
        """
        parts = [self.table()]
        *conditions, everything = self.statistics.groups
        parts += ["## All files", self.intervals(everything)]
        if len(conditions) <= MAX_CONDITIONS:
            for condition in conditions:
                parts += [f"## {condition}", self.intervals(condition)]
        remarks = self.remarks()
        remarks.append(
            "The 95 % intervals of the means are computed from 1000 bootstrap "
            "samples of the files; restored - input is the mean of the "
            "per-file differences"
        )
        listed = "".join(f"- {remark}\n" for remark in remarks)
        return "\n\n".join([*parts, listed])

    def write(self) -> None:
        """Write ``summary.md`` and ``report.html`` beside ``files.csv``.

        Raises
        ------
        UserError
            If a file cannot be written.
        """
        try:
            text = self.summary().encode("utf-8", "backslashreplace")
            write_text(self.folder / "summary.md", text.decode("utf-8"))
        except OSError as error:
            raise UserError(
                f"{self.folder}: cannot be written: {error}"
            ) from None
        write_html(self.folder, statistics=self.statistics)


def _number(value: float) -> str:
    return f"{value:.2f}" if math.isfinite(value) else "-"


def _interval(stats: Statistics) -> str:
    return f"{stats.low:.2f} to {stats.high:.2f}" if stats.files else "-"


def _markdown_table(lines: Sequence[Sequence[str]]) -> str:
    """Return a padded table; the first two columns are left-aligned."""
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
