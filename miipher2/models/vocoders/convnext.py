"""A stack of ConvNeXt blocks that runs at the frame rate.

Authors
 * The miipher2 authors 2026
"""

import torch
from torch import nn
from torch.nn import functional as F


class ConvNeXtBlock(nn.Module):
    """A one-dimensional ConvNeXt block (arXiv 2201.03545).

    Arguments
    ---------
    channels : int
        Number of input and output channels.
    intermediate : int
        Number of channels between the two pointwise layers.
    kernel_size : int
        Kernel size of the depthwise convolution, an odd number.
    layer_scale : float
        Initial scale of the residual branch.

    Example
    -------
    >>> ConvNeXtBlock(4, 8, 7, 0.1)(torch.rand(2, 10, 4)).shape
    torch.Size([2, 10, 4])
    """

    def __init__(self, channels, intermediate, kernel_size, layer_scale):
        super().__init__()
        self.depthwise = nn.Conv1d(
            channels,
            channels,
            kernel_size,
            padding=kernel_size // 2,
            groups=channels,
        )
        self.norm = nn.LayerNorm(channels, eps=1e-6)
        self.expand = nn.Linear(channels, intermediate)
        self.contract = nn.Linear(intermediate, channels)
        self.scale = nn.Parameter(torch.full((channels,), layer_scale))

    def forward(self, x):
        """Apply the block.

        Arguments
        ---------
        x : torch.Tensor
            Input ``(batch, frames, channels)``.

        Returns
        -------
        torch.Tensor
            Output of the same shape.
        """
        y = self.norm(self.depthwise(x.mT).mT)
        return x + self.scale * self.contract(F.gelu(self.expand(y)))


class ConvNeXt(nn.Module):
    """A convolution followed by ConvNeXt blocks.

    Arguments
    ---------
    width : int
        Size of a feature vector.
    channels : int
        Number of input and output channels of the blocks.
    intermediate : int
        Number of channels inside a block.
    layers : int
        Number of blocks.
    kernel_size : int
        Kernel size of the convolutions in frames, an odd number.

    Example
    -------
    >>> ConvNeXt(16, 8, 16, 2, 7)(torch.rand(2, 10, 16)).shape
    torch.Size([2, 10, 8])
    """

    def __init__(self, width, channels, intermediate, layers, kernel_size):
        super().__init__()
        self.conv_in = nn.Conv1d(
            width, channels, kernel_size, padding=kernel_size // 2
        )
        self.norm_in = nn.LayerNorm(channels, eps=1e-6)
        self.blocks = nn.ModuleList(
            ConvNeXtBlock(channels, intermediate, kernel_size, 1 / layers)
            for _ in range(layers)
        )
        self.norm_out = nn.LayerNorm(channels, eps=1e-6)
        self.apply(init_as_vocos)

    def forward(self, features):
        """Return hidden states.

        Arguments
        ---------
        features : torch.Tensor
            Features ``(batch, frames, width)``.

        Returns
        -------
        torch.Tensor
            Hidden states ``(batch, frames, channels)``.
        """
        x = self.norm_in(self.conv_in(features.mT).mT)
        for block in self.blocks:
            x = block(x)
        return self.norm_out(x)


def init_as_vocos(module):
    """Initialise a 1-D convolution or a linear layer as in Vocos.

    Arguments
    ---------
    module : torch.nn.Module
        The layer. Modules of other types are not changed.
    """
    if isinstance(module, (nn.Conv1d, nn.Linear)):
        nn.init.trunc_normal_(module.weight, std=0.02)
        nn.init.zeros_(module.bias)
