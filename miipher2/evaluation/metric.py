"""What a metric is.

Authors
 * The miipher2 authors 2026
"""

import importlib
import importlib.metadata
import warnings
from typing import NamedTuple

import numpy as np

SAMPLE_RATE = 16000
NAN = float("nan")


class Clip(NamedTuple):
    """A recording as the metrics get it, at 16 kHz, neither empty nor silent.

    Arguments
    ---------
    wav : numpy.ndarray
        ``(time,)`` float32 in [-1, 1], as it was read.
    aligned : numpy.ndarray
        The same without its delay against the clean reference; None if there
        is no reference.
    """

    wav: np.ndarray
    aligned: np.ndarray = None


class Metric:
    """The contract: a metric listens to each side, then gives it a score.

    The sides are ``input``, ``restored`` and ``clean``. A subclass imports its
    packages in its constructor: if one is not installed, the metric is left
    out and the report says what to install.

    ``columns`` holds the headings of the scores by their names in the CSV;
    ``meaning`` says in a line what they are; ``packages`` what is imported,
    beside what pip calls it; ``install`` how to get them; ``against`` the
    sides that a score may compare with, the first that is there: empty for a
    score of one side alone.
    """

    columns = {}
    meaning = ""
    packages = {}
    install = "pip install 'miipher2[metrics]'"
    against = ()

    def __init__(self):
        for name in self.packages:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", DeprecationWarning)
                importlib.import_module(name)

    def versions(self):
        """Which packages measure.

        Returns
        -------
        list of str
            Names and versions.
        """
        found = []
        for package in self.packages.values():
            try:
                package += f" {importlib.metadata.version(package)}"
            except importlib.metadata.PackageNotFoundError:
                pass  # the module came by another package: named without
            found.append(package)
        return found

    def remark(self, target):
        """What the summary says of the columns.

        Arguments
        ---------
        target : str
            The side that the others are compared with, or None.

        Returns
        -------
        str
            A line.
        """
        columns = ", ".join(self.columns.values())
        against = f", {target} being the reference" if target else ""
        return f"{columns}: {self.meaning}{against}"

    def hear(self, file, clips):
        """Takes from each side what is compared; here the aligned samples.

        Arguments
        ---------
        file : str
            The restored file, relative to its folder.
        clips : dict
            ``Clip`` by side.

        Returns
        -------
        dict
            What was heard, by side.
        """
        return {side: clip.aligned for side, clip in clips.items()}

    def score(self, heard, target=None):
        """Gives one side its scores.

        Arguments
        ---------
        heard : object
            What ``hear`` gave for this side.
        target : object
            The same of the side to compare with.

        Returns
        -------
        list of float
            In the order of ``columns``; NaN where it is not defined.
        """
        raise NotImplementedError

    def target(self, sides):
        """Which side the others are compared with.

        Arguments
        ---------
        sides : list of str
            The sides of this evaluation, whether or not a file has them all.

        Returns
        -------
        str
            None for a score of one side alone, or if there is no such side.
        """
        return next((side for side in self.against if side in sides), None)

    def measure(self, file, clips, target):
        """Scores the sides of a file.

        Arguments
        ---------
        file : str
            The restored file, relative to its folder.
        clips : dict
            ``Clip`` by side.
        target : str
            The side to compare with; see ``target``.

        Returns
        -------
        dict
            The scores by side, without those of the target; empty if the file
            lacks the target.
        """
        if self.against and target not in clips:
            return {}
        heard = self.hear(file, clips)
        goal = heard.pop(target, None)
        return {side: self.score(what, goal) for side, what in heard.items()}
