"""The page ``report.html``: summary, charts, players and a table of files.

An evaluated file has up to three recordings, called sides: ``input``,
``restored`` and ``clean``.

Authors
 * The miipher2 authors 2026
"""

import html
import json
import math
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from miipher2.dataio.atomic import write_text
from miipher2.dataio.wording import count
from miipher2.errors import UserError
from miipher2.evaluation.charts import (
    ERROR_TYPES,
    LABELS,
    QUESTIONS,
    Json,
    choose_points,
    group_scores,
    histogram,
    known_metrics,
    scatter_axis,
)
from miipher2.evaluation.excerpts import excerpts
from miipher2.evaluation.group_statistics import GroupStatistics
from miipher2.evaluation.ranking import rank
from miipher2.evaluation.scores import SIDES, Row, Scores, read_rows

TEMPLATES = Path(__file__).with_name("html")
WORST, RANDOM = 20, 10  # maximum numbers of files with players
MAX_ROWS = 1000  # rows of the table of files
MAX_NOTED = 200  # rows per table of failed files or of files with notes
MAX_BYTES = 20e6  # of base64 audio, to keep the page below 25 MB


def write_html(
    folder: str | Path,
    title: str = "Evaluation of restored speech",
    statistics: GroupStatistics | None = None,
) -> None:
    """Write ``report.html``, a web page that loads nothing from the network.

    The page is built from ``files.csv`` and, if ``summary.md`` exists, from the
    list at the end of that file. If a recording cannot be read at its path in
    ``files.csv``, the page shows the reason instead of a player.

    Arguments
    ---------
    folder : str or Path
        Output folder of ``miipher2 evaluate``, where ``report.html`` is
        written.
    title : str
        Heading of the page.
    statistics : GroupStatistics
        Statistics of ``files.csv``. None to compute them.

    Raises
    ------
    UserError
        If files.csv or summary.md cannot be read, or the page cannot be
        written.

    Example
    -------
    >>> write_html("report", title="whisper24 on VCTK")  # doctest: +SKIP
    """
    output = Path(folder, "report.html")
    remarks = _remarks(Path(folder, "summary.md"))
    files_csv = Path(folder, "files.csv")
    if statistics is None:
        statistics = GroupStatistics(Scores(files_csv))
    data = Page(files_csv, statistics, remarks).data()
    parts = {
        "title": html.escape(title.encode("utf-8", "replace").decode("utf-8")),
        # "<" in a file name could end the script element.
        "data": json.dumps(data, separators=(",", ":")).replace("<", "\\u003c"),
    }
    page = re.sub(
        r"\{\{([a-z.]+)\}\}",
        lambda found: (
            parts[found[1]] if found[1] in parts else _template(found[1])
        ),
        _template("report.html"),
    )
    try:
        write_text(output, page)
    except OSError as error:
        raise UserError(f"{output}: cannot be written: {error}") from None


def _remarks(summary: Path) -> list[str]:
    """Return the items of the list in ``summary.md``."""
    try:
        lines = summary.read_text("utf-8", "surrogateescape").splitlines()
    except FileNotFoundError:
        return []
    except OSError as error:
        raise UserError(
            f"{summary}: cannot be read: {error.strerror}"
        ) from None
    return [line.removeprefix("- ") for line in lines if line.startswith("- ")]


def _template(name: str) -> str:
    return (TEMPLATES / name).read_text("utf-8").rstrip("\n")


