"""HiFi-GAN's discriminators as a CPU computes them faster in bfloat16.

Their convolutions are of two kinds (arXiv 2010.05646, section 2.3) for which a
CPU has no good code: with a kernel ``(k, 1)``, over sound folded by a period,
whose weights learn twice as fast by one matrix product; and with groups of few
channels and long kernels, which are faster with the stride's phases as
channels, or with the channels of a sample together in memory.

Authors
 * The miipher2 authors 2026
"""

import torch
from torch.autograd import Function
from torch.nn.functional import pad
from torch.nn.grad import conv1d_input, conv1d_weight, conv2d_input
from torch.overrides import TorchFunctionMode

from miipher2.models.vocoders.channels_last import convolve

WIDE = 32  # channels of a group from which on they belong together


class QuickJudging(TorchFunctionMode):
    """What a discriminator convolves in here is computed faster on a CPU.

    Modules stay as they are; the numbers are the same but for rounding. It
    works on a CPU under autocast, and elsewhere lets everything be.

    Attributes
    ----------
    weights_learn : bool
        Whether a backward pass is for the weights: autograd does not tell a
        function of its own that nobody asks for them.

    Example
    -------
    >>> layer = torch.nn.Conv1d(8, 16, 41, 4, padding=20, groups=4)
    >>> x = torch.rand(2, 8, 100)
    >>> with torch.autocast("cpu", torch.bfloat16), QuickJudging():
    ...     y = layer(x)
    >>> bool(torch.allclose(y.float(), layer(x), atol=0.02))
    True
    """

    def __init__(self):
        super().__init__()
        self.weights_learn = True
        self.lowered = {}

    def __torch_function__(self, function, types, args=(), kwargs=None):
        """Computes what there is a faster way for, and the rest as it is."""
        if torch.is_autocast_enabled("cpu") and len(args) == 7 and not kwargs:
            x, weight, bias, stride, padding, dilation, groups = args
            if function is torch.conv2d:
                settings = padding, dilation, groups, stride[1:]
                if (
                    settings == ((0, 0), (1, 1), 1, (1,))
                    and weight.shape[3] == 1
                    and bias is not None
                ):
                    low = self._lower(x, weight, bias)
                    return _Periods.apply(*low, stride, self)
            if function is torch.conv1d:
                if (
                    isinstance(padding, tuple)
                    and dilation == (1,)
                    and stride[0] > 1
                    and groups > 1
                    and bias is not None
                ):
                    low = self._lower(x, weight, bias)
                    sizes = *stride, *padding, groups
                    return _Groups.apply(*low, *sizes, self)
        return function(*args, **(kwargs or {}))

    def __exit__(self, *error):
        self.lowered.clear()
        return super().__exit__(*error)

    def _lower(self, x, *weights):
        """As autocast has them, which does not look into functions."""
        dtype = torch.get_autocast_dtype("cpu")
        for tensor in weights:  # once, however often they judge
            if id(tensor) not in self.lowered:
                self.lowered[id(tensor)] = tensor, tensor.to(dtype)
        return x.to(dtype), *(self.lowered[id(each)][1] for each in weights)


class _Periods(Function):
    """``conv2d`` with a kernel ``(k, 1)`` and no padding."""

    @staticmethod
    def forward(ctx, x, weight, bias, stride, mode):
        """Convolves ``(batch, channels, time, period)``."""
        ctx.save_for_backward(x, weight)
        ctx.stride, ctx.mode = stride, mode
        return torch.conv2d(x, weight, bias, stride)

    @staticmethod
    def backward(ctx, change):
        """The weights: all steps of all clips in one matrix product."""
        x, weight = ctx.saved_tensors
        of_x = of_weight = of_bias = None
        if ctx.needs_input_grad[0]:
            of_x = conv2d_input(x.shape, weight, change, ctx.stride)
        if ctx.mode.weights_learn:
            rows, step = x.transpose(0, 1), ctx.stride[0]
            span = step * (change.shape[2] - 1) + 1
            taps = torch.stack(
                [
                    rows[:, :, k : k + span : step]
                    for k in range(weight.shape[2])
                ],
                dim=1,
            )
            taps = taps.reshape(weight[0].numel(), -1)
            of_weight = change.transpose(0, 1).flatten(1) @ taps.T
            of_weight = of_weight.view(weight.shape)
            of_bias = change.sum((0, 2, 3))
        return of_x, of_weight, of_bias, None, None


class _Groups(Function):
    """``conv1d`` with groups and a stride."""

    @staticmethod
    def forward(ctx, x, weight, bias, stride, padding, groups, mode):
        """Convolves ``(batch, channels, time)``."""
        ctx.save_for_backward(x, weight)
        ctx.settings = stride, padding, groups, mode
        if weight.shape[1] >= WIDE:
            sizes = (stride,), (padding,), (1,), groups
            return convolve(x, weight, bias, *sizes).contiguous()
        x = _Groups.folded(x, weight, stride, padding)
        kernel = pad(weight, (0, -weight.shape[2] % stride))
        kernel = _Groups.phases(kernel, stride)
        return torch.conv1d(x, kernel, bias, groups=groups)

    @staticmethod
    def backward(ctx, change):
        """The input's change as PyTorch has it, the weights' where faster."""
        x, weight = ctx.saved_tensors
        stride, padding, groups, mode = ctx.settings
        change = change.contiguous()
        of_x = of_weight = of_bias = None
        if ctx.needs_input_grad[0]:
            of_x = conv1d_input(
                x.shape, weight, change, stride, padding, groups=groups
            )
        if mode.weights_learn:
            of_bias = change.sum((0, 2))
            if weight.shape[1] >= WIDE:
                of_weight = conv1d_weight(
                    x, weight.shape, change, stride, padding, groups=groups
                )
            else:
                x = _Groups.folded(x, weight, stride, padding)
                outputs, channels, kernel = weight.shape
                shape = outputs, channels * stride, -(-kernel // stride)
                of_weight = conv1d_weight(x, shape, change, groups=groups)
                of_weight = of_weight.unflatten(1, (-1, stride))
                of_weight = of_weight.transpose(2, 3).flatten(2)[..., :kernel]
        return of_x, of_weight, of_bias, None, None, None, None

    @staticmethod
    def folded(x, weight, stride, padding):
        """Sound, padded, whose channels are those of all phases."""
        kernel = weight.shape[2]
        steps = (x.shape[2] + 2 * padding - kernel) // stride
        taps = -(-kernel // stride)
        missing = (steps + taps) * stride - x.shape[2] - padding
        return _Groups.phases(pad(x, (padding, missing)), stride)

    @staticmethod
    def phases(x, stride):
        """``(batch, channels * stride, time / stride)``."""
        x = x.unflatten(2, (-1, stride))
        return x.transpose(2, 3).flatten(1, 2)
