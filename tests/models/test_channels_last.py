"""Tests of miipher2.models.channels_last.

Authors
 * The miipher2 authors 2026
"""

import pytest
import torch
from speechbrain.nnet.CNN import Conv1d, ConvTranspose1d
from torch import nn
from torch.nn.functional import pad

from miipher2.models.channels_last import (
    channels_last,
    reflect,
    use_channels_last,
)


def layers():
    """Return convolutions as in SpeechBrain's HiFi-GAN generator."""
    options = {"skip_transpose": True}
    return nn.Sequential(
        Conv1d(8, 7, in_channels=4, **options),
        nn.Sequential(Conv1d(8, 5, in_channels=8, dilation=3, **options)),
        ConvTranspose1d(6, 8, in_channels=8, stride=4, padding=2, **options),
        Conv1d(1, 1, in_channels=6, **options),
    )


@pytest.mark.parametrize("time", [17, 40])
def test_the_layout_changes_neither_output_nor_tensor_names(time):
    torch.manual_seed(0)
    model = layers()
    x, names = torch.randn(2, 4, time), model.state_dict().keys()
    with torch.no_grad():
        expected = model(x)
        use_channels_last(model)
        torch.testing.assert_close(model(x), expected, atol=1e-5, rtol=1e-4)
    assert model.state_dict().keys() == names


def test_reflection_preserves_layout_and_precision():
    x = channels_last(torch.randn(2, 4, 40, dtype=torch.bfloat16))
    with torch.autocast("cpu", torch.bfloat16):
        y = reflect(x, 3)
    assert y.dtype == torch.bfloat16
    assert y.stride(1) == 1
    assert torch.equal(y.float(), pad(x.float(), (3, 3), mode="reflect"))
