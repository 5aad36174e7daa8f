"""1-D convolutions as those of images: the same numbers.

Authors
 * The miipher2 authors 2026
"""

import pytest
import torch
from speechbrain.nnet.CNN import Conv1d, ConvTranspose1d
from torch import nn
from torch.nn.functional import pad

from miipher2.models.vocoders.channels_last import ChannelsLast, last

LAYERS = {
    "SpeechBrain's": lambda: Conv1d(
        6, 5, in_channels=4, dilation=3, skip_transpose=True, weight_norm=True
    ),
    "one tap": lambda: Conv1d(6, 1, in_channels=4, skip_transpose=True),
    "upsampling": lambda: ConvTranspose1d(
        6, 8, in_channels=4, stride=4, padding=2, skip_transpose=True
    ),
    "with groups": lambda: nn.Conv1d(4, 6, 5, stride=2, padding=2, groups=2),
    "one side": lambda: nn.Sequential(nn.ReflectionPad1d((0, 3)), nn.ReLU()),
}


@pytest.mark.parametrize("make", LAYERS.values(), ids=LAYERS)
@pytest.mark.parametrize("time", [17, 40])
def test_the_same_numbers_forward_and_backward(make, time):
    torch.manual_seed(0)
    layer, found = make(), []
    x = torch.randn(2, 4, time, requires_grad=True)
    inputs = [x, *layer.parameters()]
    for images in (False, True):
        if images:
            with ChannelsLast():
                y = layer(x)
        else:
            y = layer(x)
        torch.manual_seed(1)
        change = torch.randn(y.shape)
        found.append((y, *torch.autograd.grad(y, inputs, change)))
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other, atol=1e-5, rtol=1e-4)


def test_layout_and_precision_go_through_reflecting():
    x = last(torch.randn(2, 4, 40, dtype=torch.bfloat16))
    with torch.autocast("cpu", torch.bfloat16), ChannelsLast():
        y = pad(x, (3, 3), mode="reflect")
    assert y.dtype == torch.bfloat16
    assert y.stride(1) == 1
    assert torch.equal(y.float(), pad(x.float(), (3, 3), mode="reflect"))


def test_what_cannot_be_reflected_is_refused_as_ever():
    with pytest.raises(RuntimeError, match="[Pp]adding"), ChannelsLast():
        pad(torch.randn(1, 2, 3), (3, 3), mode="reflect")
