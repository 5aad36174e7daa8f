"""The scores of many files, as one line a file and as a table of means.

Authors
 * The miipher2 authors 2026
"""

import csv
import io
import math
from collections import defaultdict
from pathlib import Path

import numpy as np

from miipher2.dataio.atomic import write_text
from miipher2.dataio.audio import read_audio
from miipher2.dataio.speech_level import SpeechLevel
from miipher2.errors import UserError
from miipher2.evaluation.compare import find_delay, remove_delay
from miipher2.evaluation.metric import SAMPLE_RATE, Clip

SIDES = ("input", "restored", "clean")
LENGTH_TOLERANCE = 0.05  # seconds that are not worth a note
NAMED = 5  # how many files the summary names; files.csv has them all


def named(what, files):
    """Counts files and names the first of them.

    Arguments
    ---------
    what : str
        What is to be said of them.
    files : list of str
        Their names.

    Returns
    -------
    list of str
        One sentence, or none if there are no files.

    Example
    -------
    >>> named("silent", ["a.wav", "b.wav"])
    ['2 silent: a.wav, b.wav']
    """
    more = f" and {len(files) - NAMED} more" if len(files) > NAMED else ""
    names = ", ".join(files[:NAMED])
    return [f"{len(files)} {what}: {names}{more}"] if files else []


class Report:
    """The scores of all files, and their means.

    Arguments
    ---------
    sides : iterable of str
        Which of ``input``, ``restored``, ``clean`` there are.
    metrics : list of Metric
        What measures.
    remarks : list of str
        Sentences for the end of the summary.

    Example
    -------
    >>> from miipher2.evaluation.metrics import LSD
    >>> report = Report(["restored", "clean"], [LSD()])
    >>> report.add("a.wav", {})
    >>> print(report.table())
    | group | side     | files | LSD dB |
    | ----- | -------- | ----: | -----: |
    | all   | restored |     1 |      - |
    | all   | clean    |     1 |      - |
    """

    def __init__(self, sides, metrics, remarks=()):
        self.sides = [side for side in SIDES if side in sides]
        self.remarks = list(remarks)
        self.targets, self.columns, self.headings = {}, {}, {}
        self.rows = []
        for metric in metrics:
            target = metric.target(self.sides)
            if metric.against and not target:
                options = " or ".join(
                    "--reference" if side == "clean" else f"--{side}"
                    for side in metric.against
                )
                columns = ", ".join(metric.columns.values())
                self.remarks.append(f"{columns}: left out: needs {options}")
                continue
            self.targets[metric] = target
            self.headings.update(metric.columns)
            for name in metric.columns:
                self.columns[name] = [s for s in self.sides if s != target]

    def add(self, file, paths):
        """Measures one restored file and what belongs to it.

        Arguments
        ---------
        file : str
            The restored file, relative to its folder.
        paths : dict
            Path by side; one that there is not is left out.
        """
        row = {"file": file}
        wavs, notes = _read(paths)
        notes = [f"no {s}" for s in self.sides if s not in paths] + notes
        if "restored" in wavs:
            row["seconds"] = len(wavs["restored"]) / SAMPLE_RATE
            clips = _align(wavs, row, notes)
            for metric, target in self.targets.items():
                scores = metric.measure(file, clips, target)
                for index, name in enumerate(metric.columns):
                    values = {side: s[index] for side, s in scores.items()}
                    for side, value in values.items():
                        row[f"{side}_{name}"] = value
                    undefined = [s for s, v in values.items() if _undefined(v)]
                    if undefined:
                        heading = self.headings[name]
                        named_sides = ", ".join(undefined)
                        notes.append(f"{heading} not defined: {named_sides}")
        row["notes"] = "; ".join(notes)
        self.rows.append(row)

    @property
    def failed(self):
        """How many restored files could not be measured."""
        return sum("seconds" not in row for row in self.rows)

    def files(self):
        """One line a restored file.

        Returns
        -------
        str
            CSV. ``seconds``; ``SIDE_delay_ms``: how much later than the clean
            side, empty if not known; ``SIDE_METRIC``, empty if not measured;
            ``notes``.
        """
        names = ["file", "seconds"]
        if "clean" in self.sides:
            names += [f"{s}_delay_ms" for s in self.sides if s != "clean"]
        for name, sides in self.columns.items():
            names += [f"{side}_{name}" for side in sides]
        text = io.StringIO()
        writer = csv.DictWriter(text, [*names, "notes"], lineterminator="\n")
        writer.writeheader()
        for row in self.rows:
            writer.writerow(
                {
                    name: f"{value:.4f}" if isinstance(value, float) else value
                    for name, value in row.items()
                    if not _undefined(value)
                }
            )
        return text.getvalue()

    def groups(self):
        """Files by their first folder, if each has one, then all files.

        Returns
        -------
        dict
            Rows by ``FOLDER/`` in order, then ``all``.
        """
        groups = defaultdict(list)
        for row in self.rows:
            folder, slash, _ = row["file"].partition("/")
            groups[folder + slash].append(row)
        if len(groups) < 2 or not all(name.endswith("/") for name in groups):
            groups = {}
        return {**{n: groups[n] for n in sorted(groups)}, "all": self.rows}

    def means(self, rows):
        """Means over the files that a metric could measure on every side.

        Arguments
        ---------
        rows : list of dict
            Some of ``self.rows``.

        Returns
        -------
        dict
            ``(mean, number of files)`` by ``SIDE_METRIC``; NaN over no files.
        """
        means = {}
        for name, sides in self.columns.items():
            keys = [f"{side}_{name}" for side in sides]
            values = [[row.get(key, math.nan) for key in keys] for row in rows]
            values = [scores for scores in values if np.isfinite(scores).all()]
            for index, key in enumerate(keys):
                scores = [scores[index] for scores in values]
                mean = float(np.mean(scores)) if scores else math.nan
                means[key] = mean, len(scores)
        return means

    def table(self):
        """The means of each group, its sides below one another.

        Returns
        -------
        str
            A Markdown table.
        """
        lines = [["group", "side", "files", *self.headings.values()]]
        for group, rows in self.groups().items():
            means = self.means(rows)
            for side in self.sides:
                line = [group.rstrip("/"), side, str(len(rows))]
                for name in self.columns:
                    mean, _ = means.get(f"{side}_{name}", (math.nan, 0))
                    line.append(f"{mean:.2f}" if math.isfinite(mean) else "-")
                lines.append(line)
        widths = [max(map(len, cells)) for cells in zip(*lines, strict=True)]
        rule = [f"{'':-<{w}}" for w in widths[:2]]
        rule += [f"{'':-<{w - 1}}:" for w in widths[2:]]
        lines.insert(1, rule)
        aligned = [
            f"| {cells[0]:{widths[0]}} | {cells[1]:{widths[1]}} | "
            + " | ".join(
                cell.rjust(width)
                for cell, width in zip(cells[2:], widths[2:], strict=True)
            )
            + " |"
            for cells in lines
        ]
        return "\n".join(aligned)

    def summary(self):
        """The table, and what has to be known to read it.

        Returns
        -------
        str
            Markdown.
        """
        remarks = [
            metric.remark(target) for metric, target in self.targets.items()
        ]
        means = self.means(self.rows)
        for name, sides in self.columns.items():
            # The same number for each side.
            count = means[f"{sides[0]}_{name}"][1] if sides else 0
            if count < len(self.rows):
                remarks.append(
                    f"{self.headings[name]}: mean over {count} of "
                    f"{len(self.rows)} files, those measured on every side"
                )
        noted = [f"{r['file']} ({r['notes']})" for r in self.rows if r["notes"]]
        remarks += self.remarks + named("with notes", noted)
        packages = {v: 0 for metric in self.targets for v in metric.versions()}
        if packages:
            remarks.append(f"Measured with {', '.join(packages)}")
        listed = "".join(f"- {remark}\n" for remark in remarks)
        return f"{self.table()}\n\n{listed}"

    def write(self, folder):
        """Writes ``files.csv`` and ``summary.md``.

        Arguments
        ---------
        folder : str or Path
            Made if need be.

        Raises
        ------
        UserError
            If they cannot be written.
        """
        try:
            write_text(Path(folder, "files.csv"), self.files())
            write_text(Path(folder, "summary.md"), self.summary())
        except OSError as error:
            raise UserError(f"{folder}: cannot be written: {error}") from None


