"""Spectra as real tensors; few ONNX operators support complex numbers.

The first dimension of a spectrum has size 2: real part and imaginary part.

Authors
 * The miipher2 authors 2026
"""

import math

import torch
from torch import nn
from torch.nn import functional as F


def dft_kernel(window, n_fft=None):
    """Return the kernel of a convolution that computes windowed spectra.

    Arguments
    ---------
    window : torch.Tensor
        ``(samples,)``.
    n_fft : int
        Number of points of the DFT. None for the length of the window.

    Returns
    -------
    torch.Tensor
        float64 ``(2 * bins, samples)``: real parts, then imaginary parts.

    Example
    -------
    >>> window, wav = torch.hann_window(8), torch.rand(8)
    >>> real, imaginary = (dft_kernel(window).float() @ wav).chunk(2)
    >>> expected = torch.fft.rfft(window * wav)
    >>> spectrum = torch.complex(real, imaginary)
    >>> bool(torch.allclose(spectrum, expected, atol=1e-6))
    True
    """
    n_fft = n_fft or len(window)
    time = torch.arange(len(window), dtype=torch.float64)
    bins = torch.arange(n_fft // 2 + 1, dtype=torch.float64)
    angle = 2 * math.pi * torch.outer(bins, time) / n_fft
    return torch.cat([angle.cos(), -angle.sin()]) * window.double()


class RealSTFT(nn.Module):
    """Exportable ``FrameSTFT``, computed with convolutions.

    Arguments
    ---------
    stft : miipher2.models.vocoders.stft.FrameSTFT
        The transform to replace.

    Example
    -------
    >>> from miipher2.models.vocoders.stft import FrameSTFT
    >>> stft = RealSTFT(FrameSTFT(n_fft=8, hop_length=2))
    >>> wav = torch.rand(1, 6)
    >>> stft.analyse(wav).shape
    torch.Size([2, 1, 3, 5])
    >>> torch.allclose(stft.synthesise(stft.analyse(wav)), wav, atol=1e-6)
    True
    """

    def __init__(self, stft):
        super().__init__()
        self.hop_length = stft.hop_length
        overlap = stft.n_fft - stft.hop_length
        self.padding = overlap // 2, overlap - overlap // 2
        # Each bin except the first and the last stands for two bins of the DFT.
        bin_scale = torch.full((stft.n_fft // 2 + 1,), 2.0 / stft.n_fft)
        bin_scale[0] = bin_scale[-1] = 1.0 / stft.n_fft
        kernel = dft_kernel(stft.window)[:, None].float()
        self.register_buffer("analysis", kernel)
        self.register_buffer("bin_scale", bin_scale)
        self.register_buffer("squared_window", stft.window.square()[None, None])

    def analyse(self, wav):
        """Transform ``(batch, time)`` to ``(2, batch, frames, bins)``."""
        wav = F.pad(wav[:, None], self.padding)
        spectra = F.conv1d(wav, self.analysis, stride=self.hop_length)
        return torch.stack(spectra.mT.chunk(2, dim=-1))

    def synthesise(self, spectra):
        """Transform ``(2, batch, frames, bins)`` to ``(batch, time)``."""
        spectra = spectra * self.bin_scale
        parts = torch.cat([spectra[0], spectra[1]], dim=-1).mT
        wav = self._overlap_add(parts, self.analysis)
        ones = torch.ones_like(parts[:1, :1])
        return wav / self._overlap_add(ones, self.squared_window)

    def _overlap_add(self, frames, kernel):
        wav = F.conv_transpose1d(frames, kernel, stride=self.hop_length)[:, 0]
        return wav[:, self.padding[0] : wav.shape[1] - self.padding[1]]
