"""The base class of all metrics and its input.

Authors
 * The miipher2 authors 2026
"""

import hashlib
import importlib
import importlib.metadata
import warnings
from collections.abc import Callable, Hashable, Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np

SAMPLE_RATE = 16000
NAN = float("nan")
MAX_KNOWN = 256  # waveforms of which a result is kept


class Clip(NamedTuple):
    """The input of the metrics: a recording at 16 kHz, not empty or silent.

    Arguments
    ---------
    wav : numpy.ndarray
        ``(time,)`` float32 in [-1, 1], as read from the file.
    aligned : numpy.ndarray
        The recording without its delay relative to the clean reference; None if
        there is no reference.
    """

    wav: np.ndarray
    aligned: np.ndarray | None = None


class Remembered:
    """Results of a function for the last waveforms.

    One clean recording is often the reference of several files.

    Arguments
    ---------
    function : callable
        Its first argument is a waveform ``(time,)``.

    Example
    -------
    >>> length = Remembered(lambda wav: print("computed") or len(wav))
    >>> length(np.ones(3)), length(np.ones(3))
    computed
    (3, 3)
    """

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function = function
        self.known: dict[tuple, Any] = {}

    def __call__(self, wav: np.ndarray, *arguments: Hashable) -> Any:
        key = hashlib.sha256(wav.tobytes()).digest(), *arguments
        if key not in self.known:
            if len(self.known) >= MAX_KNOWN:
                self.known.pop(next(iter(self.known)))
            self.known[key] = self.function(wav, *arguments)
        return self.known[key]


class Metric:
    """Base class of all metrics.

    A recording has up to three sides: ``input``, ``restored`` and ``clean``. A
    metric first extracts the features of every side, then scores each side
    against the reference side. A subclass imports its packages in its
    constructor; if one is not installed, the metric is left out and the report
    says what to install.

    Class attributes:

    - ``columns``: dict from the score's name in the CSV file to its heading.
    - ``headline``: the columns of the summary's first table; all if empty.
    - ``meaning``: one line that explains the scores.
    - ``packages``: dict from the module to import to the name for pip.
    - ``reference_sides``: sides that can serve as the reference, the preferred
      one first; empty for metrics without a reference.

    Attributes
    ----------
    notes : list of str
        Remarks on the most recently measured file.
    """

    columns: Mapping[str, str] = {}
    headline: tuple[str, ...] = ()
    meaning = ""
    packages: Mapping[str, str] = {}
    reference_sides: tuple[str, ...] = ()

    def __init__(self) -> None:
        self.notes: list[str] = []
        for name in self.packages:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", DeprecationWarning)
                importlib.import_module(name)

    @classmethod
    def names(cls) -> str:
        """Return the headings of the headline columns."""
        return ", ".join(cls.columns[n] for n in cls.headline or cls.columns)

    @classmethod
    def install(cls) -> str:
        """Return the command that installs the packages."""
        return f"pip install {' '.join(cls.packages.values())}"

    def versions(self) -> list[str]:
        """Return the names and versions of the packages."""
        found = []
        for package in self.packages.values():
            try:
                package += f" {importlib.metadata.version(package)}"
            except importlib.metadata.PackageNotFoundError:
                pass  # installed under another name; its version is unknown
            found.append(package)
        return found

    def remark(self, reference: str | None) -> str:
        """Return the line of the summary that explains the columns.

        Arguments
        ---------
        reference : str
            The reference side, or None.

        Returns
        -------
        str
            Headings, meaning and reference side.
        """
        suffix = f"; reference: {reference}" if reference else ""
        return f"{self.names()}: {self.meaning}{suffix}"

    def given(self, file: str) -> str:
        """Return the data of a file besides its recordings.

        Arguments
        ---------
        file : str
            The restored file, relative to its folder.

        Returns
        -------
        str
            For example the transcript. The file is measured again if this text
            changes.
        """
        return ""

    def extract(self, file: str, clips: Mapping[str, Clip]) -> dict[str, Any]:
        """Extract the features of each side; by default the aligned waveform.

        Arguments
        ---------
        file : str
            The restored file, relative to its folder.
        clips : dict
            ``Clip`` by side.

        Returns
        -------
        dict
            First argument of ``score`` by side.
        """
        return {side: clip.aligned for side, clip in clips.items()}

    def score(self, value: Any, reference: Any = None) -> list[float]:
        """Score one side.

        Arguments
        ---------
        value : object
            The output of ``extract`` for this side.
        reference : object
            The output of ``extract`` for the reference side.

        Returns
        -------
        list of float
            One score per column, in the order of ``columns``; NaN if undefined.
        """
        raise NotImplementedError

    def reference_side(self, sides: Iterable[str]) -> str | None:
        """Choose the reference side.

        Arguments
        ---------
        sides : iterable of str
            The sides of this evaluation. A file may have fewer.

        Returns
        -------
        str
            The reference side; None if the metric needs no reference, or if
            ``sides`` contains none of its reference sides.
        """
        sides = list(sides)
        return next((s for s in self.reference_sides if s in sides), None)

    def measure(
        self, file: str, clips: Mapping[str, Clip], reference: str | None
    ) -> dict[str, list[float]]:
        """Score the sides of a file.

        Arguments
        ---------
        file : str
            The restored file, relative to its folder.
        clips : dict
            ``Clip`` by side.
        reference : str
            The reference side, as returned by ``reference_side``.

        Returns
        -------
        dict
            Scores by side, without the reference side. Empty if the metric
            needs a reference and this file has none.
        """
        self.notes = []
        if self.reference_sides and reference not in clips:
            return {}
        values = self.extract(file, clips)
        target = values.pop(reference, None) if reference else None
        return {side: self.score(v, target) for side, v in values.items()}
