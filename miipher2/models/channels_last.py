"""1-D convolutions in channels-last layout, for inference on a CPU.

If the channels of a sample are adjacent in memory, a CPU computes convolutions
of long inputs with few channels up to four times faster in bfloat16, and
slightly faster in float32. PyTorch supports this layout only for images and
volumes, so a waveform is treated as an image of height 1. With one thread,
HuBERT-large up to layer 8 and HiFi-GAN together run 1.28 times faster in
bfloat16 and 1.11 times faster in float32.

Authors
 * The miipher2 authors 2026
"""

import speechbrain.nnet.CNN
import torch
from torch import nn
from torch.nn import functional as F


def channels_last(x):
    """Return a tensor ``(batch, channels, time)`` in channels-last layout."""
    return _image(x)[:, :, 0]


def conv1d(x, weight, bias=None, stride=1, dilation=1):
    """Compute ``torch.nn.functional.conv1d`` without padding.

    Arguments
    ---------
    x : torch.Tensor
        Input ``(batch, channels, time)``.
    weight : torch.Tensor
        ``(out_channels, channels, kernel_size)``.
    bias : torch.Tensor
        ``(out_channels,)``. None for no bias.
    stride, dilation : int
        As in PyTorch.

    Returns
    -------
    torch.Tensor
        The output of the convolution, in channels-last layout.

    Example
    -------
    >>> x, weight = torch.rand(1, 2, 20), torch.rand(4, 2, 3)
    >>> y = conv1d(x, weight, dilation=5)
    >>> bool(torch.allclose(y, F.conv1d(x, weight, dilation=5), atol=1e-6))
    True
    >>> y.stride(1)
    1
    """
    return F.conv2d(
        _image(x),
        _image(weight),
        bias,
        stride=(1, stride),
        dilation=(1, dilation),
    )[:, :, 0]


class ChannelsLastCNN(nn.Module):
    """A convolutional feature extractor with a norm after each convolution.

    The layer norms normalise over the channels. In transformers, the hidden
    states are therefore copied twice per layer. Here, they stay in the
    channels-last layout, and transposing them makes no copies. The output is
    the same except for rounding errors.

    Arguments
    ---------
    cnn : torch.nn.Module
        The encoder's ``feature_extractor``. Its layers are shared, not copied.
    """

    def __init__(self, cnn):
        super().__init__()
        self.conv_layers = cnn.conv_layers

    def forward(self, inputs):
        """Convert waveforms (batch, time) to (batch, channels, frames)."""
        hidden = inputs[..., None]  # (batch, time, channels)
        for layer in self.conv_layers:
            conv = layer.conv
            (kernel,), (stride,) = conv.kernel_size, conv.stride
            if conv.in_channels == 1:
                windows = hidden[..., 0].unfold(1, kernel, stride)
                hidden = F.linear(windows, conv.weight[:, 0], conv.bias)
            else:
                hidden = conv1d(
                    hidden.transpose(1, 2), conv.weight, conv.bias, stride
                ).transpose(1, 2)
            hidden = layer.activation(layer.layer_norm(hidden))
        return hidden.transpose(1, 2)


class ReflectConv1d(nn.Module):
    """A SpeechBrain ``Conv1d`` with a stride of 1 and reflection padding.

    Arguments
    ---------
    layer : speechbrain.nnet.CNN.Conv1d
        The layer to replace, without weight normalisation.
    """

    def __init__(self, layer):
        super().__init__()
        self.conv = layer.conv
        self.conv.weight.data = channels_last(self.conv.weight.data)

    def forward(self, x):
        """Apply the layer to a tensor ``(batch, channels, time)``."""
        (kernel,), (dilation,) = self.conv.kernel_size, self.conv.dilation
        x = reflect(x, dilation * (kernel - 1) // 2)
        return conv1d(x, self.conv.weight, self.conv.bias, dilation=dilation)


class UpsamplingConv1d(nn.Module):
    """A SpeechBrain ``ConvTranspose1d`` in channels-last layout.

    Arguments
    ---------
    layer : speechbrain.nnet.CNN.ConvTranspose1d
        The layer to replace, without weight normalisation.
    """

    def __init__(self, layer):
        super().__init__()
        self.conv = layer.conv
        self.conv.weight.data = channels_last(self.conv.weight.data)

    def forward(self, x):
        """Upsample a tensor ``(batch, channels, time)``."""
        return F.conv_transpose2d(
            _image(x),
            _image(self.conv.weight),
            self.conv.bias,
            stride=(1, *self.conv.stride),
            padding=(0, *self.conv.padding),
        )[:, :, 0]


def use_channels_last(model):
    """Convert SpeechBrain's HiFi-GAN generator to channels-last layout.

    Arguments
    ---------
    model : torch.nn.Module
        The generator, without weight normalisation. Its convolutions are
        replaced in place, and the names of its tensors do not change.
    """
    for name, layer in model.named_children():
        if isinstance(layer, speechbrain.nnet.CNN.Conv1d):
            setattr(model, name, ReflectConv1d(layer))
        elif isinstance(layer, speechbrain.nnet.CNN.ConvTranspose1d):
            setattr(model, name, UpsamplingConv1d(layer))
        else:
            use_channels_last(layer)


def reflect(x, size):
    """Pad both edges by reflection.

    Unlike this function, ``F.pad`` changes the memory layout and, under
    autocast, the precision.

    Arguments
    ---------
    x : torch.Tensor
        ``(batch, channels, time)`` in channels-last layout, where ``time`` is
        greater than ``size``.
    size : int
        Number of samples to add at each edge.

    Returns
    -------
    torch.Tensor
        The padded tensor, in the layout and the precision of ``x``.
    """
    if size == 0:
        return x
    first = x[..., 1 : size + 1].flip(-1)
    last = x[..., -size - 1 : -1].flip(-1)
    parts = [part.transpose(1, -1) for part in (first, x, last)]
    return torch.cat(parts, dim=1).transpose(1, -1)


def _image(x):
    """Return a channels-last image ``(batch, channels, 1, time)``."""
    return x[:, :, None].contiguous(memory_format=torch.channels_last)
