"""A vocoder with an inverse STFT at its end, in the manner of Vocos.

All its layers run at the frame rate; samples come from the inverse STFT alone
(arXiv 2306.00814). On a CPU that is several times cheaper than upsampling by
convolutions.

Authors
 * The miipher2 authors 2026
"""

import math

import torch
from torch import nn

from miipher2.models.vocoders.base import Vocoder
from miipher2.models.vocoders.convnext import ConvNeXt, FrameSTFT, vocos_weights


class ISTFTVocoder(Vocoder):
    """ConvNeXt blocks on frames, then magnitude and phase of an STFT.

    In eval mode the sound is clamped to [-1, 1]; in training it is not, so
    that what is too loud still gets a gradient.

    Arguments
    ---------
    width : int
        Size of a feature vector.
    sample_rate : int
        Hz of the sound that it gives.
    hop_length : int
        Samples a frame.
    n_fft : int
        Samples that a spectrum covers; even, at least twice ``hop_length``.
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
        self.head.apply(vocos_weights)
        self.stft = FrameSTFT(n_fft, hop_length)

    def forward(self, features, recording=None, pitch=None):
        """Synthesise waveforms, see ``Vocoder.forward``."""
        x = self.head(self.trunk(features))
        with torch.autocast(x.device.type, enabled=False):
            log_magnitude, phase = x.float().chunk(2, dim=-1)
            # no bin louder than that of a full-scale sine; clamped before
            # exp, whose overflow would make the gradient NaN
            loudest = math.log(self.stft.n_fft / 4)
            magnitude = log_magnitude.clamp(max=loudest).exp()
            wav = self.stft.synthesise(torch.polar(magnitude, phase))
        wav = wav if self.training else wav.clamp(-1, 1)
        return wav, wav.new_zeros(())
