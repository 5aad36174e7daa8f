"""Progress bar and log lines of a run.

Authors
 * The miipher2 authors 2026
"""

import contextlib
import logging
import sys
import threading
import time

from tqdm import tqdm
from tqdm.contrib.logging import logging_redirect_tqdm

from miipher2.dataio.wording import duration

logger = logging.getLogger("miipher2.inference")

LINE_SECONDS = 60.0  # minimum between log lines if stderr is not a terminal


class Progress:
    """Progress bar on a terminal; elsewhere, at most one log line per minute.

    Progress is measured in bytes of input, because sizes are known before the
    files are opened.

    Arguments
    ---------
    items : list of miipher2.inference.items.Item
        The items to restore.
    sample_rate : int
        Output rate of the model in Hz.
    quiet : bool
        Whether to hide the progress bar.

    Attributes
    ----------
    counts : dict
        Number of rows passed to ``end``, by status.
    notes : int
        Number of ``done`` and ``silent`` rows with a note.

    Example
    -------
    >>> with Progress([], 16000, quiet=True) as progress:
    ...     progress.speed()
    '0.00 s at 0.0 x real time'
    """

    def __init__(self, items, sample_rate, quiet=False):
        self.sample_rate = sample_rate
        statuses = ("done", "silent", "skipped", "rejected", "failed")
        self.counts = dict.fromkeys(statuses, 0)
        self.seconds = self.size = 0.0
        self.notes = 0
        self.band_noted = False
        self.total = max(1, sum(item.size for item in items))
        self.lock = threading.Lock()
        self.stack = contextlib.ExitStack()
        self.started = self.last_line = time.monotonic()
        self.terminal = sys.stderr.isatty()
        self.bar = tqdm(
            total=self.total,
            unit_scale=True,
            disable=quiet or not self.terminal,
            desc="starting",
            bar_format="{percentage:3.0f}%|{bar}| {desc}, {remaining} left",
        )

    def __enter__(self):
        self.stack.enter_context(self.bar)
        if not self.bar.disable:
            self.stack.enter_context(logging_redirect_tqdm([logger]))
        return self

    def __exit__(self, *_):
        self.stack.close()

    def advance(self, size, seconds):
        """Count restored audio.

        Arguments
        ---------
        size : float
            Size of the restored part of the input, in bytes.
        seconds : float
            Duration of the restored audio in seconds.
        """
        with self.lock:
            self.seconds += seconds
            # tqdm warns about values above the total, which rounding errors can
            # cause.
            self.size = min(self.total, self.size + size)
            status = f"{self.speed()}, {self.counts['failed']} failed"
            self.bar.set_description_str(status, refresh=False)
            self.bar.n = self.size
            self.bar.update(0)
            elapsed = time.monotonic() - self.last_line
            if not self.terminal and elapsed > LINE_SECONDS:
                self.last_line = time.monotonic()
                logger.info("%d %%, %s", 100 * self.size // self.total, status)

    def end(self, row):
        """Count a row; log a failure and the first loss of bandwidth.

        Arguments
        ---------
        row : miipher2.inference.items.Row
            A row of the manifest.
        """
        with self.lock:
            self.counts[row.status] += 1
            if row.status in ("done", "silent"):
                self.notes += bool(row.reason)
            self._note_band(row)
        if row.status == "failed":
            logger.error("failed: %s: %s", row.input, row.reason)

    def _note_band(self, row):
        """Log once that an input has a higher sample rate than the model."""
        if self.band_noted or not row.output_rate:
            return
        if row.input_rate > self.sample_rate:
            self.band_noted = True
            logger.info(
                "inputs at %g kHz are restored at %g kHz, without content "
                "above %g kHz",
                row.input_rate / 1000,
                row.output_rate / 1000,
                self.sample_rate / 2000,
            )

    def speed(self):
        """Return the duration of the restored audio and the speed as text.

        Returns
        -------
        str
            For example ``12 s at 3.0 x real time``.
        """
        elapsed = max(1e-3, time.monotonic() - self.started)
        return (
            f"{duration(self.seconds)} at "
            f"{self.seconds / elapsed:.1f} x real time"
        )


class _ConsoleHandler(logging.StreamHandler):
    """Stream handler that raises write errors, such as BrokenPipeError."""

    def handleError(self, record):
        raise


class _OneLineFormatter(logging.Formatter):
    """Formatter that writes each record as one line of encodable text.

    File names can contain line breaks and characters that the stream cannot
    encode.
    """

    def __init__(self, stream):
        super().__init__()
        self.encoding = stream.encoding or "utf-8"

    def format(self, record):
        line = super().format(record).replace("\n", "\\n")
        line = line.encode(self.encoding, "backslashreplace")
        return line.decode(self.encoding)


def _console_handlers():
    """Return handlers for stderr (warnings, errors) and stdout (the rest)."""
    warnings, infos = (
        _ConsoleHandler(stream) for stream in (sys.stderr, sys.stdout)
    )
    warnings.setLevel(logging.WARNING)
    infos.addFilter(lambda record: record.levelno < logging.WARNING)
    for handler in (warnings, infos):
        handler.setFormatter(_OneLineFormatter(handler.stream))
    # stderr first: while the bar is shown, logging_redirect_tqdm writes all
    # lines to the stream of the first handler, above the bar.
    return [warnings, infos]


@contextlib.contextmanager
def logging_to(log_file=None, quiet=False):
    """Show the log of a run on the console.

    Arguments
    ---------
    log_file : str or Path
        File to which all lines are also appended, with a time stamp. None for
        no log file.
    quiet : bool
        Whether to show warnings and errors only.
    """
    handlers = _console_handlers()
    if quiet:
        handlers = handlers[:1]
    if log_file:
        file = logging.FileHandler(
            log_file, encoding="utf-8", errors="backslashreplace"
        )
        file.setFormatter(logging.Formatter("%(asctime)s %(message)s"))
        handlers.append(file)
    logger.setLevel(logging.INFO)
    for handler in handlers:
        logger.addHandler(handler)
    try:
        yield
    finally:
        for handler in handlers:
            logger.removeHandler(handler)
            handler.close()
