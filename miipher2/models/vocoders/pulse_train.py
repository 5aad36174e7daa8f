"""Pulse trains: all harmonics of a pitch that changes.

Authors
 * The miipher2 authors 2026
"""

import math

import torch
from torch.nn import functional as F


def cycles(hz, hop_length, sample_rate):
    """How many cycles have passed before each sample.

    Arguments
    ---------
    hz : torch.Tensor
        Pitch in the middle of every hop ``(batch, hops)``.
    hop_length : int
        Samples a hop.
    sample_rate : int
        Hz.

    Returns
    -------
    torch.Tensor
        ``(batch, hops * hop_length)``, in double precision: the error of a
        sum grows with its length.

    Example
    -------
    >>> passed = cycles(torch.full((1, 2), 100.0), 160, 16000)
    >>> [round(value, 3) for value in passed[0, ::80].tolist()]
    [0.0, 0.5, 1.0, 1.5]
    """
    steps = _every_sample(hz, hop_length).double() / sample_rate
    return steps.cumsum(dim=-1) - steps


def _every_sample(hz, hop_length):
    return F.interpolate(hz[:, None], scale_factor=hop_length, mode="linear")[
        :, 0
    ]


def pulse_train(hz, hop_length, sample_rate, cycles_before=None):
    """Makes all harmonics of a pitch, in phase, up to half the sample rate.

    The sum of K cosines has a closed form (Dirichlet's kernel). The highest
    one fades in and out, so that nothing clicks when their number changes.

    Arguments
    ---------
    hz : torch.Tensor
        Pitch in the middle of every hop ``(batch, hops)``.
    hop_length : int
        Samples a hop.
    sample_rate : int
        Hz.
    cycles_before : torch.Tensor
        Where in a cycle to start ``(batch,)``; None: at a pulse.

    Returns
    -------
    torch.Tensor
        ``(batch, hops * hop_length)``, of power 1.

    Example
    -------
    >>> pulses = pulse_train(torch.full((1, 50), 200.0), 160, 16000)
    >>> pulses.shape, f"{pulses.square().mean():.2f}"
    (torch.Size([1, 8000]), '0.98')
    """
    passed = cycles(hz, hop_length, sample_rate)
    if cycles_before is not None:
        passed = passed + cycles_before[:, None]
    half = math.pi * (passed % 1).float()
    count = sample_rate / 2 / _every_sample(hz, hop_length)
    whole = count.floor()
    sine = half.sin()
    at_pulse = sine.abs() < 1e-4  # the limit of the ratio
    ratio = ((2 * whole - 1) * half).sin() / sine.masked_fill(at_pulse, 1.0)
    ratio = torch.where(at_pulse, 2 * whole - 1, ratio)
    highest = (count - whole) * (2 * whole * half).cos()
    return ((ratio - 1) / 2 + highest) * (2 / count).sqrt()
