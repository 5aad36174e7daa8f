"""Tests of window positions and the cross-fade.

Authors
 * The miipher2 authors 2026
"""

import itertools

import numpy
import pytest

from miipher2.inference.windows import CrossFade, WindowPlan

HOP = 320


@pytest.mark.parametrize("overlap", [1, 2, 7, 20, 49])
@pytest.mark.parametrize("frames", [1, 99, 100, 101, 180, 181, 1000])
@pytest.mark.parametrize("missing", [0, 1, HOP - 1])
@pytest.mark.parametrize("even", [False, True])
def test_joined_windows_equal_the_recording(frames, overlap, missing, even):
    plan = WindowPlan(100, overlap, HOP, even)
    samples = frames * HOP - missing
    starts, size = list(plan.starts(samples)), plan.frames(samples)
    assert size == 100 or (even and 2 * overlap < size < 100)
    assert starts[0] == 0 and starts[-1] == max(0, frames - size)
    steps = numpy.diff(starts)
    assert (steps > 0).all() and (steps <= size - overlap).all()
    out_hop = 3
    wav = numpy.random.default_rng(0).standard_normal(samples * out_hop // HOP)
    cross_fade = CrossFade(plan, out_hop)
    joined = [
        cross_fade.join(
            wav[start * out_hop :][: size * out_hop], start, next_start
        )
        for start, next_start in itertools.zip_longest(starts, starts[1:])
    ]
    numpy.testing.assert_allclose(numpy.concatenate(joined), wav, atol=1e-6)


def test_even_windows_need_less_than_one_extra_frame_each():
    for frames in range(101, 500, 7):
        plan = WindowPlan(window=100, overlap=10, hop_length=HOP, even=True)
        starts = list(plan.starts(frames * HOP))
        computed = len(starts) * plan.frames(frames * HOP)
        assert computed < frames + 10 * (len(starts) - 1) + len(starts)


def test_edges_of_windows_are_discarded():
    plan = WindowPlan(window=100, overlap=20, hop_length=HOP)
    cross_fade = CrossFade(plan, hop_length=1)
    wav = numpy.zeros(100)
    wav[:5] = wav[-5:] = 9.0  # a quarter of the overlap
    starts = list(plan.starts(420 * HOP))
    joined = numpy.concatenate(
        [
            cross_fade.join(wav, start, next_start)
            for start, next_start in itertools.zip_longest(starts, starts[1:])
        ]
    )
    assert (joined[5:-5] == 0).all() and joined[0] == joined[-1] == 9.0


def test_a_cross_fade_preserves_the_level():
    plan = WindowPlan(window=100, overlap=20, hop_length=HOP)
    cross_fade = CrossFade(plan, hop_length=100)
    joined = [
        cross_fade.join(numpy.ones(10000), 0, 80),
        cross_fade.join(numpy.ones(10000), 80, None),
    ]
    assert numpy.allclose(numpy.concatenate(joined), 1.0)
