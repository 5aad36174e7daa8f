"""ConvNeXt blocks on frames, and the STFT whose frames lie on their samples.

Authors
 * The miipher2 authors 2026
"""

import torch
from torch import nn
from torch.nn import functional as F


class ConvNeXtBlock(nn.Module):
    """ConvNeXt's block in one dimension (arXiv 2201.03545).

    Arguments
    ---------
    channels : int
        Of input and output.
    intermediate : int
        Between the two pointwise layers.
    kernel_size : int
        Of the depthwise convolution, an odd number.
    layer_scale : float
        What the block's output is multiplied by at the start of training.

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
        """Adds to its input.

        Arguments
        ---------
        x : torch.Tensor
            ``(batch, frames, channels)``.

        Returns
        -------
        torch.Tensor
            The same shape.
        """
        y = self.norm(self.depthwise(x.mT).mT)
        return x + self.scale * self.contract(F.gelu(self.expand(y)))


class ConvNeXt(nn.Module):
    """A convolution and ConvNeXt blocks, all at the frame rate.

    Arguments
    ---------
    width : int
        Size of a feature vector.
    channels : int
        Of the blocks' inputs and outputs.
    intermediate : int
        Channels inside a block.
    layers : int
        Number of blocks.
    kernel_size : int
        Frames that a block looks at, an odd number.

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
        self.apply(vocos_weights)

    def forward(self, features):
        """Looks at features.

        Arguments
        ---------
        features : torch.Tensor
            ``(batch, frames, width)``.

        Returns
        -------
        torch.Tensor
            ``(batch, frames, channels)``.
        """
        x = self.norm_in(self.conv_in(features.mT).mT)
        for block in self.blocks:
            x = block(x)
        return self.norm_out(x)


def vocos_weights(module):
    """Gives a layer the weights that Vocos starts with.

    Arguments
    ---------
    module : torch.nn.Module
        Changed if it is a convolution or linear.
    """
    if isinstance(module, (nn.Conv1d, nn.Linear)):
        nn.init.trunc_normal_(module.weight, std=0.02)
        nn.init.zeros_(module.bias)


class FrameSTFT(nn.Module):
    """STFT and its inverse whose frame i is centred on its own samples.

    ``torch.stft`` centres frame i on sample ``i * hop_length`` and gives one
    frame too many. Here it is the middle of samples ``[i, i + 1) *
    hop_length``, as in ``SSLBackbone``, and every frame gives its hop, the
    first and the last one too (Vocos' "same" padding).

    Arguments
    ---------
    n_fft : int
        Length of a frame in samples, its Hann window included.
    hop_length : int
        Samples from frame to frame; at most half of ``n_fft``.

    Example
    -------
    >>> stft = FrameSTFT(n_fft=8, hop_length=2)
    >>> wav = torch.rand(1, 6)
    >>> stft.analyse(wav).shape
    torch.Size([1, 3, 5])
    >>> torch.allclose(stft.synthesise(stft.analyse(wav)), wav, atol=1e-6)
    True
    """

    def __init__(self, n_fft, hop_length):
        super().__init__()
        self.n_fft = n_fft
        self.hop_length = hop_length
        self.register_buffer(
            "window", torch.hann_window(n_fft), persistent=False
        )

    def analyse(self, wav):
        """Makes spectra of sound.

        Arguments
        ---------
        wav : torch.Tensor
            ``(batch, frames * hop_length)``.

        Returns
        -------
        torch.Tensor
            Complex spectra ``(batch, frames, n_fft // 2 + 1)``.
        """
        around = self.n_fft - self.hop_length
        wav = F.pad(wav, (around // 2, around - around // 2))
        frames = wav.unfold(-1, self.n_fft, self.hop_length)
        return torch.fft.rfft(frames * self.window)

    def synthesise(self, spectra):
        """Makes sound of spectra.

        Arguments
        ---------
        spectra : torch.Tensor
            Complex ``(batch, frames, n_fft // 2 + 1)``.

        Returns
        -------
        torch.Tensor
            ``(batch, frames * hop_length)``.
        """
        frames = torch.fft.irfft(spectra, self.n_fft)
        window = self.window.expand_as(frames[:1])
        wav = self._overlap_add(frames * window)
        return wav / self._overlap_add(window.square())

    def _overlap_add(self, frames):
        """``(batch, frames, n_fft)`` -> ``(batch, frames * hop_length)``."""
        count = frames.shape[1]
        total = (count - 1) * self.hop_length + self.n_fft
        wav = F.fold(
            frames.mT,
            (1, total),
            (1, self.n_fft),
            stride=(1, self.hop_length),
        )[:, 0, 0]
        start = (self.n_fft - self.hop_length) // 2
        return wav[:, start : start + count * self.hop_length]
