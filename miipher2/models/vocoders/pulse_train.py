"""Pulse trains, which contain all harmonics of a varying pitch.

Authors
 * The miipher2 authors 2026
"""

import math

import torch
from torch.nn import functional as F


def cycles(hz, hop_length, sample_rate):
    """Return the accumulated phase of a pitch at each sample, in cycles.

    Arguments
    ---------
    hz : torch.Tensor
        Pitch in Hz at the middle of every hop ``(batch, hops)``.
    hop_length : int
        Number of samples per hop.
    sample_rate : int
        Sample rate in Hz.

    Returns
    -------
    torch.Tensor
        Phases ``(batch, hops * hop_length)``, not wrapped. They are in double
        precision, because the rounding error of a cumulative sum increases with
        its length.

    Example
    -------
    >>> phase = cycles(torch.full((1, 2), 100.0), 160, 16000)
    >>> [round(value, 3) for value in phase[0, ::80].tolist()]
    [0.0, 0.5, 1.0, 1.5]
    """
    steps = _interpolate(hz, hop_length)
    if steps.device.type == "mps":  # MPS has no double precision
        steps = steps.cpu()
    steps = steps.double() / sample_rate
    return steps.cumsum(dim=-1) - steps


def pulse_train(hz, hop_length, sample_rate, phases=None):
    """Synthesise the harmonics of a pitch up to the Nyquist frequency.

    The harmonics are in phase, so their sum has a closed form (the Dirichlet
    kernel). The highest harmonic is faded in and out, which makes a change in
    the number of harmonics inaudible.

    Arguments
    ---------
    hz : torch.Tensor
        Pitch in Hz at the middle of every hop ``(batch, hops)``.
    hop_length : int
        Number of samples per hop.
    sample_rate : int
        Sample rate in Hz.
    phases : torch.Tensor
        Initial phases in cycles ``(batch,)``. None to start with a pulse.

    Returns
    -------
    torch.Tensor
        Waveforms ``(batch, hops * hop_length)`` with a power of about 1.

    Example
    -------
    >>> pulses = pulse_train(torch.full((1, 50), 200.0), 160, 16000)
    >>> pulses.shape, f"{pulses.square().mean():.2f}"
    (torch.Size([1, 8000]), '0.98')
    """
    phase = cycles(hz, hop_length, sample_rate)
    if phases is not None:
        phase = phase + phases[:, None]
    half = math.pi * (phase % 1).float().to(hz.device)
    harmonics = sample_rate / 2 / _interpolate(hz, hop_length)
    count = harmonics.floor()
    sine = half.sin()
    at_pulse = sine.abs() < 1e-4  # the ratio is replaced with its limit
    ratio = ((2 * count - 1) * half).sin() / sine.masked_fill(at_pulse, 1.0)
    ratio = torch.where(at_pulse, 2 * count - 1, ratio)
    highest = (harmonics - count) * (2 * count * half).cos()
    return ((ratio - 1) / 2 + highest) * (2 / harmonics).sqrt()


def _interpolate(hz, hop_length):
    """Return the pitch at every sample by linear interpolation."""
    hz = F.interpolate(hz[:, None], scale_factor=hop_length, mode="linear")
    return hz[:, 0]
