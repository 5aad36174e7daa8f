"""Clipping, by the share of samples that it hits.

Authors
 * The miipher2 authors 2026
"""

import numpy as np

from miipher2.degrade.base import Degradation, log_uniform, pick

# A soft clipper's curve ends this far above its knee, relative to the knee.
SOFT_HEADROOM = 0.5


class Clipping(Degradation):
    """An overdriven input.

    The threshold t is set so that the asked share of the samples reaches it
    (one sample at least). A hard clipper flattens these at t. A soft one bends them: for
    |x| > t the output is t + h tanh((|x| - t) / h) with h = t / 2, continuous
    and smooth at t.

    Arguments
    ---------
    share : tuple of float
        Lowest and highest share of the samples that reach the threshold, in
        (0, 1), drawn evenly on a logarithmic scale.
    kinds : tuple of str
        Of hard, soft.

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
        """Clips; see ``Degradation.degrade``."""
        share = log_uniform(rng, self.share)
        kind = pick(rng, self.kinds)
        level = np.abs(samples)
        above = min(len(samples), max(1, round(share * len(samples))))
        place = len(samples) - above
        threshold = np.partition(level, place)[place]
        drawn = {"kind": kind, "share": share, "threshold": float(threshold)}
        if threshold == 0:
            return samples.copy(), drawn
        if kind == "hard":
            return np.clip(samples, -threshold, threshold), drawn
        headroom = SOFT_HEADROOM * threshold
        over = np.maximum(level - threshold, 0)
        bent = np.minimum(level, threshold) + headroom * np.tanh(
            over / headroom
        )
        return np.copysign(bent, samples), drawn
