"""A vocoder that ends with an inverse STFT, like Vocos (arXiv 2306.00814).

All layers run at the frame rate. On a CPU, this is several times faster than
upsampling with convolutions.

Authors
 * The miipher2 authors 2026
"""

import math

import torch
from torch import nn

from miipher2.models.vocoders.base import Vocoder
from miipher2.models.vocoders.convnext import ConvNeXt, init_as_vocos
from miipher2.models.vocoders.stft import FrameSTFT


class ISTFTVocoder(Vocoder):
    """A vocoder whose ConvNeXt blocks predict an STFT's magnitude and phase.

    The output is clamped to [-1, 1] in eval mode only, because clamped samples
    have no gradient.

    Arguments
    ---------
    width : int
        Size of a feature vector.
    sample_rate : int
        Sample rate of the output in Hz.
    hop_length : int
        Number of samples per frame.
    n_fft : int
        FFT size in samples; an even number, at least twice ``hop_length``.
    channels : int
        Number of input and output channels of the blocks.
    intermediate : int
        Number of channels inside a block.
    layers : int
        Number of blocks.
    kernel_size : int
        Kernel size of the blocks in frames, an odd number.

    Example
    -------
    >>> vocoder = ISTFTVocoder(width=16, channels=8, intermediate=16, layers=2)
    >>> wav, _ = vocoder(torch.rand(2, 10, 16))
    >>> wav.shape
    torch.Size([2, 3200])
    """

    def __init__(
        self,
        width,
        sample_rate=16000,
        hop_length=320,
        n_fft=1280,
        channels=384,
        intermediate=1152,
        layers=7,
        kernel_size=7,
    ):
        super().__init__(width, hop_length, sample_rate)
        self.trunk = ConvNeXt(
            width, channels, intermediate, layers, kernel_size
        )
        self.head = nn.Linear(channels, n_fft + 2)
        self.head.apply(init_as_vocos)
        self.stft = FrameSTFT(n_fft, hop_length)

    def forward(self, features, recording=None, pitch=None):
        """Synthesise waveforms, see ``Vocoder.forward``."""
        x = self.head(self.trunk(features))
        with torch.autocast(x.device.type, enabled=False):
            log_magnitude, phase = x.float().chunk(2, dim=-1)
            # Limit the magnitude to that of a full-scale sine. Clamp before
            # exp, because an overflow of exp would make the gradient NaN.
            max_log_magnitude = math.log(self.stft.n_fft / 4)
            magnitude = log_magnitude.clamp(max=max_log_magnitude).exp()
            wav = self.stft.synthesise(torch.polar(magnitude, phase))
        wav = wav if self.training else wav.clamp(-1, 1)
        return wav, wav.new_zeros(())
