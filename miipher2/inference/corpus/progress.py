"""What a run tells: hours done, speed, time left, and what went wrong.

Authors
 * The miipher2 authors 2026
"""

import contextlib
import logging
import sys
import threading
import time

from tqdm import tqdm

logger = logging.getLogger("miipher2.inference")

LINE_SECONDS = 60.0  # between two lines where there is no terminal for a bar


class Progress:
    """A bar on a terminal, a line a minute elsewhere.

    It counts bytes of the inputs, which are known without opening them.

    Arguments
    ---------
    items : list of miipher2.inference.items.Item
        What is to be done.
    quiet : bool
        Whether to show nothing.

    Attributes
    ----------
    counts : dict
        Number of recordings by what became of them.

    Example
    -------
    >>> with Progress([], quiet=True) as progress:
    ...     progress.speed()
    '0.00 h at 0.0 x real time'
    """

    def __init__(self, items, quiet=False):
        self.counts = {"done": 0, "silent": 0, "skipped": 0, "failed": 0}
        self.seconds = self.size = 0.0
        self.total = max(1, sum(item.size for item in items))
        self.lock = threading.Lock()
        self.started = self.last_line = time.monotonic()
        terminal = sys.stderr.isatty()
        self.lines = not terminal
        self.bar = tqdm(
            total=self.total,
            unit_scale=True,
            disable=quiet or not terminal,
            bar_format="{percentage:3.0f}%|{bar:20}| {desc}, {remaining} left",
        )

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.bar.close()

    def advance(self, size, seconds):
        """Counts sound that was restored.

        Arguments
        ---------
        size : float
            Bytes of input, of those that the items have.
        seconds : float
            Of sound.
        """
        with self.lock:
            self.seconds += seconds
            self.size += size
            told = f"{self.speed()}, {self.counts['failed']} failed"
            self.bar.set_description_str(told, refresh=False)
            self.bar.update(size)
            if self.lines and time.monotonic() - self.last_line > LINE_SECONDS:
                self.last_line = time.monotonic()
                logger.info("%d %%, %s", 100 * self.size // self.total, told)

    def end(self, row):
        """Counts a recording and tells if it failed.

        Arguments
        ---------
        row : miipher2.inference.items.Row
            What became of it.
        """
        with self.lock:
            self.counts[row.status] += 1
        if row.status == "failed":
            logger.error("failed: %s: %s", row.input, row.reason)

    def speed(self):
        """Says in a few words how much is done and how fast.

        Returns
        -------
        str
            Hours of sound, and hours of sound an hour.
        """
        elapsed = max(1e-3, time.monotonic() - self.started)
        return (
            f"{self.seconds / 3600:.2f} h at "
            f"{self.seconds / elapsed:.1f} x real time"
        )


class Console(logging.Handler):
    """Writes above the bar: errors to stderr, the rest to stdout."""

    def emit(self, record):
        """Writes a record as one line.

        Arguments
        ---------
        record : logging.LogRecord
            What to write.
        """
        stream = sys.stdout if record.levelno < logging.WARNING else sys.stderr
        line = self.format(record).replace("\n", "\\n")
        # names need not be valid, nor known to the terminal
        encoding = stream.encoding or "utf-8"
        line = line.encode(encoding, "backslashreplace").decode(encoding)
        tqdm.write(line, file=stream)


@contextlib.contextmanager
def logging_to(log_file=None, quiet=False):
    """Shows what a run tells, for the length of a ``with`` block.

    Arguments
    ---------
    log_file : str or Path
        Gets it, too, with the time; None: there is none.
    quiet : bool
        Whether to show errors only.
    """
    console = Console(logging.WARNING if quiet else logging.INFO)
    handlers = [console]
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
