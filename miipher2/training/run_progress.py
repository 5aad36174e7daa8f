"""The progress bar of a run, and a warning if it will take weeks.

Authors
 * The miipher2 authors 2026
"""

import time

from speechbrain.utils.logger import get_logger
from tqdm import tqdm

logger = get_logger(__name__)

WARN_DAYS = 7  # of a run


class RunProgress:
    """Bar over the optimizer steps of a run, with the time that is left.

    Arguments
    ---------
    step : int
        Optimizer steps that are done.
    total : int
        Optimizer steps of the run; None: they are not known.
    **bar : dict
        Arguments of ``tqdm``.

    Example
    -------
    >>> progress = RunProgress(2, 4, disable=True)
    >>> progress.update(0.5)
    >>> progress.close()
    """

    def __init__(self, step, total, **bar):
        self.remaining = None if total is None else total - step
        self.times = []
        self.bar = tqdm(
            initial=step, total=total, unit="step", dynamic_ncols=True, **bar
        )

    def update(self, loss):
        """Add a step; after the second one, warn if the run is slow."""
        self.bar.set_postfix(train_loss=float(loss), refresh=False)
        self.bar.update()
        if self.remaining is None:
            return
        self.remaining -= 1
        if len(self.times) < 2:
            self.times.append(time.monotonic())
            if len(self.times) == 2:
                self._warn_if_slow(self.times[1] - self.times[0])

    def _warn_if_slow(self, seconds):
        days = self.remaining * seconds / 86400
        if days > WARN_DAYS:
            logger.warning(
                f"{seconds:.2g} s a step: the remaining {self.remaining:,} "
                f"steps take about {days:,.0f} days; give fewer --max_steps, "
                "--minutes=..., a smaller model or a GPU"
            )

    def close(self):
        """End the bar."""
        self.bar.close()
