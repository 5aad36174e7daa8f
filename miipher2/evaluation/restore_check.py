"""Scoring of recordings during ``miipher2 restore``, with a gate.

Authors
 * The miipher2 authors 2026
"""

import json
import math
import os
import threading
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from miipher2.evaluation.gate import Gate
from miipher2.evaluation.keep_reject import write_keep_reject
from miipher2.evaluation.scorer import Scorer
from miipher2.inference.check import Check
from miipher2.inference.items import Row

SIDES = ("input", "restored")


class RestoreCheck(Check):
    """A check that scores restored recordings and applies a gate.

    Restored recordings are compared with their inputs. Only the metrics that
    the gate needs are computed. Each process that writes recordings scores one
    recording at a time.

    Arguments
    ---------
    gate : Gate
        The thresholds.
    recogniser : str
        Whisper model for character and word errors; see ``WordErrors``.
    fallback : str
        Handling of rejected recordings; see
        ``miipher2.inference.check.Check``.

    Raises
    ------
    UserError
        If a metric that the gate needs cannot be computed.
    """

    def __init__(
        self,
        gate: Gate,
        recogniser: str | None = None,
        fallback: str | None = None,
    ) -> None:
        super().__init__(fallback)
        self.gate = gate
        if recogniser and Path(recogniser).exists():
            # A relative path can be invalid in other processes
            recogniser = os.path.abspath(recogniser)
        self.recogniser = recogniser
        self._load()

    def _load(self) -> None:
        self.scorer = Scorer.load(
            SIDES, self.recogniser, names=self.gate.metrics
        )
        self.gate.check_metrics(self.scorer.header, self.scorer.remarks)
        self.scoring = threading.Lock()  # metrics are not thread-safe

    def __getstate__(self) -> dict[str, Any]:
        return {**vars(self), "scorer": None, "scoring": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        self._load()

    def score(self, source: Path, path: Path) -> dict[str, Any]:
        """Return the gate's scores, the duration, the recogniser and notes."""
        with self.scoring:
            row = self.scorer.score(
                path.name, {"input": source, "restored": path}
            )
        row = self.gate.measure(row, path)
        scores: dict[str, Any] = {
            c: _number(row.get(c)) for c in self.gate.columns
        }
        scores["seconds"] = row.get("seconds")
        return {**scores, "recogniser": self.recogniser, "notes": row["notes"]}

    def reasons(self, scores: dict[str, Any]) -> list[str]:
        """Return the reasons for rejecting a recording with these scores."""
        return list(self.gate.reasons(scores).values())

    def is_complete(self, scores: dict[str, Any]) -> bool:
        """Return whether the gate can be applied without scoring again."""
        return (
            self.gate.columns.keys() <= scores.keys()
            and scores["recogniser"] == self.recogniser
        )

    def write(
        self, folder: str | Path, rows: Iterable[Row], writer: str = ""
    ) -> str:
        """Write ``keep.csv`` and ``reject.csv``."""
        found = (_scores(row) for row in rows)
        return write_keep_reject(folder, found, self.gate, folder, writer)


def _number(value: Any) -> float | None:
    """Round a finite number to 4 decimal places; keep other values."""
    return round(value, 4) if value and math.isfinite(value) else value


def _scores(row: Row) -> dict[str, Any]:
    """Return the scores of a recording for ``write_keep_reject``."""
    found: dict[str, Any] = {"notes": row.reason}
    if row.status in ("done", "silent", "rejected") and row.scores:
        found = json.loads(row.scores)
    found["file"] = row.output or row.ID
    found["duration"] = row.seconds
    if not row.bytes:  # nothing was written
        found["wav"] = row.input
    return found
