"""The gate: which restored recordings to keep, by thresholds on their scores.

Authors
 * The miipher2 authors 2026
"""

import math
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from miipher2.dataio.audio import read_audio
from miipher2.dataio.bandwidth import measure_bandwidth
from miipher2.dataio.decoding import open_audio
from miipher2.dataio.hparams import load_yaml
from miipher2.errors import UserError
from miipher2.evaluation.base import Metric
from miipher2.evaluation.metrics import METRICS

DEFAULT = Path(__file__).with_name("gate.yaml")


class Score(NamedTuple):
    """A score that a threshold applies to.

    Arguments
    ---------
    name : str
        Name of the score in reasons.
    columns : tuple of str
        One column of ``files.csv``, or two, of which the second is subtracted.
    unit : str
        Unit after the value in reasons.
    low, high : float
        The range of valid thresholds.
    """

    name: str
    columns: tuple[str, ...]
    unit: str = ""
    low: float = 0.0
    high: float = math.inf

    def value(self, row: Mapping[str, Any]) -> float:
        """Return the value in a row of ``files.csv``; NaN if there is none."""
        first, *rest = (_number(row.get(column)) for column in self.columns)
        return first - sum(rest)


SCORES = {
    "speaker_similarity": Score(
        "speaker similarity", ("restored_speaker",), low=-1.0, high=1.0
    ),
    "per": Score("phoneme error rate", ("restored_per",), " %"),
    "cer": Score("character error rate", ("restored_cer",), " %"),
    "wer": Score("word error rate", ("restored_wer",), " %"),
    "dnsmos": Score("DNSMOS", ("restored_ovrl",), low=1.0, high=5.0),
    "dnsmos_gain": Score(
        "DNSMOS gain", ("restored_ovrl", "input_ovrl"), low=-4.0, high=4.0
    ),
    "seconds": Score("duration", ("seconds",), " s"),
    "bandwidth": Score("bandwidth", ("restored_bandwidth",), " Hz"),
}
THRESHOLDS = (
    "min_speaker_similarity",
    "max_per",
    "max_cer",
    "max_wer",
    "min_dnsmos",
    "min_dnsmos_gain",
    "min_seconds",
    "max_seconds",
    "min_bandwidth",
)


