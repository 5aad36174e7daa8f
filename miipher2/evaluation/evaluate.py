"""Evaluation of folders of restored recordings, inputs and references.

Authors
 * The miipher2 authors 2026
"""

import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from miipher2.dataio.digest import digest
from miipher2.dataio.journal import LineJournal, shard_of
from miipher2.errors import UserError
from miipher2.evaluation.gate import Gate
from miipher2.evaluation.matching import (
    Match,
    Recordings,
    check_ids,
    read_texts,
)
from miipher2.evaluation.pool import ScorerPool, ScorerSettings
from miipher2.evaluation.progress import Progress
from miipher2.evaluation.report import Report
from miipher2.evaluation.scorer import Scorer
from miipher2.evaluation.scores import (
    Row,
    format_row,
    import_pyarrow,
    read_rows,
    write_parquet,
    write_rows,
)

# Separator between the cells of a row. A row is kept in memory as one string,
# because a list of cells would take five times the memory.
SEPARATOR = "\0"


def evaluate(
    restored: str | Path,
    output: str | Path,
    reference: str | Path | None = None,
    source: str | Path | None = None,
    recogniser: str | None = None,
    transcripts: str | Path | None = None,
    conditions: str | Path | None = None,
    metrics: Sequence[str] | None = None,
    workers: int = 1,
    shard: int = 0,
    num_shards: int = 1,
    parquet: bool = False,
    quiet: bool = False,
    gate: Gate | None = None,
) -> Report | None:
    """Compute metrics of restored recordings, inputs and references.

    Files are matched by their relative paths without suffix, mixed to mono and
    resampled to 16 kHz. An interrupted run is resumed by calling the function
    again. A file is scored again if its recordings, its transcript, the metrics
    or the package versions have changed, or if its worker process died.

    Arguments
    ---------
    restored : str or Path
        Folder of the restored recordings.
    output : str or Path
        Folder for ``files.csv``, ``summary.md`` and ``report.html``.
    reference : str or Path
        Folder of the clean recordings, for metrics with a reference. None if
        there are no clean recordings.
    source : str or Path
        Folder of the recordings before restoration. None to leave them out.
    recogniser : str
        Whisper model for the word errors: a folder in CTranslate2 format, or a
        faster-whisper model name. None to compute no word errors.
    transcripts : str or Path
        CSV file of the reference texts, with the columns ``ID`` (relative path
        or name of a restored file, without suffix) and ``text``. None to use
        the recogniser's output for the reference.
    conditions : str or Path
        CSV file with the columns ``ID`` and ``condition``, for means by
        condition. None to use the top-level folders as conditions;
        see ``Recordings``.
    metrics : list of str
        Keys of ``miipher2.evaluation.metrics.METRICS``; None for all. Metrics
        that cannot be computed are left out, with a remark in the summary.
    workers : int
        Number of worker processes; 1 to use only the calling process.
    shard, num_shards : int
        Index of the shard to score, from 0, and the number of shards.
    parquet : bool
        Whether to also write ``files.parquet``.
    quiet : bool
        Whether to hide the progress and the files that failed or are missing.
    gate : Gate
        Gate that the caller applies to the report. This function only checks
        that the scores that the gate needs can be computed. None for no gate.

    Returns
    -------
    Report
        The report of all files; None unless this shard is the last to finish.

    Raises
    ------
    UserError
        If a folder, a CSV file or the recogniser cannot be used, if a score
        that the gate needs cannot be computed, if pyarrow is needed but not
        installed, or if the workers of three files in succession die.

    Example
    -------
    >>> report = evaluate(
    ...     "restored", "report", reference="clean", source="noisy"
    ... )  # doctest: +SKIP
    >>> print(report.summary())  # doctest: +SKIP
    """
    output = Path(output)
    if parquet:
        import_pyarrow(output / "files.parquet")
    recordings = Recordings(
        {"input": source, "restored": restored, "clean": reference}, conditions
    )
    if transcripts is not None:
        if recogniser is None:
            raise UserError(f"{transcripts}: transcripts need --recogniser")
        texts = read_texts(transcripts, "text")
        check_ids(texts, transcripts, recordings.found)
    settings = ScorerSettings(
        tuple(recordings.folders), recogniser, transcripts, metrics
    )
    scorer = settings.load()
    if gate is not None:
        gate.check_metrics(scorer.header, scorer.remarks)
    with LineJournal(output, "files", shard, num_shards) as journal:
        table = ScoreTable(output / "files.csv", scorer, journal)
        mine = [f for f in recordings.found if shard_of(f, num_shards) == shard]
        missing = table.missing(mine, recordings)
        with Progress(len(missing), len(mine), quiet) as progress:
            for row in _score(
                map(recordings.__getitem__, missing), scorer, settings, workers
            ):
                table.append(row)
                progress.end(row)
        if not table.finish(recordings):
            return None
    report = Report(output, scorer, recordings.remarks())
    report.write()
    if parquet:
        write_parquet(output / "files.parquet", output / "files.csv")
    return report


