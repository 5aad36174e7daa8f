"""Tests of ``benchmarks/memory.py``.

Authors
 * The miipher2 authors 2026
"""

import memory
import torch


def test_live_bytes_and_their_peak():
    weight = torch.zeros(100, requires_grad=True)
    with memory.LiveBytes([weight]) as live:
        first = torch.ones(50) * 2  # two tensors, one of which is freed
        view = first[:10]
        second = torch.ones(25)
    assert live.start == 400
    assert live.peak == 400 + 2 * 200
    assert live.now == 400 + 200 + 100
    del first, view, second
    assert live.now == 400


def test_memory_and_flops_grow_with_the_batch():
    figures = [
        memory.measure("pa", None, "fp32", 1.0, clips, "hubert-tiny")
        for clips in (1, 2)
    ]
    one, two = figures
    assert one["trained"] == 2144 and one["start"] == two["start"]
    assert one["start"] < one["peak"] < two["peak"]
    assert two["flops"] == 2 * one["flops"]
