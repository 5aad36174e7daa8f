"""Statistics of all scores, by group of files.

A group contains the files of one condition, or all files. The sides of a file
are its recordings ``input``, ``restored`` and ``clean``.

Authors
 * The miipher2 authors 2026
"""

import numpy as np

from miipher2.evaluation.scores import Scores
from miipher2.evaluation.statistics import NAN, Statistics, statistics

CHANGE = "change"  # restored minus input, file by file
EMPTY = Statistics(0, NAN, NAN, NAN, NAN)


class GroupStatistics:
    """Statistics of each metric and side, computed once for each group.

    Arguments
    ---------
    scores : Scores
        Scores of all files.

    Attributes
    ----------
    groups : dict
        Mask of files by group; see ``Scores.groups``.

    Example
    -------
    >>> path = getfixture("tmp_path") / "files.csv"
    >>> lines = ["file,input_lsd,restored_lsd,notes"]
    >>> lines += ["a,3,1,", "b,5,2,", "c,,9,"]
    >>> _ = path.write_text("\\n".join(lines))
    >>> found = GroupStatistics(Scores(path))
    >>> found.of("all", "lsd", "restored").mean, found.of("all", "lsd").mean
    (1.5, -2.5)
    """

    def __init__(self, scores: Scores) -> None:
        self.scores = scores
        self.groups = scores.groups()
        self._found: dict[str, dict[tuple[str, str], Statistics]] = {}

    def of(self, group: str, metric: str, side: str = CHANGE) -> Statistics:
        """Return the statistics of a metric and side.

        Arguments
        ---------
        group : str
            A key of ``groups``.
        metric : str
            Name of the metric, for example ``lsd``.
        side : str
            One of ``SIDES``, or ``CHANGE`` for restored minus input.

        Returns
        -------
        Statistics
            Statistics over the files with a score for every side. If there are
            no such files, ``files`` is 0 and all other fields are NaN.
        """
        if group not in self._found:
            self._found[group] = self._measure(self.groups[group])
        return self._found[group].get((metric, side), EMPTY)

    def _measure(
        self, members: np.ndarray
    ) -> dict[tuple[str, str], Statistics]:
        """Return the statistics by metric and side."""
        columns: dict[tuple[str, str], np.ndarray] = {}
        for metric in self.scores.metrics():
            found = self.scores.complete(metric)
            if "input" in found and "restored" in found:
                found[CHANGE] = found["restored"] - found["input"]
            for side, values in found.items():
                columns[metric, side] = values[members]
        if not columns:
            return {}
        values = np.stack(list(columns.values()), axis=1)
        return dict(zip(columns, statistics(values), strict=True))
