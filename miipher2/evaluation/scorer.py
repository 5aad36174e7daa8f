"""Scoring of restored files.

An evaluated file has up to three recordings, called sides: ``input``,
``restored`` and ``clean``.

Authors
 * The miipher2 authors 2026
"""

import math
import os
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from pathlib import Path

import numpy as np

from miipher2.dataio.audio import read_audio
from miipher2.dataio.digest import digest
from miipher2.dataio.speech_level import SpeechLevel
from miipher2.errors import UserError
from miipher2.evaluation.base import SAMPLE_RATE, Clip, Metric
from miipher2.evaluation.compare import find_delay, remove_delay
from miipher2.evaluation.metrics import load_metrics
from miipher2.evaluation.scores import SIDES, Row

LENGTH_TOLERANCE = 0.05  # seconds; larger differences are noted


class Scorer:
    """Scorer that computes all metrics of a restored file.

    Arguments
    ---------
    sides : iterable of str
        The sides to score: any of ``input``, ``restored``, ``clean``.
    metrics : list of Metric
        The metrics to compute; see ``load`` for the installed metrics.
    remarks : list of str
        Remarks for the end of the summary.

    Attributes
    ----------
    sides : list of str
        The sides to score, in the order of ``SIDES``.
    references : dict
        Reference side by metric, for the metrics that can be computed; None for
        metrics without a reference.
    columns : dict
        Sides that have a score, by score name, such as ``lsd``.
    headings : dict
        Heading by score name.
    remarks : list of str
        The argument ``remarks`` and, for each metric that cannot be computed,
        the reason.

    Example
    -------
    >>> import torch
    >>> from miipher2.dataio.audio import write_audio
    >>> from miipher2.evaluation.metrics import LSD
    >>> path = getfixture("tmp_path") / "a.wav"
    >>> write_audio(path, torch.rand(16000), 16000)
    >>> scorer = Scorer(["restored", "clean"], [LSD()])
    >>> row = scorer.score("a.wav", {"restored": path, "clean": path})
    >>> row["status"], row["restored_lsd"]
    ('done', 0.0)
    """

    def __init__(
        self,
        sides: Iterable[str],
        metrics: Iterable[Metric],
        remarks: Iterable[str] = (),
    ) -> None:
        available = set(sides)
        self.sides = [side for side in SIDES if side in available]
        self.remarks = list(remarks)
        self.references: dict[Metric, str | None] = {}
        self.columns: dict[str, list[str]] = {}
        self.headings: dict[str, str] = {}
        for metric in metrics:
            reference = metric.reference_side(self.sides)
            if metric.reference_sides and not reference:
                options = " or ".join(
                    "--reference" if side == "clean" else f"--{side}"
                    for side in metric.reference_sides
                )
                self.remarks.append(
                    f"{metric.names()}: left out: needs {options}"
                )
                continue
            self.references[metric] = reference
            self.headings.update(metric.columns)
            for name in metric.columns:
                self.columns[name] = [s for s in self.sides if s != reference]

    @classmethod
    def load(
        cls,
        sides: Iterable[str],
        recogniser: str | None = None,
        transcripts: Mapping[str, str] | None = None,
        names: Sequence[str] | None = None,
    ) -> "Scorer":
        """Return a scorer with the metrics whose packages are installed.

        Arguments
        ---------
        sides : iterable of str
            The sides to score.
        recogniser, transcripts, names
            See ``load_metrics``.

        Returns
        -------
        Scorer
            The scorer. Its ``remarks`` name the metrics that cannot be
            computed.
        """
        return cls(sides, *load_metrics(recogniser, transcripts, names))

    @property
    def header(self) -> list[str]:
        """Columns of ``files.csv``."""
        names = ["file", "condition", "status", "seconds"]
        names += [f"{side}_path" for side in self.sides]
        if "clean" in self.sides:
            names += [f"{s}_delay_ms" for s in self.sides if s != "clean"]
        for name, sides in self.columns.items():
            names += [f"{side}_{name}" for side in sides]
        return [*names, "version", "notes"]

    @cached_property
    def identity(self) -> str:
        """Names, versions and settings of the metrics."""
        return "; ".join(
            f"{type(metric).__name__} {metric.versions()} "
            f"{metric.remark(reference)}"
            for metric, reference in self.references.items()
        )

    def version(self, file: str, paths: Mapping[str, str | Path]) -> str:
        """Return a hash of the data that the scores of a file depend on.

        Arguments
        ---------
        file : str
            Path relative to the folder of the restored files.
        paths : dict
            Path by side.

        Returns
        -------
        str
            16 hexadecimal digits. They change with the size and modification
            time of each recording, the transcript, the metrics and the package
            versions.
        """
        parts = [self.identity, *(m.given(file) for m in self.references)]
        for side in self.sides:
            try:
                status = os.stat(paths[side])
                parts.append(f"{side} {status.st_size} {status.st_mtime_ns}")
            except (KeyError, OSError):
                parts.append(f"no {side}")
        return digest("\n".join(parts))[:16]

    def score(
        self,
        file: str,
        paths: Mapping[str, str | Path],
        condition: str = "",
    ) -> Row:
        """Compute all metrics of a restored file.

        Arguments
        ---------
        file : str
            Path relative to the folder of the restored files.
        paths : dict
            Path by side; missing sides are absent.
        condition : str
            The condition of the file.

        Returns
        -------
        dict
            Value by column of ``header``; see ``miipher2.evaluation.scores``.
            Scores that were not computed are left out; undefined scores are
            NaN.
        """
        row: Row = {"file": file, "condition": condition}
        row["version"] = self.version(file, paths)
        row.update({f"{side}_path": str(path) for side, path in paths.items()})
        wavs, silent, failed = _read(paths)
        notes = [f"no {side}" for side in self.sides if side not in paths]
        notes += [*failed.values(), *silent.values()]
        if "restored" in wavs:
            row["status"] = "done"
            row["seconds"] = len(wavs["restored"]) / SAMPLE_RATE
            clips = _align(wavs, row, notes)
            for metric, reference in self.references.items():
                notes += _measure(metric, file, clips, reference, row)
        elif "restored" not in paths:
            row["status"] = "missing"
        elif "restored" in failed or wavs:  # wavs: sides that are not silent
            row["status"] = "failed"
        else:
            row["status"] = "silent"
        row["notes"] = "; ".join(notes)
        return row