def _undefined(value):
    return isinstance(value, float) and not math.isfinite(value)


def _read(paths):
    """Samples by side, and notes on those that cannot be measured."""
    wavs, notes = {}, []
    for side, path in paths.items():
        try:
            wav = read_audio(path, SAMPLE_RATE).clamp(-1, 1)
        except UserError as error:
            notes.append(f"{side}: {error}")
            continue
        if SpeechLevel.of(wav, SAMPLE_RATE).is_silence():
            notes.append(f"{side} is {'silent' if len(wav) else 'empty'}")
            continue
        wavs[side] = wav.numpy()
    return wavs, notes


def _align(wavs, row, notes):
    """Clips by side; delays go to the row, odd lengths to the notes."""
    if "clean" not in wavs:
        return {side: Clip(wav) for side, wav in wavs.items()}
    clean, clips = wavs["clean"], {}
    for side, wav in wavs.items():
        delay = 0 if side == "clean" else find_delay(wav, clean, SAMPLE_RATE)
        if delay is not None and side != "clean":
            row[f"{side}_delay_ms"] = 1000 * delay / SAMPLE_RATE
        longer = (len(wav) - len(clean)) / SAMPLE_RATE
        if abs(longer) > LENGTH_TOLERANCE:
            word = "longer" if longer > 0 else "shorter"
            notes.append(f"{side} is {abs(longer):.2f} s {word} than clean")
        clips[side] = Clip(wav, remove_delay(wav, delay or 0))
    return clips
