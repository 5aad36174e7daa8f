"""The gate: thresholds on scores that decide which recordings to keep.

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
    """A score to which a threshold applies.

    Arguments
    ---------
    name : str
        Name of the score in the reasons for rejection.
    columns : tuple of str
        One column, or two columns whose difference (first minus second) is the
        score.
    unit : str
        Unit of the score, with a leading space.
    low, high : float
        Range of valid thresholds.
    """

    name: str
    columns: tuple[str, ...]
    unit: str = ""
    low: float = 0.0
    high: float = math.inf

    def value(self, row: Mapping[str, Any]) -> float:
        """Return the score of a row from ``Gate.measure``; NaN if missing."""
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
        Threshold by key, with the keys of ``gate.yaml``. None for a threshold
        that is not checked.
    source : str or Path
        Source of the thresholds, for error messages.

    Raises
    ------
    UserError
        If a key is unknown, a threshold is not a number in the valid range, or
        all thresholds are None.

    Example
    -------
    >>> gate = Gate({"min_speaker_similarity": 0.75, "max_per": 30})
    >>> row = {"seconds": 3.2, "restored_speaker": 0.612, "restored_per": 12.5}
    >>> gate.reasons(row)
    {'speaker similarity': 'speaker similarity 0.61 < 0.75'}
    >>> gate.reasons({"notes": "restored is silent"})
    {'not scored': 'not scored: restored is silent'}
    """

    def __init__(
        self, thresholds: Mapping[str, Any], source: str | Path = "gate"
    ) -> None:
        self.source = source
        self.thresholds: dict[str, float] = {}
        for key, value in thresholds.items():
            if key not in THRESHOLDS:
                raise UserError(
                    f"{source}: {key}: unknown key; expected one of "
                    f"{', '.join(THRESHOLDS)}"
                )
            if value is not None:
                self.thresholds[key] = self._validated(key, value)
        if not self.thresholds:
            raise UserError(
                f"{source}: no threshold; expected at least one of "
                f"{', '.join(THRESHOLDS)}"
            )

    @classmethod
    def load(cls, path: str | Path = DEFAULT) -> "Gate":
        """Load a gate from a YAML file.

        Arguments
        ---------
        path : str or Path
            YAML file of the thresholds; by default ``gate.yaml`` in this
            package.

        Returns
        -------
        Gate
            The gate with the thresholds in the file.

        Raises
        ------
        UserError
            If the file cannot be read or the thresholds are invalid.

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

    def _validated(self, key: str, value: Any) -> float:
        """Check that a threshold is in the valid range; return a float."""
        score = _score(key)
        if (
            isinstance(value, bool)
            or not isinstance(value, int | float)
            or not score.low <= value <= score.high
        ):
            valid = f"of at least {score.low:g}"
            if score.high < math.inf:
                valid = f"from {score.low:g} to {score.high:g}"
            raise UserError(
                f"{self.source}: {key}: expected a number {valid} or an "
                f"empty value; found {value!r}"
            )
        return float(value)

    @property
    def columns(self) -> dict[str, str]:
        """Required columns of a row, each with a key that needs it."""
        return {
            column: key
            for key in self.thresholds
            for column in _score(key).columns
        }

    @property
    def metrics(self) -> list[str]:
        """Keys in ``METRICS`` of the metrics that the thresholds need."""
        return [
            name
            for name, metric in METRICS.items()
            if any(_metric(column) is metric for column in self.columns)
        ]

    def check_metrics(
        self, columns: Collection[str], remarks: Sequence[str]
    ) -> None:
        """Check that all required scores can be computed.

        Arguments
        ---------
        columns : list of str
            The columns of ``files.csv``.
        remarks : list of str
            Remarks of ``Scorer`` on metrics that are left out.

        Raises
        ------
        UserError
            If a required score cannot be computed.
        """
        for column, key in self.columns.items():
            metric = _metric(column)
            if metric is None or column in columns:
                continue
            side = column.partition("_")[0]
            missing = f"{metric.names()}: not selected by --metrics"
            if column.replace(side, "restored", 1) in columns:
                missing = f"{metric.names()}: left out: needs --{side}"
            for remark in remarks:
                if remark.startswith(f"{metric.names()}: "):
                    missing = remark
            raise UserError(
                f"{self.source}: {key}: {missing}; to evaluate without this "
                f"threshold, remove {key}"
            )

    def measure(self, row: dict[str, Any], path: str | Path) -> dict[str, Any]:
        """Add the bandwidth to a row if the gate has a threshold for it.

        Arguments
        ---------
        row : dict
            A row of ``files.csv``.
        path : str or Path
            The restored recording.

        Returns
        -------
        dict
            The row, with ``restored_bandwidth`` in Hz if it was measured.
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
            A row from ``measure``.

        Returns
        -------
        dict
            Reason by score name, or by ``not scored``; empty if the recording
            is kept.
        """
        cause = row.get("notes") or "unknown reason"
        if row.get("seconds") in (None, ""):
            return {"not scored": f"not scored: {cause}"}
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
    """Return the metric of a column; None if no metric computes it."""
    _, _, name = column.partition("_")
    return next((m for m in METRICS.values() if name in m.columns), None)


def _compare(score: Score, value: float, sign: str, threshold: float) -> str:
    """Return a comparison with enough digits to tell the values apart."""
    direction = 1 if sign == "<" else -1
    digits = 2 if score.high < math.inf else 1
    while digits < 9 and direction * (threshold - round(value, digits)) <= 0:
        digits += 1
    found, limit = f"{value:.{digits}f}", f"{threshold:.9g}"
    return f"{score.name} {found}{score.unit} {sign} {limit}{score.unit}"
