"""An STFT with exactly one frame for every ``hop_length`` samples.

Authors
 * The miipher2 authors 2026
"""

import torch
from torch import nn
from torch.nn import functional as F


class FrameSTFT(nn.Module):
    """STFT and inverse STFT with "same" padding, as in Vocos.

    ``torch.stft`` centres frame i on sample ``i * hop_length`` and returns one
    additional frame. In this class, frame i is centred on the samples from
    ``i * hop_length`` to ``(i + 1) * hop_length``, as in ``RawWave`` and
    ``KaldiFbank``. Every frame, including the first and the last, corresponds
    to ``hop_length`` samples.

    Arguments
    ---------
    n_fft : int
        Length of a frame, and of its Hann window, in samples.
    hop_length : int
        Hop length in samples, at most half of ``n_fft``.

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
        """Return the spectra of waveforms.

        Arguments
        ---------
        wav : torch.Tensor
            Waveforms ``(batch, frames * hop_length)``.

        Returns
        -------
        torch.Tensor
            Complex spectra ``(batch, frames, n_fft // 2 + 1)``.
        """
        overlap = self.n_fft - self.hop_length
        wav = F.pad(wav, (overlap // 2, overlap - overlap // 2))
        frames = wav.unfold(-1, self.n_fft, self.hop_length)
        return torch.fft.rfft(frames * self.window)

    def synthesise(self, spectra):
        """Return the waveforms of spectra.

        Arguments
        ---------
        spectra : torch.Tensor
            Complex spectra ``(batch, frames, n_fft // 2 + 1)``.

        Returns
        -------
        torch.Tensor
            Waveforms ``(batch, frames * hop_length)``.
        """
        frames = torch.fft.irfft(spectra, self.n_fft)
        window = self.window.expand_as(frames[:1])
        wav = self._overlap_add(frames * window)
        return wav / self._overlap_add(window.square())

    def _overlap_add(self, frames):
        """Overlap-add frames ``(batch, frames, n_fft)``; return waveforms."""
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
