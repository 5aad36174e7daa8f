"""Tests of quantisation.

Authors
 * The miipher2 authors 2026
"""

import pytest
import torch

from miipher2.degrade import Quantisation, generator


@pytest.mark.parametrize("bits", [2, 4, 8])
def test_number_of_levels_and_rounding_error(speech, bits):
    coarse, drawn = Quantisation((bits, bits))(speech, generator(0))
    step = float(speech.abs().max()) / 2 ** (bits - 1)
    levels = coarse.double() / step
    assert drawn == {"bits": bits}
    assert torch.allclose(levels, levels.round(), atol=1e-4)
    assert len(levels.round().unique()) <= 2**bits + 1
    assert (coarse - speech).abs().max() <= 0.501 * step
