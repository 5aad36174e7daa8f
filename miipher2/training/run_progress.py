"""The progress bar of a run, and a warning about runs of more than a week.

Authors
 * The miipher2 authors 2026
"""

import sys
import time

from speechbrain.utils.logger import get_logger
from tqdm import tqdm

logger = get_logger(__name__)

WARN_DAYS = 7  # a warning is logged for longer runs
MIN_FRACTION = 1e-6  # smallest elapsed fraction, to avoid division by zero
LINE_SECONDS = 60.0  # minimum time between lines if stderr is not a terminal


class RunProgress:
    """Progress bar of the optimizer steps of a run, with loss and time left.

    If ``length.minutes`` limits the run, the total number of steps is estimated
    from the elapsed fraction of this time.

    Arguments
    ---------
    step : int
        Number of completed optimizer steps.
    length : miipher2.training.run_length.RunLength
        Length of the run.
    **bar : dict
        Arguments of ``tqdm``.

    Example
    -------
    >>> from miipher2.training.run_length import RunLength
    >>> progress = RunProgress(2, RunLength(4), disable=True)
    >>> progress.update(0.5)
    >>> progress.close()
    """

    def __init__(self, step, length, **bar):
        self.step = self.start = step
        self.length = length
        self.timed = length.minutes is not None
        self.times = []
        # print fewer lines if stderr is a file
        pause = 0.1 if sys.stderr.isatty() else LINE_SECONDS
        # smoothing 0: estimate the time left from the mean speed of the run
        rate = {"smoothing": 0} if self.timed else {}
        self.bar = tqdm(
            initial=step,
            total=None if self.timed else length.steps,
            unit="step",
            dynamic_ncols=True,
            mininterval=pause,
            **rate,
            **bar,
        )

    def update(self, loss):
        """Count a step; without ``minutes``, warn once if the run is slow."""
        self.step += 1
        if self.timed:
            fraction = max(self.length.elapsed_fraction(), MIN_FRACTION)
            steps = self.start + round((self.step - self.start) / fraction)
            self.bar.total = min(self.length.steps, steps)
        self.bar.set_postfix(train_loss=float(loss), refresh=False)
        self.bar.update()
        if not self.timed and len(self.times) < 2:
            self.times.append(time.monotonic())
            if len(self.times) == 2:
                self._warn_if_slow(self.times[1] - self.times[0])

    def _warn_if_slow(self, seconds):
        remaining = self.length.steps - self.step
        days = remaining * seconds / 86400
        if days > WARN_DAYS:
            logger.warning(
                f"{seconds:.2g} s per step: the remaining {remaining:,} "
                f"steps take about {days:,.0f} days; reduce --max_steps, set "
                "--minutes, or use a smaller model or a GPU"
            )

    def close(self):
        """Close the bar."""
        self.bar.close()
