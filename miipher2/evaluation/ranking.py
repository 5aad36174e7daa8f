"""Ranking of files from worst to best.

Authors
 * The miipher2 authors 2026
"""

from typing import NamedTuple

import numpy as np

from miipher2.evaluation.scores import Scores

# Metrics that rank the files, and whether higher scores are better
CRITERIA = {"cer": False, "per": False, "speaker": True, "ovrl": True}


class Ranking(NamedTuple):
    """Files from worst to best, with the metric that determines each rank.

    Arguments
    ---------
    order : numpy.ndarray
        ``(files,)`` indices of the ranked files.
    criterion : list of str
        The metric that determines the place of each file in ``order``.
    place : list of int
        Place of each file in a ranking by ``criterion`` alone; 1 is the worst.
    """

    order: np.ndarray
    criterion: list[str]
    place: list[int]


def change(scores: Scores, metric: str) -> np.ndarray:
    """Return the change in a metric from input to restored.

    Arguments
    ---------
    scores : Scores
        Scores of all files.
    metric : str
        Name of the metric, for example ``lsd``.

    Returns
    -------
    numpy.ndarray
        ``(files,)``, the score of the restored file minus the score of the
        input. If the inputs have no scores, for example because they are the
        reference, the score of the restored file alone.
    """
    restored = scores[f"restored_{metric}"]
    if "input" not in scores.sides(metric):
        return restored
    return restored - scores[f"input_{metric}"]


def rank(scores: Scores) -> Ranking:
    """Sort files from worst to best.

    The files are sorted by ``change``, separately for each metric of
    ``CRITERIA``. The ranking starts with the worst file of every metric,
    followed by the second worst file of every metric, and so on.

    Arguments
    ---------
    scores : Scores
        Scores of all files.

    Returns
    -------
    Ranking
        The ranking of all files for which ``change`` is defined for at least
        one metric in ``CRITERIA``.

    Example
    -------
    >>> path = getfixture("tmp_path") / "files.csv"
    >>> lines = ["file,restored_cer,restored_ovrl,notes"]
    >>> lines += ["a,0,3,", "b,50,3.5,", "c,5,2,", "d,,,silent"]
    >>> _ = path.write_text("\\n".join(lines))
    >>> rank(Scores(path))
    Ranking(order=array([1, 2, 0]), criterion=['cer', 'ovrl', 'ovrl'],
        place=[1, 1, 2])
    """
    used = [m for m in CRITERIA if np.isfinite(change(scores, m)).any()]
    places = np.full((len(used), len(scores)), len(scores) + 1)
    for index, metric in enumerate(used):
        values = change(scores, metric)
        known = np.flatnonzero(np.isfinite(values))
        harm = -values[known] if CRITERIA[metric] else values[known]
        worst_first = known[np.argsort(-harm, kind="stable")]
        places[index, worst_first] = np.arange(1, len(known) + 1)
    if not used:
        return Ranking(np.arange(0), [], [])
    best, criterion = places.min(axis=0), places.argmin(axis=0)
    order = np.lexsort((criterion, best))
    order = order[best[order] <= len(scores)]
    return Ranking(
        order, [used[i] for i in criterion[order]], best[order].tolist()
    )