def _score(
    matches: Iterable[Match],
    scorer: Scorer,
    settings: ScorerSettings,
    workers: int,
) -> Iterator[Row]:
    """Score files in this process or in several worker processes."""
    if workers > 1:
        yield from ScorerPool(settings, workers).run(matches)
        return
    for match in matches:
        yield scorer.score(match.file, match.paths, match.condition)


class ScoreTable:
    """The scores of a run: ``files.csv`` and a journal of new rows.

    Arguments
    ---------
    path : Path
        Path of ``files.csv``; the file may be missing.
    scorer : Scorer
        Scorer that determines the columns and the version of each row.
    journal : LineJournal
        The journal to which new rows are appended.
    """

    def __init__(
        self, path: Path, scorer: Scorer, journal: LineJournal
    ) -> None:
        self.path = path
        self.scorer = scorer
        self.journal = journal
        self.header = scorer.header
        self.columns = digest(",".join(self.header))[:16]

    def append(self, row: Row) -> None:
        """Add a row to the journal.

        Arguments
        ---------
        row : dict
            Value by column.
        """
        self.journal.append(
            {
                "columns": self.columns,
                "time": time.time(),
                "cells": format_row(row, self.header),
            }
        )

    def missing(
        self, files: Iterable[str], recordings: Recordings
    ) -> list[str]:
        """Return the files that have no row or whose ``version`` has changed.

        Arguments
        ---------
        files : iterable of str
            The files of this shard.
        recordings : Recordings
            The paths of the files.

        Returns
        -------
        list of str
            The files to score.
        """
        column = self.header.index("version")
        known = {
            file: cells.split(SEPARATOR)[column]
            for file, cells in self._latest().items()
        }
        return [
            file
            for file in files
            if file not in known
            or known[file] != self.scorer.version(file, recordings[file].paths)
        ]

    def finish(self, recordings: Recordings) -> bool:
        """Write ``files.csv`` if all shards are done.

        Arguments
        ---------
        recordings : Recordings
            The files of this evaluation; rows of other files are dropped.

        Returns
        -------
        bool
            Whether ``files.csv`` was written.
        """

        def write(latest: dict[str, str]) -> None:
            rows = (
                self._updated(latest.pop(match.file), match)
                for match in recordings
                if match.file in latest
            )
            write_rows(self.path, self.header, rows)

        return self.journal.finish(self._latest, write)

    def _updated(self, cells: str, match: Match) -> list[str]:
        """Return a row with the current condition and paths of its file."""
        row: Row = dict(zip(self.header, cells.split(SEPARATOR), strict=True))
        row["condition"] = match.condition
        row.update({f"{side}_path": p for side, p in match.paths.items()})
        return format_row(row, self.header)

    def _latest(self) -> dict[str, str]:
        """Return the latest row of each file in ``files.csv`` or a journal."""
        latest: dict[str, str] = {}
        if self.path.exists():
            for row in read_rows(self.path):
                cells = format_row(row, self.header)
                latest[str(row["file"])] = SEPARATOR.join(cells)
        times: dict[str, float] = {}
        for line in self.journal.lines():
            if line["columns"] != self.columns:
                continue  # a row of a run with other metrics or sides
            file = line["cells"][0]
            if line["time"] >= times.get(file, 0.0):
                times[file] = line["time"]
                latest[file] = SEPARATOR.join(line["cells"])
        return latest
