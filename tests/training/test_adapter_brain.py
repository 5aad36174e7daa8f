"""Tests of the ratio statistic of stage 1.

Authors
 * The miipher2 authors 2026
"""

import math

from miipher2.training.adapter_brain import AdapterBrain


def test_the_ratio_is_nan_if_the_baseline_is_negligible():
    assert AdapterBrain.ratio(0.3, 0.6) == 0.5
    assert math.isnan(AdapterBrain.ratio(0.3, 1e-6))
    assert math.isnan(AdapterBrain.ratio(0.3, 0.0))