class Page:
    """The data of ``report.html``.

    The scores of all files are kept in memory, but complete rows only for the
    files that the page lists.

    Arguments
    ---------
    files_csv : str or Path
        The file written by ``miipher2 evaluate``.
    statistics : GroupStatistics
        Statistics of the scores in ``files_csv``.
    remarks : list of str
        Remarks to list at the end of the page.
    """

    def __init__(
        self,
        files_csv: str | Path,
        statistics: GroupStatistics,
        remarks: list[str],
    ) -> None:
        self.remarks = remarks
        self.statistics = statistics
        self.scores = statistics.scores
        self.metrics = known_metrics(self.scores)
        self.groups = statistics.groups
        self.sides = [
            side
            for side in SIDES
            if any(side in self.scores.sides(m) for m in self.metrics)
        ]
        self.ranking = rank(self.scores)
        self.listed = self.ranking.order[:MAX_ROWS].tolist()
        rest = np.sort(self.ranking.order[WORST:])
        random = np.random.default_rng(0).permutation(rest)[:RANDOM].tolist()
        self.worst = self.listed[:WORST]
        self.played = [*self.worst, *random]  # files with a player
        self.failed: list[int] = []
        self.noted: list[int] = []
        self.rows = self._read_rows(files_csv)

    def _read_rows(self, files_csv: str | Path) -> dict[int, Row]:
        """Return the listed rows by index; find failed files and notes."""
        wanted = {*self.listed, *self.played}
        rows = {}
        for index, row in enumerate(read_rows(files_csv)):
            listed = None
            if row.get("status") in ("failed", "missing"):
                listed = self.failed
            elif row["notes"]:
                listed = self.noted
            if listed is not None:
                listed.append(index)
            short = listed is not None and len(listed) <= MAX_NOTED
            if short or index in wanted:
                rows[index] = row
        return rows

    def data(self) -> Json:
        """Return the data of the page, which can be converted to JSON."""
        found = {
            "sides": self.sides,
            "conditions": len(self.groups) > 1,
            "metrics": [
                {"name": name, **shown._asdict()}
                for name, shown in self.metrics.items()
            ],
            "texts": self._texts(),
            "questions": self._questions(),
            "groups": [
                {
                    "name": name,
                    "files": int(members.sum()),
                    "scores": group_scores(self.statistics, name, self.metrics),
                }
                for name, members in self.groups.items()
            ],
            "histograms": [
                histogram(self.scores, name) if shown.listed else None
                for name, shown in self.metrics.items()
            ],
            "scatter": self._scatter(),
            "players": self._players(),
            "rows": [
                self._row(i, place) for place, i in enumerate(self.listed)
            ],
            "failed": self._list(self.failed),
            "noted": self._list(self.noted),
            "remarks": self.remarks,
        }
        return _finite(found)

    def _texts(self) -> dict[str, str]:
        files, failed = len(self.scores), len(self.failed)
        minutes = float(np.nansum(self.scores["seconds"])) / 60
        length = f"{minutes:.1f} minutes"
        if minutes > 120:
            length = f"{minutes / 60:.1f} hours"
        overview = [count(files, "file"), length]
        if len(self.groups) > 1:
            overview.append(count(len(self.groups) - 1, "condition"))
        overview.append(f"{failed:,} failed or missing")
        rule = (
            "Files are ranked by the changes in CER, PER, speaker similarity "
            "and OVRL from the input, or by the scores if the input has none: "
            "first the worst file by each of these metrics, then the second "
            "worst file by each, and so on."
        )
        shown = f"{count(len(self.listed), 'file')}, worst first."
        if len(self.ranking.order) > len(self.listed):
            shown = (
                f"The worst {len(self.listed):,} of "
                f"{len(self.ranking.order):,} files; files.csv contains all "
                "of them."
            )
        return {
            "overview": ", ".join(overview),
            "conditions": "Mean scores, input → restored, and the mean "
            "change with its 95 % confidence interval.",
            "scatter": "Files at the bottom right have a higher predicted "
            "quality (OVRL) and fewer recognition errors. Large points mark "
            "files with a player. Points outside the range of an axis are "
            "drawn at its end.",
            "no_scatter": "This chart needs OVRL and one of CER, PER and WER.",
            "listen": f"{rule} A player plays up to 10 s from the start of "
            "each recording of a file. To compare two recordings, start the "
            "second one while the first one is playing: it continues at the "
            "same position.",
            "files": f"{shown} {rule}",
        }

    def _questions(self) -> list[Json]:
        questions = []
        for title, short, names in QUESTIONS:
            known = [name for name in names if name in self.metrics]
            questions.append(
                {
                    "title": title,
                    "short": short,
                    "metrics": known,
                    "missing": "Not measured; see the notes.",
                    "extra": self._counts() if short == "Words" else "",
                }
            )
        return questions

    def _counts(self) -> str:
        """Return text with the rate of each error type and the loop count."""
        text = ""
        for unit in ("cer", "wer"):
            if f"{unit}_sub" in self.metrics:
                parts = []
                for suffix, name in ERROR_TYPES.items():
                    values = self.scores[f"restored_{unit}_{suffix}"]
                    parts.append(f"{np.nanmean(values):.1f} % {name}")
                text = f"{unit.upper()}: {', '.join(parts)}. "
                break
        loops = int(np.nansum(self.scores["restored_loop"]))
        if loops:
            text += f"The recogniser repeats itself in {count(loops, 'file')}."
        return text.strip()

    def _scatter(self) -> Json | None:
        words = [m for m in ("cer", "per", "wer") if m in self.metrics]
        if not words or "ovrl" not in self.metrics:
            return None
        x_axis, x = scatter_axis(self.scores, "ovrl")
        axes, columns = zip(
            *(scatter_axis(self.scores, m) for m in words), strict=True
        )
        for metric, axis, y in zip(words, axes, columns, strict=True):
            known = np.isfinite(x) & np.isfinite(y)
            axis["text"] = ""
            if known.any() and x_axis["change"] and axis["change"]:
                better = np.mean(x[known] > 0)
                both = np.mean((x > 0)[known] & (y > 0)[known])
                axis["text"] = (
                    f"OVRL rose in {100 * better:.0f} % of the files. "
                    f"OVRL and {LABELS[metric].rstrip(' %')} both rose in "
                    f"{100 * both:.0f} %."
                )
        return {
            "x": x_axis,
            "ys": axes,
            "points": [
                [
                    self.scores.files[i],
                    self.scores.conditions[i],
                    self._player(i),
                    float(x[i]),
                    [float(y[i]) for y in columns],
                ]
                for i in choose_points(x, self.played)
            ],
        }

    def _player(self, index: int) -> int | None:
        return self.played.index(index) if index in self.played else None

    def _values(self, metric: str, index: int) -> list[float]:
        return [float(self.scores[f"{s}_{metric}"][index]) for s in SIDES]

    def _players(self) -> list[Json]:
        budget = MAX_BYTES / max(1, len(self.played))
        return [
            self._card(place, index, budget)
            for place, index in enumerate(
                tqdm(self.played, "report.html", unit="file", disable=None)
            )
        ]

    def _card(self, place: int, index: int, max_bytes: float) -> Json:
        """Return the data of one player."""
        row = self.rows[index]
        paths = {s: str(row.get(f"{s}_path", "")) for s in SIDES}
        found = excerpts({s: p for s, p in paths.items() if p}, max_bytes)
        texts = [str(row.get("condition", ""))]
        if place < len(self.worst):
            metric = self.ranking.criterion[place]
            number = self.ranking.place[place]
            texts.append(f"{_worst(number)} by {LABELS[metric].rstrip(' %')}")
        duration = float(self.scores["seconds"][index])
        if found["seconds"] < duration - 0.1:
            texts.append(
                f"the first {found['seconds']:.1f} s of {duration:.1f} s"
            )
        names = [m for _, _, ms in QUESTIONS for m in ms if m in self.metrics]
        return {
            "file": row["file"],
            "kind": "worst" if place < len(self.worst) else "random",
            "text": ", ".join(text for text in texts if text),
            "scores": [
                [n, dict(zip(SIDES, self._values(n, index), strict=True))]
                for n in names
            ],
            **found,
        }

    def _row(self, index: int, place: int) -> Json:
        row = self.rows[index]
        return {
            "rank": place,
            "file": row["file"],
            "condition": row.get("condition", ""),
            "seconds": float(self.scores["seconds"][index]),
            "notes": row["notes"],
            "player": self._player(index),
            "scores": [self._values(m, index) for m in self.metrics],
        }

    def _list(self, indices: Sequence[int]) -> Json:
        rows = [self.rows[i] for i in indices[:MAX_NOTED]]
        return {
            "total": len(indices),
            "rows": [[row["file"], row["notes"]] for row in rows],
        }


def _worst(place: int) -> str:
    """Return "worst", "2nd worst", and so on, for places up to 20."""
    if place == 1:
        return "worst"
    return f"{place}{ {2: 'nd', 3: 'rd'}.get(place, 'th') } worst"


def _finite(value: Any) -> Any:
    """Round floats to 4 decimal places; replace NaN and infinity with None."""
    if isinstance(value, float):
        return round(value, 4) if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: _finite(v) for key, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(v) for v in value]
    return value
