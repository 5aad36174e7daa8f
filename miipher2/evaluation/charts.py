"""Data for the tables and charts in ``report.html``.

An evaluated file has up to three recordings, called sides: ``input``,
``restored`` and ``clean``.

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

BINS = 24  # in each histogram
MAX_POINTS = 2000  # in the scatter plot, not counting files with a player

Json = dict[str, Any]


class Display(NamedTuple):
    """Display settings of a metric.

    Arguments
    ---------
    label : str
        Heading of the metric.
    better : str
        Direction of better scores, "higher" or "lower"; None if unknown.
    digits : int
        Number of decimal places.
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
# Direction of better scores and number of decimal places, in display order.
# Error rates and speaker similarity directly follow OVRL, which reflects
# neither the words nor the voice.
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
# Error types by suffix of their columns
ERROR_TYPES = {"sub": "substitutions", "ins": "insertions", "del": "deletions"}
# Scores without a histogram and without a column in the table of files
DETAILS = {
    **{f"cer_{suffix}": ("lower", 1) for suffix in ERROR_TYPES},
    **{f"wer_{suffix}": ("lower", 1) for suffix in ERROR_TYPES},
    "loop": ("lower", 3),
}
# Title, short title and metrics of each question, the most important metric
# first
QUESTIONS = (
    ("Does the speech sound better?", "Quality", ("ovrl", "p808", "pesq_wb")),
    ("Are the words the same?", "Words", ("cer", "per", "wer")),
    ("Is the voice the same?", "Voice", ("speaker",)),
)


def known_metrics(scores: Scores) -> dict[str, Display]:
    """Return the metrics that have a score for at least one restored file.

    Arguments
    ---------
    scores : Scores
        Scores of all files.

    Returns
    -------
    dict
        Display settings by metric, in the order of ``STYLES`` and ``DETAILS``;
        other metrics, except ``delay_ms``, follow.
    """
    prefix = "restored_"
    found = [
        column.removeprefix(prefix)
        for column, values in scores.columns.items()
        if column.startswith(prefix) and np.isfinite(values).any()
    ]
    names = [m for m in (*STYLES, *DETAILS) if m in found]
    names += [m for m in found if m not in names and m != "delay_ms"]
    return {name: _display(name) for name in names}


def _display(name: str) -> Display:
    better, digits = (STYLES | DETAILS).get(name, (None, 2))
    label, meaning = LABELS.get(name, name), MEANINGS.get(name, "")
    return Display(label, better, digits, meaning, listed=name not in DETAILS)


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
        Names of the metrics, for example ``lsd``.

    Returns
    -------
    list of dict
        One dict per metric: ``files`` is the number of files with a score for
        every side, ``mean`` and ``median`` are dicts by side, and ``change``
        has the statistics of the change from input to restored. ``change`` is
        None if ``files`` is 0 or the inputs have no scores.
    """
    found = []
    for metric in metrics:
        sides = {s: statistics.of(group, metric, s) for s in SIDES}
        change = statistics.of(group, metric)
        found.append(
            {
                "files": sides["restored"].files,
                "mean": {s: stats.mean for s, stats in sides.items()},
                "median": {s: stats.median for s, stats in sides.items()},
                "change": change._asdict() if change.files else None,
            }
        )
    return found


def histogram(scores: Scores, metric: str) -> Json | None:
    """Return the histograms of a metric, one for each side.

    Arguments
    ---------
    scores : Scores
        Scores of all files.
    metric : str
        Name of the metric, for example ``lsd``.

    Returns
    -------
    dict
        ``low`` and ``high`` are the limits of the bins, ``shares`` are the
        fractions of files in each bin by side, and ``medians`` are the medians
        by side. Scores outside the limits are counted in the outermost bins.
        None if there are no scores.
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
    """Return the limits of an axis, about the 1st and 99th percentiles."""
    low, high = np.quantile(values, (0.01, 0.99)).tolist()
    if LABELS.get(metric, "").endswith("%"):
        low, high = max(low, -100.0), min(high, 100.0)
    return (low, high) if high > low else (low - 0.5, high + 0.5)


def scatter_axis(scores: Scores, metric: str) -> tuple[Json, np.ndarray]:
    """Return an axis of the scatter plot and the values on this axis.

    Arguments
    ---------
    scores : Scores
        Scores of all files.
    metric : str
        Name of the metric, for example ``lsd``.

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
        label = f"change in {label}"
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
    """Choose the files to show in the scatter plot.

    Arguments
    ---------
    values : numpy.ndarray
        ``(files,)``; files whose value is NaN are never chosen.
    always : list of int
        Indices of files with a player, which are chosen in addition.

    Returns
    -------
    list of int
        Indices of at most 2000 files and of the files in ``always``. The
        random choice has a fixed seed.
    """
    known = np.flatnonzero(np.isfinite(values))
    if len(known) > MAX_POINTS:
        random = np.random.default_rng(0)
        chosen = random.choice(known, MAX_POINTS, replace=False)
        known = np.union1d(chosen, np.intersect1d(known, always))
    return known.tolist()
