"""Lost bandwidth: filters, and converters of low sample rates.

Authors
 * The miipher2 authors 2026
"""

import numpy as np
import soxr
from scipy import signal

from miipher2.degrade.base import Degradation, fit, log_uniform, pick
from miipher2.errors import UserError

RIPPLE_DB = 1.0
STOP_DB = 60.0


def _filter(kind, order, cutoff_hz, sample_rate):
    """A low-pass filter's second-order sections."""
    return signal.iirfilter(
        order,
        cutoff_hz,
        rp=RIPPLE_DB,
        rs=STOP_DB,
        btype="lowpass",
        ftype=kind,
        output="sos",
        fs=sample_rate,
    )


def _resample(quality):
    """A converter down and up again with a proper anti-aliasing filter."""

    def convert(samples, rate, low_rate):
        low = soxr.resample(samples, rate, low_rate, quality)
        return soxr.resample(low, low_rate, rate, quality)

    return convert


def _linear(samples, rate, low_rate):
    """Linear interpolation both ways: aliases, images and a dull top."""
    times = np.arange(len(samples)) / rate
    low_times = np.arange(0, times[-1] + 1 / rate, 1 / low_rate)
    low = np.interp(low_times, times, samples)
    return np.interp(times, low_times, low).astype(np.float32)


def _hold(samples, rate, low_rate):
    """The last sample is taken and held: aliases and mirror images."""
    step = np.arange(len(samples)) * low_rate // rate
    return samples[step * rate // low_rate]


FILTERS = ("butter", "cheby1", "cheby2", "ellip", "bessel")
RESAMPLERS = {
    "soxr": _resample("HQ"),
    "soxr_quick": _resample("QQ"),
    "linear": _linear,
    "hold": _hold,
}


class Bandwidth(Degradation):
    """Takes the high frequencies away, as a filter or a low rate does.

    The filters (Butterworth, Chebyshev of both types with 1 dB ripple or 60 dB
    stop band, elliptic, Bessel) run forwards, so they delay by a few tenths of
    a millisecond, as in life. The resamplers go down to twice the cut-off and
    up again: ``soxr`` with a proper filter, ``soxr_quick`` with a cubic
    interpolator, ``linear`` and ``hold`` with none: these three alias.

    Arguments
    ---------
    cutoff_hz : tuple of float
        Lowest and highest cut-off in Hz, drawn evenly in octaves, at most 95 %
        of half the sample rate: half the low rate, -3 dB (butter), the end of
        the pass band (cheby1, ellip) or the start of the stop band (cheby2).
    kinds : tuple of str
        Of butter, cheby1, cheby2, ellip, bessel, soxr, soxr_quick, linear,
        hold.
    order : tuple of int
        Lowest and highest order of the filters.
    sample_rate : int
        In Hz.

    Raises
    ------
    UserError
        If a kind is not known.

    Example
    -------
    >>> import torch
    >>> from miipher2.degrade.base import generator
    >>> bandwidth = Bandwidth(cutoff_hz=(2000.0, 2000.0), kinds=("soxr",))
    >>> dull, drawn = bandwidth(torch.ones(16000), generator(0))
    >>> drawn["kind"], round(drawn["cutoff_hz"])
    ('soxr', 2000)
    """

    def __init__(
        self,
        cutoff_hz=(1500.0, 8000.0),
        kinds=(*FILTERS, *RESAMPLERS),
        order=(4, 12),
        sample_rate=16000,
    ):
        for kind in kinds:
            if kind not in FILTERS and kind not in RESAMPLERS:
                known = ", ".join((*FILTERS, *RESAMPLERS))
                raise UserError(f"bandwidth {kind!r}: give some of {known}")
        self.cutoff_hz = cutoff_hz
        self.kinds = kinds
        self.order = order
        self.sample_rate = sample_rate

    def degrade(self, samples, rng):
        """Filters or resamples; see ``Degradation.degrade``."""
        kind = pick(rng, self.kinds)
        cutoff_hz = log_uniform(rng, self.cutoff_hz)
        cutoff_hz = round(min(cutoff_hz, 0.95 * self.sample_rate / 2))
        order = int(rng.integers(self.order[0], self.order[1] + 1))
        drawn = {"kind": kind, "cutoff_hz": cutoff_hz}
        if kind in RESAMPLERS:
            convert = RESAMPLERS[kind]
            dull = convert(samples, self.sample_rate, 2 * cutoff_hz)
            return fit(dull, len(samples)), drawn
        sections = _filter(kind, order, cutoff_hz, self.sample_rate)
        dull = signal.sosfilt(sections.astype(np.float32), samples)
        return dull, {**drawn, "order": order}
