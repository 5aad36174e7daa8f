"""Hard and soft clipping.

Authors
 * The miipher2 authors 2026
"""

import numpy as np

from miipher2.degrade.base import Degradation, log_uniform, pick

# Headroom of the soft clipper, relative to its threshold.
SOFT_HEADROOM = 0.5


class Clipping(Degradation):
    """Clip a fraction of the samples.

    The threshold t is chosen so that this fraction of the samples, and at least
    one sample, reaches it. Hard clipping limits the magnitude to t. Soft
    clipping maps a magnitude |x| > t to t + h tanh((|x| - t) / h) with
    h = t / 2, which is smooth at t.

    Arguments
    ---------
    share : tuple of float
        Lowest and highest fraction of samples that reach the threshold, in
        (0, 1), drawn log-uniformly.
    kinds : tuple of str
        Any of ``hard``, ``soft``.

    Example
    -------
    >>> import torch
    >>> from miipher2.degrade.base import generator
    >>> clipping = Clipping(share=(0.1, 0.1), kinds=("hard",))
    >>> clipped, drawn = clipping(torch.linspace(0, 1, 1001), generator(0))
    >>> round(float(clipped.max()), 2), round(drawn["share"], 2)
    (0.9, 0.1)
    """

    def __init__(self, share=(0.001, 0.1), kinds=("hard", "soft")):
        self.share = share
        self.kinds = kinds

    def degrade(self, samples, rng):
        """Clip; see ``Degradation.degrade``."""
        share = log_uniform(rng, self.share)
        kind = pick(rng, self.kinds)
        level = np.abs(samples)
        above = min(len(samples), max(1, round(share * len(samples))))
        rank = len(samples) - above
        threshold = np.partition(level, rank)[rank]
        drawn = {"kind": kind, "share": share, "threshold": float(threshold)}
        if threshold == 0:
            return samples.copy(), drawn
        if kind == "hard":
            return np.clip(samples, -threshold, threshold), drawn
        headroom = SOFT_HEADROOM * threshold
        over = np.maximum(level - threshold, 0)
        soft = np.minimum(level, threshold) + headroom * np.tanh(
            over / headroom
        )
        return np.copysign(soft, samples), drawn
