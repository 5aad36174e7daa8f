"""Means and medians of scores, and bootstrap confidence intervals of the means.

Authors
 * The miipher2 authors 2026
"""

from typing import NamedTuple

import numpy as np

RESAMPLES = 1000
BATCH = 2**20  # random numbers drawn at once
NAN = float("nan")


class Statistics(NamedTuple):
    """Statistics of one score over files.

    Arguments
    ---------
    files : int
        Number of files that have the score.
    mean, low, high : float
        The mean and the limits of its 95 % confidence interval; NaN without
        files.
    median : float
        The median; NaN without files.
    """

    files: int
    mean: float
    low: float
    high: float
    median: float


def statistics(values: np.ndarray, seed: int = 0) -> list[Statistics]:
    """Return the statistics of several columns.

    The confidence intervals are computed by the percentile bootstrap: 1000
    resamples of the files are drawn with replacement. An interval shows how
    much the mean depends on the choice of files, provided that the files are
    independent. It is too narrow if many files are from the same speaker.

    Arguments
    ---------
    values : numpy.ndarray
        ``(files, columns)``; NaN where a file has no score.
    seed : int
        Seed of the bootstrap. Equal seeds give equal intervals.

    Returns
    -------
    list of Statistics
        The statistics of each column.

    Example
    -------
    >>> values = np.random.default_rng(1).normal(3.0, 1.0, (400, 1))
    >>> [found] = statistics(values)
    >>> f"{found.mean:.2f} [{found.low:.2f}, {found.high:.2f}]"
    '2.92 [2.83, 3.01]'
    """
    known = np.isfinite(values)
    low, high = bootstrap(values, seed)
    found = []
    for index in range(values.shape[1]):
        column = values[known[:, index], index]
        mean = median = NAN
        if len(column):
            mean, median = float(column.mean()), float(np.median(column))
        found.append(
            Statistics(
                len(column), mean, float(low[index]), float(high[index]), median
            )
        )
    return found


def bootstrap(values: np.ndarray, seed: int = 0) -> np.ndarray:
    """Return the 95 % confidence interval of the mean of each column.

    Arguments
    ---------
    values : numpy.ndarray
        ``(files, columns)``; NaN where a file has no score. The same files are
        drawn for all columns.
    seed : int
        Seed of the bootstrap. Equal seeds give equal intervals.

    Returns
    -------
    numpy.ndarray
        Lower and upper limits ``(2, columns)``; NaN for a column without
        scores.
    """
    files, columns = values.shape
    interval = np.full((2, columns), NAN)
    if not files:
        return interval
    known = np.isfinite(values)
    filled = np.where(known, values, 0.0)
    weights = known.astype(float)
    rng = np.random.default_rng(seed)
    means = np.full((RESAMPLES, columns), NAN)
    step = max(1, BATCH // files)
    for start in range(0, RESAMPLES, step):
        stop = min(start + step, RESAMPLES)
        drawn = rng.integers(files, size=(stop - start, files))
        counts = np.stack(
            [np.bincount(files_drawn, minlength=files) for files_drawn in drawn]
        ).astype(float)
        number = counts @ weights
        np.divide(
            counts @ filled, number, out=means[start:stop], where=number > 0
        )
    some = known.any(axis=0)
    interval[:, some] = np.nanpercentile(means[:, some], [2.5, 97.5], axis=0)
    return interval
