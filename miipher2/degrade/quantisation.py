"""Quantisation to a low bit depth.

Authors
 * The miipher2 authors 2026
"""

import numpy as np

from miipher2.degrade.base import Degradation


class Quantisation(Degradation):
    """Reduce the bit depth, without dither.

    Full scale is the peak of the clip, and the quantisation step is
    peak / 2 ** (bits - 1).

    Arguments
    ---------
    bits : tuple of int
        Lowest and highest number of bits, 2 or more.

    Example
    -------
    >>> import torch
    >>> from miipher2.degrade.base import generator
    >>> coarse, drawn = Quantisation((2, 2))(
    ...     torch.linspace(-1, 1, 9), generator(0)
    ... )
    >>> (2 * coarse).unique().int().tolist()
    [-2, -1, 0, 1, 2]
    """

    def __init__(self, bits=(4, 8)):
        self.bits = bits

    def degrade(self, samples, rng):
        """Round; see ``Degradation.degrade``."""
        bits = int(rng.integers(self.bits[0], self.bits[1] + 1))
        step = np.abs(samples).max() / np.float32(2 ** (bits - 1))
        if step == 0:
            return samples.copy(), {"bits": bits}
        return np.rint(samples / step) * step, {"bits": bits}
