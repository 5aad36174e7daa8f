"""Data of the tables and charts of ``report.html``.

Authors
 * The miipher2 authors 2026
"""

from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np

from miipher2.evaluation.group_statistics import GroupStatistics
from miipher2.evaluation.metrics import METRICS
from miipher2.evaluation.ranking import change
from miipher2.evaluation.scores import SIDES, Scores

BINS = 24
MAX_POINTS = 2000  # in the scatter plot

Json = dict[str, Any]


class Shown(NamedTuple):
    """Display settings of a metric.

    Arguments
    ---------
    label : str
        Heading of the metric.
    better : str
        "higher" or "lower"; None if neither.
    digits : int
        Number of digits after the decimal point.
    meaning : str
        A short explanation.
    listed : bool
        Whether the metric has a histogram and a column in the table of files.
    """

    label: str
    better: str | None
    digits: int
    meaning: str
    listed: bool = True


LABELS = {
    name: label
    for metric in METRICS.values()
    for name, label in metric.columns.items()
}
MEANINGS = {
    name: metric.meaning
    for metric in METRICS.values()
    for name in metric.columns
}
# The better direction and the number of digits after the decimal point. Words
# and voice follow the quality directly, because it does not measure them.
STYLES = {
    "ovrl": ("higher", 2),
    "cer": ("lower", 1),
    "per": ("lower", 1),
    "wer": ("lower", 1),
    "speaker": ("higher", 3),
    "p808": ("higher", 2),
    "sig": ("higher", 2),
    "bak": ("higher", 2),
    "pesq_wb": ("higher", 2),
    "estoi": ("higher", 3),
    "sisdr": ("higher", 1),
    "lsd": ("lower", 2),
    "mcd": ("lower", 2),
}
# Kinds of errors, which are only in the table of means
COUNTED = {"sub": "substitutions", "ins": "insertions", "del": "deletions"}
PARTS = {
    **{f"cer_{kind}": ("lower", 1) for kind in COUNTED},
    **{f"wer_{kind}": ("lower", 1) for kind in COUNTED},
    "loop": ("lower", 3),
}
# Title, short title and metrics of each question. The most important metric is
# the first one.
QUESTIONS = (
    ("Does it sound better?", "Quality", ("ovrl", "p808", "pesq_wb")),
    ("Are the words still there?", "Words", ("cer", "per", "wer")),
    ("Is it still the same voice?", "Voice", ("speaker",)),
)


def known_metrics(scores: Scores) -> dict[str, Shown]:
    """Return the metrics with at least one score of the restored side.

    Arguments
    ---------
    scores : Scores
        Scores of all files.

    Returns
    -------
    dict
        ``Shown`` by metric, in the order of ``STYLES``; metrics that are not in
        ``STYLES`` follow.
    """
    prefix = "restored_"
    found = [
        column.removeprefix(prefix)
        for column, values in scores.columns.items()
        if column.startswith(prefix) and np.isfinite(values).any()
    ]
    names = [m for m in (*STYLES, *PARTS) if m in found]
    names += [m for m in found if m not in names and m != "delay_ms"]
    return {name: _shown(name) for name in names}


def _shown(name: str) -> Shown:
    better, digits = (STYLES | PARTS).get(name, (None, 2))
    label, meaning = LABELS.get(name, name), MEANINGS.get(name, "")
    return Shown(label, better, digits, meaning, listed=name not in PARTS)


def group_scores(
    statistics: GroupStatistics, group: str, metrics: Iterable[str]
) -> list[Json]:
    """Return the statistics of a group of files.

    Arguments
    ---------
    statistics : GroupStatistics
        Statistics of all files.
    group : str
        A condition, or ``all``.
    metrics : iterable of str
        For example ``lsd``.

    Returns
    -------
    list of dict
        One dict per metric: the number of ``files`` with a score for every
        side, ``mean`` and ``median`` by side, and the mean ``change`` from
        input to restored with its 95 % interval ``low`` to ``high``. ``change``
        is None without an input side.
    """
    found = []
    for metric in metrics:
        sides = {s: statistics.of(group, metric, s) for s in SIDES}
        change = statistics.of(group, metric)
        found.append(
            {
                "files": sides["restored"].files,
                "mean": {side: of.mean for side, of in sides.items()},
                "median": {side: of.median for side, of in sides.items()},
                "change": change._asdict() if change.files else None,
            }
        )
    return found


def histogram(scores: Scores, metric: str) -> Json | None:
    """Return the distribution of a metric on each side.

    Arguments
    ---------
    scores : Scores
        Scores of all files.
    metric : str
        For example ``lsd``.

    Returns
    -------
    dict
        Range ``low`` to ``high``, ``shares`` of the bins and ``medians`` by
        side. Scores beyond the range are in the outer bins. None if there are
        no scores.
    """
    sides = {}
    for side in scores.sides(metric):
        values = scores[f"{side}_{metric}"]
        sides[side] = values[np.isfinite(values)]
    sides = {side: values for side, values in sides.items() if len(values)}
    if not sides:
        return None
    low, high = _range(metric, np.concatenate(list(sides.values())))
    shares = {
        side: np.histogram(np.clip(values, low, high), BINS, (low, high))[0]
        / len(values)
        for side, values in sides.items()
    }
    return {
        "low": low,
        "high": high,
        "shares": {side: values.tolist() for side, values in shares.items()},
        "medians": {s: float(np.median(values)) for s, values in sides.items()},
    }


def _range(metric: str, values: np.ndarray) -> tuple[float, float]:
    """Return the range of all but the extreme 1 % at either end."""
    low, high = np.quantile(values, (0.01, 0.99)).tolist()
    if LABELS.get(metric, "").endswith("%"):
        low, high = max(low, -100.0), min(high, 100.0)
    return (low, high) if high > low else (low - 0.5, high + 0.5)


def scatter_axis(scores: Scores, metric: str) -> tuple[Json, np.ndarray]:
    """Return an axis of the scatter plot and its values.

    Arguments
    ---------
    scores : Scores
        Scores of all files.
    metric : str
        For example ``lsd``.

    Returns
    -------
    axis : dict
        ``label``, ``low``, ``high``, and ``change``: whether the axis shows the
        change from input to restored.
    values : numpy.ndarray
        ``(files,)``, the value of each file.
    """
    values = change(scores, metric)
    low, high = _range(metric, values[np.isfinite(values)])
    label = LABELS[metric]
    is_change = "input" in scores.sides(metric)
    if is_change:
        label = f"change of {label}"
        low, high = min(low, 0.0), max(high, 0.0)
    margin = 0.04 * (high - low)
    axis = {
        "label": label,
        "low": low - margin,
        "high": high + margin,
        "change": is_change,
    }
    return axis, values


def choose_points(values: np.ndarray, always: list[int]) -> list[int]:
    """Choose the files of the scatter plot.

    Arguments
    ---------
    values : numpy.ndarray
        ``(files,)``; files with NaN are left out.
    always : list of int
        Files with a player, which are never left out.

    Returns
    -------
    list of int
        Indices of at most about 2,000 files. The choice is deterministic.
    """
    known = np.flatnonzero(np.isfinite(values))
    if len(known) > MAX_POINTS:
        random = np.random.default_rng(0)
        chosen = random.choice(known, MAX_POINTS, replace=False)
        known = np.union1d(chosen, np.intersect1d(known, always))
    return known.tolist()
