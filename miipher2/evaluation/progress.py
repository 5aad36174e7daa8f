"""Progress bar of an evaluation.

Authors
 * The miipher2 authors 2026
"""

import sys
import time

from tqdm import tqdm

from miipher2.evaluation.scores import Row

LINE_SECONDS = 60.0  # minimum between status lines without a terminal


class Progress:
    """Progress bar on a terminal; otherwise, at most one status line a minute.

    Arguments
    ---------
    missing : int
        Number of files to score.
    total : int
        Number of files, including files that an earlier run scored.
    quiet : bool
        Whether to hide the progress and the files that failed or are missing.

    Example
    -------
    >>> with Progress(1, 1, quiet=True) as progress:
    ...     progress.end({"file": "a.wav", "status": "done"})
    """

    def __init__(self, missing: int, total: int, quiet: bool = False) -> None:
        self.missing = missing
        self.quiet = quiet
        self.done = self.failed = 0
        self.started = self.last_line = time.monotonic()
        self.terminal = sys.stderr.isatty()
        self.bar = tqdm(
            total=max(1, missing),
            disable=quiet or not self.terminal,
            desc="starting",
            bar_format="{percentage:3.0f}%|{bar}| {desc}, {remaining} left",
        )
        if not quiet and missing < total:
            self._print(f"{total - missing:,} of {total:,} files already done")

    def __enter__(self) -> "Progress":
        return self

    def __exit__(self, *_: object) -> None:
        self.bar.close()

    def end(self, row: Row) -> None:
        """Count a finished file; if it failed or is missing, print the reason.

        Arguments
        ---------
        row : dict
            The row of the file.
        """
        self.done += 1
        if row["status"] in ("failed", "missing"):
            self.failed += 1
            self._print(f"{row['status']}: {row['file']}: {row['notes']}")
        now = time.monotonic()
        rate = self.done / max(1e-3, now - self.started)
        status = f"{rate:.1f} files/s, {self.failed} failed or missing"
        self.bar.set_description_str(status, refresh=False)
        self.bar.update()
        if not self.terminal and now - self.last_line > LINE_SECONDS:
            self.last_line = now
            self._print(f"{self.done:,} of {self.missing:,} files, {status}")

    def _print(self, line: str) -> None:
        """Print a line above the bar, unless ``quiet`` is set."""
        if not self.quiet:
            line = line.replace("\n", "\\n")
            line = line.encode("utf-8", "backslashreplace").decode("utf-8")
            self.bar.write(line, file=sys.stderr)
