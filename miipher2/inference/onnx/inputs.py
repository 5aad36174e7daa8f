"""ONNX-exportable front ends of speech encoders.

They are equivalent to the ``prepare`` methods of ``miipher2.models.frontends``
for waveforms with a whole number of frames.

Authors
 * The miipher2 authors 2026
"""

import torch
from torch import nn
from torch.nn import functional as F
from torchaudio.transforms import Resample

from miipher2.errors import UserError
from miipher2.inference.onnx.stft import dft_kernel
from miipher2.models.frontends import KaldiFbank, LogMel, RawWave


class Resampler(nn.Module):
    """Exportable ``resample_windows``, for a whole number of frames.

    Arguments
    ---------
    sample_rate, new_rate : int
        Sample rates in Hz, which must differ.

    Example
    -------
    >>> from miipher2.inference.features import resample_windows
    >>> wavs = torch.rand(2, 480)
    >>> resampled = Resampler(24000, 16000)(wavs)
    >>> expected = resample_windows(wavs, 24000, 16000)
    >>> bool(torch.allclose(resampled, expected, atol=1e-6))
    True
    """

    def __init__(self, sample_rate, new_rate):
        super().__init__()
        resample = Resample(sample_rate, new_rate, lowpass_filter_width=32)
        self.stride = sample_rate // resample.gcd
        self.width = resample.width
        self.register_buffer("kernel", resample.kernel)

    def forward(self, wavs):
        """Resample waveforms ``(batch, time)``."""
        wavs = F.pad(wavs[:, None], (self.width, self.width))
        return F.conv1d(wavs, self.kernel, stride=self.stride).mT.flatten(1)


class RawWaveInput(nn.Module):
    """Exportable ``RawWave.prepare``.

    Arguments
    ---------
    front_end : miipher2.models.frontends.RawWave
        The front end to replace.
    """

    def __init__(self, front_end):
        super().__init__()
        self.do_normalize = front_end.do_normalize
        overlap = front_end.receptive_field - front_end.hop_length
        self.edges = overlap // 2, overlap - overlap // 2

    def forward(self, wavs):
        """Return the input of the encoder's CNN."""
        if self.do_normalize:
            wavs = wavs - wavs.mean(-1, keepdim=True)
            power = wavs.square().mean(-1, keepdim=True)
            wavs = wavs / torch.sqrt(power + 1e-7)
        return F.pad(wavs, self.edges)


class LogMelInput(nn.Module):
    """Exportable ``LogMel.prepare``.

    Arguments
    ---------
    front_end : miipher2.models.frontends.LogMel
        The front end to replace.
    """

    def __init__(self, front_end):
        super().__init__()
        self.edge, self.shift = front_end.n_fft // 2, front_end.shift
        kernel = dft_kernel(front_end.window)[:, None]
        self.register_buffer("analysis", kernel.float())
        self.register_buffer("mel_filters", front_end.mel_filters.T)

    def forward(self, wavs):
        """Return log-mel spectra ``(batch, n_mels, 2 * frames)``."""
        wavs = F.pad(wavs[:, None], (self.edge, self.edge), "reflect")
        spectra = F.conv1d(wavs, self.analysis, stride=self.shift)
        real, imaginary = spectra[..., :-1].square().chunk(2, dim=1)
        mel = self.mel_filters @ (real + imaginary)
        mel = mel.clamp(min=1e-10).log10()
        mel = torch.maximum(mel, mel.amax((1, 2), keepdim=True) - 8.0)
        return (mel + 4.0) / 4.0


class KaldiFbankInput(nn.Module):
    """Exportable ``KaldiFbank.prepare``.

    Arguments
    ---------
    front_end : miipher2.models.frontends.KaldiFbank
        The front end to replace.
    """

    def __init__(self, front_end):
        super().__init__()
        self.shift, self.stack = front_end.window_shift, front_end.stack
        length = front_end.window_length
        self.edge = (length - self.shift) // 2
        # Mean removal, pre-emphasis, window and DFT are combined into one
        # linear map.
        identity = torch.eye(length, dtype=torch.float64)
        previous = identity.roll(1, dims=0)
        previous[0] = identity[0]
        emphasis = identity - 0.97 * previous
        kernel = (
            dft_kernel(front_end.window, 512)
            @ emphasis
            @ (identity - 1 / length)
        )
        self.register_buffer("analysis", kernel.float()[:, None])
        self.register_buffer("mel_filters", front_end.mel_filters.T)

    def forward(self, wavs):
        """Return filter-bank features ``(batch, frames, width)``."""
        first, last = wavs[:, : self.edge], wavs[:, -self.edge :]
        wavs = torch.cat([first.flip(1), wavs, last.flip(1)], dim=1) * 2**15
        spectra = F.conv1d(wavs[:, None], self.analysis, stride=self.shift)
        real, imaginary = spectra.square().chunk(2, dim=1)
        mel = (self.mel_filters @ (real + imaginary)).mT
        mel = mel.clamp(min=torch.finfo(torch.float32).eps).log()
        mel = mel - mel.mean(1, keepdim=True)
        frames = mel.shape[1]
        var = mel.square().sum(1, keepdim=True) / (frames - 1)
        mel = mel / torch.sqrt(var + 1e-7)
        return mel.unflatten(1, (-1, self.stack)).flatten(2)


INPUTS = {
    RawWave: RawWaveInput,
    LogMel: LogMelInput,
    KaldiFbank: KaldiFbankInput,
}


def encoder_input(front_end):
    """Return the exportable module for a front end.

    Arguments
    ---------
    front_end : miipher2.models.frontends.FrontEnd
        The front end of a backbone.

    Returns
    -------
    torch.nn.Module

    Raises
    ------
    UserError
        If the class of the front end is not supported.
    """
    kind = type(front_end)
    if kind not in INPUTS:
        raise UserError(
            f"an encoder with the {kind.__name__} front end cannot be exported "
            f"to ONNX; expected {', '.join(cls.__name__ for cls in INPUTS)}"
        )
    return INPUTS[kind](front_end)