def _measure(
    metric: Metric,
    file: str,
    clips: Mapping[str, Clip],
    reference: str | None,
    row: Row,
) -> list[str]:
    """Add the scores of a metric to a row; return notes."""
    try:
        scores = metric.measure(file, clips, reference)
    except Exception as error:  # an error in a package must not end a long run
        reason = f"{type(error).__name__}: {error}".splitlines()[0]
        return [f"{metric.names()} failed: {reason}"]
    undefined = []
    for side, values in scores.items():
        for name, value in zip(metric.columns, values, strict=True):
            row[f"{side}_{name}"] = value
        if any(map(math.isnan, values)):
            undefined.append(side)
    if undefined:
        sides = ", ".join(undefined)
        return [*metric.notes, f"{metric.names()} undefined: {sides}"]
    return metric.notes


def _read(
    paths: Mapping[str, str | Path],
) -> tuple[dict[str, np.ndarray], dict[str, str], dict[str, str]]:
    """Return waveforms, notes on silence, and read errors, each by side."""
    wavs, silent, failed = {}, {}, {}
    for side, path in paths.items():
        try:
            wav = read_audio(path, SAMPLE_RATE).clamp(-1, 1)
        except UserError as error:
            failed[side] = f"{side}: {error}"
            continue
        if SpeechLevel.of(wav, SAMPLE_RATE).is_silence():
            silent[side] = f"{side} is {'silent' if len(wav) else 'empty'}"
        else:
            wavs[side] = wav.numpy()
    return wavs, silent, failed


def _align(
    wavs: Mapping[str, np.ndarray], row: Row, notes: list[str]
) -> dict[str, Clip]:
    """Return aligned clips; add delays to the row, and notes on lengths."""
    if "clean" not in wavs:
        _note_length(wavs, "restored", "input", notes)
        return {side: Clip(wav) for side, wav in wavs.items()}
    clean, clips = wavs["clean"], {}
    for side, wav in wavs.items():
        delay = 0 if side == "clean" else find_delay(wav, clean, SAMPLE_RATE)
        if delay is not None and side != "clean":
            row[f"{side}_delay_ms"] = 1000 * delay / SAMPLE_RATE
        _note_length(wavs, side, "clean", notes)
        clips[side] = Clip(wav, remove_delay(wav, delay or 0))
    return clips


def _note_length(
    wavs: Mapping[str, np.ndarray], side: str, other: str, notes: list[str]
) -> None:
    """Add a note if the lengths differ by more than 0.05 s."""
    if other not in wavs:
        return
    difference = (len(wavs[side]) - len(wavs[other])) / SAMPLE_RATE
    if abs(difference) > LENGTH_TOLERANCE:
        word = "longer" if difference > 0 else "shorter"
        notes.append(f"{side} is {abs(difference):.2f} s {word} than {other}")