class Gate:
    """Thresholds that decide which restored recordings to keep.

    Arguments
    ---------
    thresholds : dict
        Value by key, see ``gate.yaml``; a key with None is not checked.
    source : str or Path
        Origin of the thresholds, for error messages.

    Raises
    ------
    UserError
        If a key is unknown, a value is not a number in the range of its
        score, or all are None.

    Example
    -------
    >>> gate = Gate({"min_speaker_similarity": 0.75, "max_per": 30})
    >>> row = {"seconds": 3.2, "restored_speaker": 0.612, "restored_per": 12.5}
    >>> gate.reasons(row)
    {'speaker similarity': 'speaker similarity 0.61 < 0.75'}
    >>> gate.reasons({"notes": "restored is silent"})
    {'not measured': 'not measured: restored is silent'}
    """

    def __init__(
        self, thresholds: Mapping[str, Any], source: str | Path = "gate"
    ) -> None:
        self.source = source
        self.thresholds: dict[str, float] = {}
        for key, value in thresholds.items():
            if key not in THRESHOLDS:
                raise UserError(
                    f"{source}: {key}: unknown; expected "
                    f"{', '.join(THRESHOLDS)}"
                )
            if value is not None:
                self.thresholds[key] = self._checked(key, value)
        if not self.thresholds:
            raise UserError(
                f"{source}: no threshold; expected at least one of "
                f"{', '.join(THRESHOLDS)}"
            )

    @classmethod
    def load(cls, path: str | Path = DEFAULT) -> "Gate":
        """Load thresholds from a YAML file.

        Arguments
        ---------
        path : str or Path
            The file; by default that of this package.

        Returns
        -------
        Gate
            The gate with these thresholds.

        Raises
        ------
        UserError
            If the file cannot be read; see ``Gate``.

        Example
        -------
        >>> Gate.load().thresholds["min_dnsmos_gain"]
        -0.2
        """
        thresholds = load_yaml(path)
        if not isinstance(thresholds, dict):
            raise UserError(
                f"{path}: expected lines such as max_per: 30; known keys: "
                f"{', '.join(THRESHOLDS)}"
            )
        return cls(thresholds, path)

    def _checked(self, key: str, value: Any) -> float:
        """Return a threshold as a float after checking its range."""
        score = _score(key)
        if (
            isinstance(value, bool)
            or not isinstance(value, int | float)
            or not score.low <= value <= score.high
        ):
            span = f"{score.low:g} or more"
            if score.high < math.inf:
                span = f"{score.low:g} to {score.high:g}"
            raise UserError(
                f"{self.source}: {key}: expected a number, {span}, or nothing, "
                f"found {value!r}"
            )
        return float(value)

    @property
    def columns(self) -> dict[str, str]:
        """Needed columns of ``files.csv``, with the keys of thresholds."""
        return {
            column: key
            for key in self.thresholds
            for column in _score(key).columns
        }

    @property
    def metrics(self) -> list[str]:
        """Keys of ``METRICS`` that the thresholds need."""
        return [
            name
            for name, metric in METRICS.items()
            if any(_metric(column) is metric for column in self.columns)
        ]

    def check_metrics(
        self, columns: Collection[str], remarks: Sequence[str]
    ) -> None:
        """Check that all needed scores can be computed.

        Arguments
        ---------
        columns : list of str
            The columns of ``files.csv``.
        remarks : list of str
            Remarks of ``load_metrics`` on missing metrics and packages.

        Raises
        ------
        UserError
            If a needed score cannot be computed.
        """
        for column, key in self.columns.items():
            metric = _metric(column)
            if metric is None or column in columns:
                continue
            side = column.partition("_")[0]
            missing = f"{metric.names()}: left out by --metrics"
            if column.replace(side, "restored", 1) in columns:
                missing = f"{metric.names()}: left out: needs --{side}"
            for remark in remarks:
                if remark.startswith(f"{metric.names()}: "):
                    missing = remark
            raise UserError(
                f"{self.source}: {key}: {missing}; or leave out {key}"
            )

    def measure(self, row: dict[str, Any], path: str | Path) -> dict[str, Any]:
        """Add the bandwidth to a row if a threshold needs it.

        Arguments
        ---------
        row : dict
            A row of ``files.csv``.
        path : str or Path
            The restored recording.

        Returns
        -------
        dict
            The row with the added value.
        """
        if "restored_bandwidth" in self.columns and row.get("seconds"):
            with open_audio(path) as audio:
                rate = audio.rate
            samples = read_audio(path, rate).numpy()
            row = {
                **row,
                "restored_bandwidth": measure_bandwidth(samples, rate),
            }
        return row

    def reasons(self, row: Mapping[str, Any]) -> dict[str, str]:
        """Return the reasons for rejecting a recording.

        Arguments
        ---------
        row : dict
            A row of ``files.csv``.

        Returns
        -------
        dict
            Reason by name of the score; empty if the recording is kept.
        """
        cause = row.get("notes") or "no reason known"
        if row.get("seconds") in (None, ""):
            return {"not measured": f"not measured: {cause}"}
        reasons = {}
        for key, threshold in self.thresholds.items():
            score = _score(key)
            value = score.value(row)
            if not math.isfinite(value):
                reasons[score.name] = f"no {score.name}: {cause}"
            elif key.startswith("min_") and value < threshold:
                reasons[score.name] = _compare(score, value, "<", threshold)
            elif key.startswith("max_") and value > threshold:
                reasons[score.name] = _compare(score, value, ">", threshold)
        return reasons


def _number(value: Any) -> float:
    return math.nan if value in (None, "") else float(value)


def _score(key: str) -> Score:
    """Return the score of a threshold."""
    return SCORES[key[len("min_") :]]


def _metric(column: str) -> type[Metric] | None:
    """Return the metric of a column; None if no metric measures it."""
    _, _, name = column.partition("_")
    return next((m for m in METRICS.values() if name in m.columns), None)


def _compare(score: Score, value: float, sign: str, threshold: float) -> str:
    """Return a comparison with enough digits for both sides to differ."""
    direction = 1 if sign == "<" else -1
    digits = 2 if score.high < math.inf else 1
    while digits < 9 and direction * (threshold - round(value, digits)) <= 0:
        digits += 1
    found, limit = f"{value:.{digits}f}", f"{threshold:.9g}"
    return f"{score.name} {found}{score.unit} {sign} {limit}{score.unit}"
