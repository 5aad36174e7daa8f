"""Small discriminators for training on a CPU.

SpeechBrain's HiFi-GAN discriminators have 70 M parameters, and on a CPU their
2-D convolutions take most of the time of a training step.

Authors
 * The miipher2 authors 2026
"""

from itertools import pairwise

import torch
from torch import nn
from torch.nn.functional import leaky_relu, pad
from torch.nn.utils.parametrizations import weight_norm
from torchaudio.functional import resample

from miipher2.models.weights import SavedModule

SLOPE = 0.1


class ConvStack(nn.Module):
    """A stack of convolutions that returns scores and hidden features.

    Arguments
    ---------
    channels : list of int
        Number of channels of the input, then of each layer's output.
    stride : int
        Stride of each layer.
    """

    def __init__(self, channels, stride):
        super().__init__()
        self.layers = nn.ModuleList(
            weight_norm(nn.Conv1d(before, after, 5, stride, padding=2))
            for before, after in pairwise(channels)
        )
        self.score = weight_norm(nn.Conv1d(channels[-1], 1, 3, padding=1))

    def forward(self, x):
        """Return the scores and the features of each layer.

        Arguments
        ---------
        x : torch.Tensor
            ``(batch, channels, time)``.

        Returns
        -------
        score : torch.Tensor
            Scores ``(batch, 1, time')``, where ``time'`` is reduced by the
            strides.
        features : list of torch.Tensor
            Output of each layer.
        """
        features = []
        for layer in self.layers:
            x = leaky_relu(layer(x), SLOPE)
            features.append(x)
        return self.score(x), features


class FrameDiscriminator(SavedModule):
    """Discriminator with 1-D convolutions for waveforms and their spectra.

    Waveforms are folded by a period, as in HiFi-GAN's multi-period
    discriminator (arXiv 2010.05646). For spectra, the frequency bins are the
    input channels of the convolutions.

    Arguments
    ---------
    channels : int
        Number of channels of the first layer for waveforms. The layers for
        spectra have 4 times as many channels.
    periods : list of int
        Periods by which the waveform is folded.
    n_ffts : list of int
        FFT sizes of the spectra in samples. The hop length is a quarter of the
        FFT size.

    Example
    -------
    >>> discriminator = FrameDiscriminator(channels=4)
    >>> scores, features = discriminator(torch.rand(2, 1, 8000))
    >>> len(scores), scores[0].shape[0]
    (8, 2)
    """

    def __init__(
        self, channels=16, periods=(2, 3, 5, 7, 11), n_ffts=(256, 512, 1024)
    ):
        super().__init__()
        self.periods = periods
        self.n_ffts = n_ffts
        c = channels
        self.folded = nn.ModuleList(
            ConvStack([1, c, 2 * c, 4 * c, 8 * c], 3) for _ in periods
        )
        self.spectral = nn.ModuleList(
            ConvStack([n_fft // 2 + 1, 4 * c, 4 * c, 4 * c], 1)
            for n_fft in n_ffts
        )

    def forward(self, wav):
        """Score waveforms.

        Arguments
        ---------
        wav : torch.Tensor
            ``(batch, 1, time)``.

        Returns
        -------
        scores : list of torch.Tensor
            One tensor of scores for each period, then for each FFT size. The
            first dimension is the batch.
        features : list of list of torch.Tensor
            For each tensor of scores, the features of each layer.
        """
        outputs = [
            self._fold(stack, wav, period)
            for stack, period in zip(self.folded, self.periods, strict=True)
        ]
        outputs += [
            stack(self._spectrum(wav, n_fft))
            for stack, n_fft in zip(self.spectral, self.n_ffts, strict=True)
        ]
        scores, features = zip(*outputs, strict=True)
        return list(scores), list(features)

    @staticmethod
    def _fold(stack, wav, period):
        """Apply ``stack`` to a folded waveform.

        A clip is folded into ``period`` subsampled waveforms. The outputs for
        these waveforms are concatenated.
        """
        batch, _, time = wav.shape
        folded = pad(wav, (0, -time % period)).view(batch, -1, period)
        folded = folded.transpose(1, 2).reshape(batch * period, 1, -1)
        score, features = stack(folded)
        outputs = [
            x.reshape(batch, -1, x.shape[-1]) for x in (score, *features)
        ]
        return outputs[0], outputs[1:]

    @staticmethod
    def _spectrum(wav, n_fft):
        """Return the log power spectrum ``(batch, bins, frames)``."""
        with torch.autocast(wav.device.type, enabled=False):
            spectrum = torch.stft(
                wav[:, 0].float(),
                n_fft,
                n_fft // 4,
                window=torch.hann_window(n_fft, device=wav.device),
                return_complex=True,
            )
            power = torch.view_as_real(spectrum).square().sum(dim=-1)
            return (power + 1e-6).log()  # 1e-6 limits the gradient


class ResampledDiscriminator(FrameDiscriminator):
    """A ``FrameDiscriminator`` that resamples its input.

    Many recordings have no content above 8 kHz. A discriminator at 16 kHz can
    use them as real examples for a vocoder at 24 kHz, and can be initialised
    with the weights of another discriminator at 16 kHz. Above 8 kHz, the
    vocoder is then trained with the spectral losses only.

    Arguments
    ---------
    sample_rate : int
        Sample rate of the input waveforms in Hz.
    new_rate : int
        Sample rate in Hz to which the waveforms are resampled.
    **discriminator_options : dict
        Arguments of ``FrameDiscriminator``.

    Example
    -------
    >>> discriminator = ResampledDiscriminator(24000, 16000, channels=4)
    >>> scores, features = discriminator(torch.rand(2, 1, 12000))
    >>> len(scores), features[0][0].shape[0]
    (8, 2)
    """

    def __init__(self, sample_rate, new_rate, **discriminator_options):
        super().__init__(**discriminator_options)
        self.sample_rate = sample_rate
        self.new_rate = new_rate

    def forward(self, wav):
        """Resample and score waveforms; see ``FrameDiscriminator``."""
        with torch.autocast(wav.device.type, enabled=False):
            wav = resample(wav.float(), self.sample_rate, self.new_rate)
        return super().forward(wav)
