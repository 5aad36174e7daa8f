"""Band limiting by low-pass filters and low sample rates.

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
    """Design a low-pass filter as second-order sections."""
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
    """Return a function that resamples down and up again with soxr."""

    def convert(samples, rate, low_rate):
        low = soxr.resample(samples, rate, low_rate, quality)
        return soxr.resample(low, low_rate, rate, quality)

    return convert


def _linear(samples, rate, low_rate):
    """Resample linearly, which aliases and attenuates high frequencies."""
    times = np.arange(len(samples)) / rate
    low_times = np.arange(0, times[-1] + 1 / rate, 1 / low_rate)
    low = np.interp(low_times, times, samples)
    return np.interp(times, low_times, low).astype(np.float32)


def _hold(samples, rate, low_rate):
    """Resample by sample and hold, which adds aliases and images."""
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
    """Remove high frequencies with a low-pass filter or a low sample rate.

    The low-pass filters are Butterworth, Chebyshev type 1 (1 dB ripple),
    Chebyshev type 2 (60 dB stop-band attenuation), elliptic and Bessel filters.
    They are causal and delay the signal by up to about 1 ms, and by more near
    the cut-off. The resamplers convert to a rate of twice the cut-off and back.
    ``soxr`` uses an anti-aliasing filter, ``soxr_quick`` a cubic interpolator;
    ``linear`` and ``hold`` do not filter. All resamplers but ``soxr`` alias.

    Arguments
    ---------
    cutoff_hz : tuple of float
        Lowest and highest cut-off in Hz, drawn log-uniformly and capped at 95 %
        of the Nyquist frequency. For a resampler, the cut-off is half the low
        sample rate. For a filter, it is the -3 dB point (butter), the end of
        the pass band (cheby1, ellip), the start of the stop band (cheby2) or a
        point at -8 to -18 dB, depending on the order (bessel).
    kinds : tuple of str
        Filters and resamplers to choose from: any of butter, cheby1, cheby2,
        ellip, bessel, soxr, soxr_quick, linear, hold.
    order : tuple of int
        Lowest and highest order of the filters.
    sample_rate : int
        Sample rate in Hz.

    Raises
    ------
    UserError
        If one of ``kinds`` is unknown.

    Example
    -------
    >>> import torch
    >>> from miipher2.degrade.base import generator
    >>> bandwidth = Bandwidth(cutoff_hz=(2000.0, 2000.0), kinds=("soxr",))
    >>> muffled, drawn = bandwidth(torch.ones(16000), generator(0))
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
                raise UserError(
                    f"bandwidth: unknown kind {kind!r}; choose from {known}"
                )
        self.cutoff_hz = cutoff_hz
        self.kinds = kinds
        self.order = order
        self.sample_rate = sample_rate

    def degrade(self, samples, rng):
        """Filter or resample; see ``Degradation.degrade``."""
        kind = pick(rng, self.kinds)
        cutoff_hz = log_uniform(rng, self.cutoff_hz)
        cutoff_hz = round(min(cutoff_hz, 0.95 * self.sample_rate / 2))
        order = int(rng.integers(self.order[0], self.order[1] + 1))
        drawn = {"kind": kind, "cutoff_hz": cutoff_hz}
        if kind in RESAMPLERS:
            convert = RESAMPLERS[kind]
            muffled = convert(samples, self.sample_rate, 2 * cutoff_hz)
            return fit(muffled, len(samples)), drawn
        sections = _filter(kind, order, cutoff_hz, self.sample_rate)
        muffled = signal.sosfilt(sections.astype(np.float32), samples)
        return muffled, {**drawn, "order": order}
