"""Scoring in several processes.

Authors
 * The miipher2 authors 2026
"""

import contextlib
import multiprocessing
import os
import signal
import threading
from collections.abc import Generator, Iterable, Iterator, Sequence
from concurrent.futures import (
    FIRST_COMPLETED,
    Future,
    ProcessPoolExecutor,
    wait,
)
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import NamedTuple

from miipher2.errors import UserError
from miipher2.evaluation.matching import Match, read_texts
from miipher2.evaluation.scorer import Scorer
from miipher2.evaluation.scores import Row

AHEAD = 4  # maximum number of files per worker, queued or in progress
MAX_KILLED = 3  # the run ends if this many files in succession kill a worker
WORKER_DIED = "the worker process died"
THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


class ScorerSettings(NamedTuple):
    """Settings from which a process loads a scorer.

    Arguments
    ---------
    sides : tuple of str
        The sides of the evaluation, such as ``input`` and ``restored``.
    recogniser : str
        See ``load_metrics``.
    transcripts : str or Path
        CSV file with the columns ``ID`` and ``text``; None for no transcripts.
    metrics : tuple of str
        Keys of ``METRICS``; None for all.
    """

    sides: Sequence[str]
    recogniser: str | None = None
    transcripts: str | Path | None = None
    metrics: Sequence[str] | None = None

    def load(self) -> Scorer:
        """Load the scorer.

        Returns
        -------
        Scorer
            A scorer with the installed metrics.
        """
        texts = None
        if self.transcripts is not None:
            texts = read_texts(self.transcripts, "text")
        return Scorer.load(self.sides, self.recogniser, texts, self.metrics)


class ScorerPool:
    """Pool of worker processes that score files.

    If a worker dies, all files queued or in progress are scored one at a time
    in a new worker. A file whose worker dies again is marked as failed.

    Arguments
    ---------
    settings : ScorerSettings
        Settings of the scorers.
    workers : int
        Number of processes; by default, each uses one thread.
    """

    def __init__(self, settings: ScorerSettings, workers: int) -> None:
        self.settings = settings
        self.workers = workers

    def run(self, matches: Iterable[Match]) -> Iterator[Row]:
        """Score files.

        Arguments
        ---------
        matches : iterable of Match
            The files to score. The iterable is read as workers become free.

        Yields
        ------
        dict
            The row of each file, in the order of completion.

        Raises
        ------
        UserError
            If three files in succession fail because their worker died.
        """
        killed = 0
        for row in self._rows(iter(matches)):
            killed = killed + 1 if row["notes"] == WORKER_DIED else 0
            if killed == MAX_KILLED:
                raise UserError(
                    f"{row['file']}: the worker processes of three files in "
                    "succession died, possibly for lack of memory; use fewer "
                    "--workers and run the same command again"
                )
            yield row

    def _rows(self, matches: Iterator[Match]) -> Iterator[Row]:
        """Yield the row of each file; retry files if a worker dies."""
        while lost := (yield from self._run(matches, self.workers, AHEAD)):
            retried = iter(lost)
            while died := (yield from self._run(retried, workers=1, ahead=1)):
                yield killed_row(died[0])

    def _run(
        self, matches: Iterator[Match], workers: int, ahead: int
    ) -> Generator[Row, None, list[Match]]:
        """Yield rows; if a worker dies, return the unfinished files."""
        running: dict[str, Match] = {}
        futures: set[Future] = set()
        with _executor(self.settings, workers) as executor:
            try:
                for match in matches:
                    running[match.file] = match
                    futures.add(executor.submit(_score, match))
                    if len(futures) >= ahead * workers:
                        yield from _done(futures, running)
                while futures:
                    yield from _done(futures, running)
            except BrokenProcessPool:
                return list(running.values())
        return []


def killed_row(match: Match) -> Row:
    """Return the row of a file whose worker process died.

    Arguments
    ---------
    match : Match
        The file.

    Returns
    -------
    dict
        The row, with the reason in ``notes``.
    """
    row: Row = {f"{s}_path": path for s, path in match.paths.items()}
    row |= {"file": match.file, "condition": match.condition}
    row |= {"status": "failed", "version": ""}
    return row | {"notes": WORKER_DIED}


def _done(futures: set[Future], running: dict[str, Match]) -> Iterator[Row]:
    """Wait until a file is done; yield the rows of all that are done."""
    for future in wait(futures, return_when=FIRST_COMPLETED).done:
        row = future.result()
        futures.remove(future)
        del running[str(row["file"])]
        yield row


@contextlib.contextmanager
def _executor(
    settings: ScorerSettings, workers: int
) -> Iterator[ProcessPoolExecutor]:
    """Start workers with one thread by default; cancel queued files on exit."""
    unset = [name for name in THREADS if name not in os.environ]
    os.environ.update(dict.fromkeys(unset, "1"))
    executor = ProcessPoolExecutor(
        workers,
        multiprocessing.get_context("spawn"),  # threads do not survive a fork
        _start,
        (settings,),
    )
    try:
        yield executor
    finally:
        executor.shutdown(cancel_futures=True)
        for name in unset:
            del os.environ[name]


def _start(settings: ScorerSettings) -> None:
    """Initialise a worker process."""
    global _scorer
    # The main process handles Ctrl-C
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    _scorer = settings.load()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _score(match: Match) -> Row:
    return _scorer.score(match.file, match.paths, match.condition)


_scorer: Scorer
