"""Tests of means, medians and bootstrap confidence intervals.

Authors
 * The miipher2 authors 2026
"""

import math

import numpy as np
import pytest
from scipy.stats import bootstrap as scipy_bootstrap

from miipher2.evaluation import statistics
from miipher2.evaluation.statistics import bootstrap


def test_interval_agrees_with_scipy():
    values = np.random.default_rng(0).exponential(2.0, 150)
    expected = scipy_bootstrap(
        (values,), np.mean, method="percentile", rng=1
    ).confidence_interval
    low, high = bootstrap(values[:, None])[:, 0]
    assert low == pytest.approx(expected.low, abs=0.03)
    assert high == pytest.approx(expected.high, abs=0.03)


def test_missing_scores_are_ignored():
    rng = np.random.default_rng(0)
    values = rng.standard_normal((90, 3))
    values[::3, 1] = values[:, 2] = math.nan
    first, second, none = statistics.statistics(values)
    assert (first.files, second.files, none.files) == (90, 60, 0)
    assert second.mean == pytest.approx(np.nanmean(values[:, 1]))
    assert second.median == pytest.approx(np.nanmedian(values[:, 1]))
    assert second.low < second.mean < second.high
    assert second.high - second.low > first.high - first.low
    assert all(map(math.isnan, none[1:]))
    assert statistics.statistics(values[:0])[0].files == 0


def test_intervals_depend_only_on_values_and_seed(monkeypatch):
    values = np.random.default_rng(0).standard_normal((50, 2))
    before = bootstrap(values)
    assert np.array_equal(before, bootstrap(values))
    assert not np.array_equal(before, bootstrap(values, seed=1))
    # Two bootstrap samples of 50 files per batch
    monkeypatch.setattr(statistics, "BATCH", 120)
    assert np.allclose(before, bootstrap(values))


def test_intervals_of_equal_values_have_zero_width():
    low, high = bootstrap(np.full((20, 1), 3.5))[:, 0]
    assert low == high == 3.5
