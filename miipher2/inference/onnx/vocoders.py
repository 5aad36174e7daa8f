"""Vocoders that can be exported to ONNX, with real-valued tensors only.

Authors
 * The miipher2 authors 2026
"""

import functools
import math

import torch
from torch import nn

from miipher2.errors import UserError
from miipher2.inference.onnx.stft import RealSTFT
from miipher2.models.vocoders.base import Vocoder
from miipher2.models.vocoders.harmonic import HarmonicVocoder
from miipher2.models.vocoders.istft import ISTFTVocoder
from miipher2.models.vocoders.pulse_train import cycles, pulse_train


class StatelessVocoder(nn.Module):
    """Exportable vocoder whose windows are independent, such as HiFi-GAN.

    Arguments
    ---------
    vocoder : miipher2.models.vocoders.base.Vocoder
        The vocoder to wrap.
    """

    def __init__(self, vocoder):
        super().__init__()
        self.vocoder = vocoder

    def forward(self, features, recording):
        """Return the waveform in a tuple."""
        return self.vocoder(features, recording)[:1]


class RealISTFT(StatelessVocoder):
    """Exportable ``ISTFTVocoder``."""

    def __init__(self, vocoder):
        super().__init__(vocoder)
        self.max_log_magnitude = math.log(vocoder.stft.n_fft / 4)
        self.stft = RealSTFT(vocoder.stft)

    def forward(self, features, recording):
        """Return the waveform in a tuple."""
        outputs = self.vocoder.head(self.vocoder.trunk(features))
        log_magnitude, phase = outputs.chunk(2, dim=-1)
        magnitude = log_magnitude.clamp(max=self.max_log_magnitude).exp()
        spectra = torch.stack(
            [magnitude * phase.cos(), magnitude * phase.sin()]
        )
        return (self.stft.synthesise(spectra).clamp(-1, 1),)


class RealHarmonic(StatelessVocoder):
    """Exportable ``HarmonicVocoder``, whose state is the phase of its pulses.

    Arguments
    ---------
    vocoder : miipher2.models.vocoders.harmonic.HarmonicVocoder
        The vocoder to wrap. It is modified in place.
    overlap : int
        Minimum number of frames that neighbouring windows share.
    """

    def __init__(self, vocoder, overlap):
        super().__init__(vocoder)
        self.middle = overlap // 2 * vocoder.hop_length
        vocoder.stft = RealSTFT(vocoder.stft)
        if vocoder.needs_recording:
            gate = vocoder.gate
            gate.levels = functools.partial(real_levels, gate)

    def forward(self, features, recording, start, next_start, phase):
        """Synthesise a window.

        Arguments
        ---------
        features : torch.Tensor
            ``(1, frames, width)``.
        recording : torch.Tensor
            ``(1, time)``.
        start, next_start : torch.Tensor
            First frames of this window and of the next window, int64 ``(1,)``.
            For the last window, ``next_start`` is arbitrary.
        phase : torch.Tensor
            ``next_phase`` of the previous window, in cycles, float64 ``(1,)``.
            Ignored if ``start`` is 0.

        Returns
        -------
        wav : torch.Tensor
            ``(1, time)``.
        next_phase : torch.Tensor
            Phase in the middle of the cross-fade to the next window, in cycles,
            float64 ``(1,)``.
        """
        vocoder = self.vocoder
        filters, scores, gated = vocoder.predict(features, recording)
        hz = vocoder.predicted_pitch(scores)
        hop, rate = vocoder.stft.hop_length, vocoder.sample_rate
        passed = cycles(hz, hop, rate)[0]
        middle = torch.full_like(start, self.middle)
        end = middle + (next_start - start) * vocoder.hop_length
        middle, end = (
            passed[point.clamp(0, passed.shape[0] - 1)]
            for point in (middle, end)
        )
        first = torch.where(start > 0, phase - middle, 0.0)
        pulses = pulse_train(hz, hop, rate, first)
        index = torch.arange(pulses.shape[1]) + start * vocoder.hop_length
        noise = vocoder.noise[index % len(vocoder.noise)][None]
        wav = self._render(pulses, noise, filters, gated)
        return wav.clamp(-1, 1), (first + end) % 1

    def _render(self, pulses, noise, filters, gated):
        """Filter and add pulses and noise, as in ``HarmonicVocoder.render``."""
        stft = self.vocoder.stft
        gains = filters[:, :, :2].clamp(max=self.vocoder.max_gain).exp()
        angle = filters[:, :, 2]
        cos, sin = gains[:, :, 0] * angle.cos(), gains[:, :, 0] * angle.sin()
        real, imaginary = stft.analyse(pulses).unbind(0)
        spectra = torch.stack(
            [real * cos - imaginary * sin, real * sin + imaginary * cos]
        )
        spectra = spectra + stft.analyse(noise) * gains[:, :, 1]
        if gated is not None:
            recording, synthesised = gated
            spectra = recording + synthesised * spectra
        return stft.synthesise(spectra)


def real_levels(gate, spectra):
    """Compute the result of ``SpectralGate.levels`` without complex numbers.

    ``spectra`` contains real and imaginary parts, ``(2, batch, frames, bins)``.
    """
    magnitude = spectra.square().sum(0).sqrt() / gate.noise_rms
    return magnitude.clamp(min=math.exp(gate.floor)).log()


def exportable(vocoder, overlap):
    """Return an exportable module that is equivalent to a vocoder.

    Arguments
    ---------
    vocoder : miipher2.models.vocoders.base.Vocoder
        The vocoder to wrap. It may be modified in place.
    overlap : int
        Minimum number of frames that neighbouring windows share.

    Returns
    -------
    torch.nn.Module
        A module whose ``forward`` maps ``(features, recording)`` to ``(wav,)``.
        ``RealHarmonic`` has further inputs and outputs.

    Raises
    ------
    UserError
        If a vocoder of another class passes states between windows.
    """
    if isinstance(vocoder, HarmonicVocoder):
        return RealHarmonic(vocoder, overlap)
    if isinstance(vocoder, ISTFTVocoder):
        return RealISTFT(vocoder)
    if type(vocoder).synthesise is not Vocoder.synthesise:
        raise UserError(
            f"{type(vocoder).__name__}: cannot be exported, because it passes "
            "states between windows; use PyTorch to restore with this model"
        )
    return StatelessVocoder(vocoder)
