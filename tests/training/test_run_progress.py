"""Tests of the progress bar of a run.

Authors
 * The miipher2 authors 2026
"""

import io

import pytest

from miipher2.training.run_length import RunLength
from miipher2.training.run_progress import RunProgress


def bar(step, length):
    return RunProgress(step, length, file=io.StringIO())


def test_loss_and_steps_are_shown():
    progress = bar(10, RunLength(20))
    for _ in range(5):
        progress.update(0.25)
    text = str(progress.bar)
    assert "15/20" in text and "train_loss=0.25" in text
    assert text.startswith(" 75%")


class Timed(RunLength):
    """A run length whose elapsed fraction can be set by the test."""

    fraction = 0.0

    def elapsed_fraction(self):
        return self.fraction


def test_time_left_is_estimated_from_the_time_limit():
    """After a quarter of the time, three times the elapsed time is left."""
    progress = bar(100, Timed(12, minutes=60))
    progress.update(0.5)  # the elapsed fraction is still 0
    for step in range(2, 11):
        progress.length.fraction = step / 40
        progress.update(0.5)
    shown = progress.bar.format_dict
    left = (shown["total"] - shown["n"]) / (shown["n"] - shown["initial"])
    assert left == pytest.approx(3)
    assert progress.bar.smoothing == 0
    progress.length.fraction = 1.0
    progress.update(0.5)
    assert progress.bar.total == progress.bar.n == 111


def test_the_step_limit_bounds_the_total_of_a_timed_run():
    progress = bar(0, Timed(5, minutes=60, step_limit=12))
    progress.length.fraction = 0.001
    progress.update(0.5)
    assert progress.bar.total == 12
