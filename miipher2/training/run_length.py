"""The length of a run in optimizer steps or minutes.

Authors
 * The miipher2 authors 2026
"""

import sys
import time

from miipher2.errors import UserError
from miipher2.training.loaders import check_counts


class RunLength:
    """Length of a run, and its progress through the learning rate schedule.

    Arguments
    ---------
    max_steps : int
        Number of optimizer steps of the schedule and, without ``minutes``, of
        the run.
    minutes : float
        If given, the run ends this many minutes after ``start``, and the
        schedule is scaled to this time.
    step_limit : int or str
        Maximum number of optimizer steps, with or without ``minutes``. None for
        no limit.

    Attributes
    ----------
    steps : int
        Maximum number of optimizer steps of the run.

    Raises
    ------
    UserError
        If ``max_steps`` is below 1, or ``step_limit`` is not a whole number.

    Example
    -------
    >>> str(RunLength(100)), str(RunLength(100, step_limit="20"))
    ('of 100', 'of 20')
    >>> RunLength(100, minutes=5).steps > 100, str(RunLength(100, minutes=5))
    (True, 'in a run of 5 minutes')
    """

    def __init__(self, max_steps, minutes=None, step_limit=None):
        check_counts(max_steps=max_steps)
        if step_limit is not None and not str(step_limit).isdecimal():
            raise UserError(
                f"--optimizer_step_limit={step_limit}: expected a whole number"
            )
        self.max_steps = max_steps
        self.minutes = minutes
        self.steps = sys.maxsize if minutes is not None else max_steps
        if step_limit is not None:
            self.steps = min(self.steps, int(step_limit))
        self.start()

    def __str__(self):
        if self.minutes is None:
            return f"of {self.steps}"
        return f"in a run of {self.minutes:g} minutes"

    def start(self):
        """Start measuring the time."""
        self.started = time.monotonic()

    def elapsed_fraction(self):
        """Return the elapsed fraction of ``minutes``, at most 1."""
        elapsed = (time.monotonic() - self.started) / 60
        return 1.0 if elapsed >= self.minutes else elapsed / self.minutes

    def schedule_step(self, step):
        """Return the position of an optimizer step in the schedule, from 1.

        With ``minutes``, the first step after the time is up is the last step.
        """
        if self.minutes is None:
            return step
        fraction = self.elapsed_fraction()
        if fraction == 1:
            self.steps = min(self.steps, step)
        return max(1, int(fraction * self.max_steps))
