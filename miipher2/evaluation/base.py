"""The base class of all metrics.

An evaluated file has up to three recordings, called sides: ``input`` is the
recording before restoration, ``restored`` is the output of the model, and
``clean`` is a clean recording of the same speech.

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
CACHE_SIZE = 256  # results per function


class Clip(NamedTuple):
    """A recording at 16 kHz that is neither empty nor silent.

    Arguments
    ---------
    wav : numpy.ndarray
        ``(time,)`` float32 in [-1, 1], before alignment.
    aligned : numpy.ndarray
        ``wav`` without its delay relative to the clean recording; ``wav`` if
        the delay is unknown, None if there is no clean recording.
    """

    wav: np.ndarray
    aligned: np.ndarray | None = None


class CachedFunction:
    """Cache of the most recently computed results of a function.

    Files often share a clean recording; with the cache, its features need not
    be computed again for each of these files.

    Arguments
    ---------
    function : callable
        Function whose first argument is a waveform ``(time,)``.

    Example
    -------
    >>> length = CachedFunction(lambda wav: print("computed") or len(wav))
    >>> length(np.ones(3)), length(np.ones(3))
    computed
    (3, 3)
    """

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function = function
        self.cache: dict[tuple, Any] = {}

    def __call__(self, wav: np.ndarray, *arguments: Hashable) -> Any:
        key = hashlib.sha256(wav.tobytes()).digest(), *arguments
        if key not in self.cache:
            if len(self.cache) >= CACHE_SIZE:
                self.cache.pop(next(iter(self.cache)))
            self.cache[key] = self.function(wav, *arguments)
        return self.cache[key]


class Metric:
    """Base class of all metrics.

    A metric first extracts features from each side of a file, then scores each
    side. A metric with a reference scores all other sides against the reference
    side. The constructor imports the packages that the metric needs. If a
    package is not installed, the metric is left out, and the report gives the
    command that installs the package.

    Class attributes:

    - ``columns``: dict that maps score names, such as ``lsd``, to headings.
    - ``headline``: names of the scores in the first table of the summary; all
      scores if empty.
    - ``meaning``: one line that explains the scores.
    - ``packages``: dict that maps each imported module to its package for pip.
    - ``reference_sides``: sides that can serve as the reference, in order of
      preference; empty for metrics without a reference.

    Attributes
    ----------
    notes : list of str
        Remarks on the most recently scored file.
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
        """Return the headings of the headline scores, separated by commas."""
        return ", ".join(cls.columns[n] for n in cls.headline or cls.columns)

    @classmethod
    def install(cls) -> str:
        """Return the command that installs the packages."""
        return f"pip install {' '.join(cls.packages.values())}"

    def versions(self) -> list[str]:
        """Return the names and versions of the packages."""
        names = []
        for package in self.packages.values():
            try:
                package += f" {importlib.metadata.version(package)}"
            except importlib.metadata.PackageNotFoundError:
                pass  # installed under another name; its version is unknown
            names.append(package)
        return names

    def remark(self, reference: str | None) -> str:
        """Return the line of the summary that explains the columns.

        Arguments
        ---------
        reference : str
            The reference side; None for metrics without a reference.

        Returns
        -------
        str
            Headings, meaning and reference side.
        """
        suffix = f"; reference: {reference}" if reference else ""
        return f"{self.names()}: {self.meaning}{suffix}"

    def given(self, file: str) -> str:
        """Return data, besides the recordings, that the scores depend on.

        Arguments
        ---------
        file : str
            Path relative to the folder of the restored files.

        Returns
        -------
        str
            For example, the transcript; empty by default. If this text changes,
            the file is scored again.
        """
        return ""

    def extract(self, file: str, clips: Mapping[str, Clip]) -> dict[str, Any]:
        """Extract the features of each side, by default the aligned waveform.

        Arguments
        ---------
        file : str
            Path relative to the folder of the restored files.
        clips : dict
            ``Clip`` by side.

        Returns
        -------
        dict
            Features by side, in the form that ``score`` expects.
        """
        return {side: clip.aligned for side, clip in clips.items()}

    def score(self, value: Any, reference: Any = None) -> list[float]:
        """Return the scores of one side.

        Arguments
        ---------
        value : object
            Features of this side, as returned by ``extract``.
        reference : object
            Features of the reference side; None without a reference.

        Returns
        -------
        list of float
            One score per column, in the order of ``columns``; NaN if a score is
            undefined.
        """
        raise NotImplementedError

    def reference_side(self, sides: Iterable[str]) -> str | None:
        """Choose the reference side.

        Arguments
        ---------
        sides : iterable of str
            The sides of the evaluation. A file can lack some of them.

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
            Path relative to the folder of the restored files.
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
