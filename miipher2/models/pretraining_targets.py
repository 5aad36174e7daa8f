"""Pretraining targets, computed from clean speech.

Authors
 * The miipher2 authors 2026
"""

import torch
import torchaudio
from speechbrain.nnet.quantisers import RandomProjectionQuantizer
from torch import nn
from torch.nn import functional as F
from transformers import Wav2Vec2BertConfig

from miipher2.models.frontends import KaldiFbank
from miipher2.models.vocoders.stft import FrameSTFT


class RandomTargets(nn.Module):
    """Codes of log-mel frames from random projections and random codebooks.

    The frames are computed as in w2v-BERT 2.0: each frame consists of two
    vectors of 80 Kaldi log filter bank energies, 10 ms apart and normalised per
    clip. The frames are aligned with the backbone's frames. With several
    codebooks, as in the multi-softmax loss of USM (arXiv 2303.01037), the
    targets depend less on any single random projection.

    Arguments
    ---------
    codebooks : int
        Number of codebooks and projections.
    codes : int
        Number of codes per codebook.
    code_dim : int
        Dimension of a code.

    Attributes
    ----------
    outputs : int
        Size of the model's output per frame, one logit for each code of each
        codebook.

    Example
    -------
    >>> RandomTargets(codebooks=2, codes=8)(torch.randn(16001)).shape
    torch.Size([51, 2])
    """

    def __init__(self, codebooks=4, codes=1024, code_dim=16):
        super().__init__()
        self.codebooks = codebooks
        self.outputs = codebooks * codes
        config = Wav2Vec2BertConfig()
        self.mel = KaldiFbank(config, KaldiFbank.default_extractor(config))
        self.hop_length = self.mel.hop_length
        self.quantizers = nn.ModuleList(
            RandomProjectionQuantizer(
                config.feature_projection_input_dim, code_dim, codes
            )
            for _ in range(codebooks)
        )

    @torch.no_grad()
    def forward(self, wav):
        """Return the codes of one clip.

        Arguments
        ---------
        wav : torch.Tensor
            Clean speech ``(time,)`` at 16 kHz.

        Returns
        -------
        torch.Tensor
            Integer codes ``(frames, codebooks)``.
        """
        with torch.autocast(wav.device.type, enabled=False):
            frames = self.mel.prepare(wav[None].float())[0]
            return torch.stack(
                [nearest_code(frames, q) for q in self.quantizers], dim=-1
            )

    def compare(self, outputs, codes):
        """Return the cross-entropy, in nats, and the accuracy.

        Arguments
        ---------
        outputs : torch.Tensor
            The model's logits ``(batch, frames, outputs)``.
        codes : torch.Tensor
            Target codes ``(batch, frames, codebooks)``.

        Returns
        -------
        dict
            ``loss`` and ``accuracy``, averaged over the codebooks, both
            ``(batch, frames)``.
        """
        logits = outputs.float().unflatten(-1, (self.codebooks, -1))
        entropy = F.cross_entropy(
            logits.flatten(0, 2), codes.flatten(), reduction="none"
        )
        correct = (logits.argmax(dim=-1) == codes).float()
        return {
            "loss": entropy.view_as(codes).mean(dim=-1),
            "accuracy": correct.mean(dim=-1),
        }


def nearest_code(frames, quantizer):
    """Return the codes of frames, several times faster than the quantizer.

    Projected frames and codes are unit vectors, so the nearest code is the code
    with the largest dot product. The quantizer computes the norms of all
    differences instead.

    Arguments
    ---------
    frames : torch.Tensor
        Frames ``(frames, width)``.
    quantizer : speechbrain.nnet.quantisers.RandomProjectionQuantizer
        Quantizer with the projection and the codebook.

    Returns
    -------
    torch.Tensor
        Integer codes ``(frames,)``.

    Example
    -------
    >>> quantizer = RandomProjectionQuantizer(16, 4, 32)
    >>> frames = torch.rand(10, 16)
    >>> torch.equal(nearest_code(frames, quantizer), quantizer(frames[None])[0])
    True
    """
    projected = F.normalize(frames @ quantizer.P, dim=-1)
    return (projected @ quantizer.CB.mT).argmax(dim=-1)


class SpectralTargets(nn.Module):
    """Log spectra of the clean speech.

    The target of a frame consists of two columns of a log-mel spectrogram (25
    ms windows every 10 ms) and the part up to 1.25 kHz of one log spectrum. The
    window of this spectrum is long enough (64 ms) to resolve the harmonics, so
    the spectrum represents the pitch. With little data and compute, a vocoder
    trains faster on a backbone that was pretrained with these targets than on
    one that was pretrained with ``RandomTargets``.

    Arguments
    ---------
    n_mels : int
        Number of mel bands per column.

    Example
    -------
    >>> targets = SpectralTargets()
    >>> targets(torch.randn(16001)).shape, targets.outputs
    (torch.Size([51, 241]), 241)
    """

    hop_length = 320

    def __init__(self, n_mels=80):
        super().__init__()
        self.columns = FrameSTFT(400, self.hop_length // 2)
        self.harmonics = FrameSTFT(1024, self.hop_length)
        self.harmonic_bins = 1250 * 1024 // 16000 + 1
        mel = torchaudio.functional.melscale_fbanks(
            201, 0.0, 8000.0, n_mels, 16000, norm="slaney"
        )
        self.register_buffer("mel", mel, persistent=False)
        self.outputs = 2 * n_mels + self.harmonic_bins

    @torch.no_grad()
    def forward(self, wav):
        """Return the targets of one clip.

        Arguments
        ---------
        wav : torch.Tensor
            Clean speech ``(time,)`` at 16 kHz.

        Returns
        -------
        torch.Tensor
            Targets ``(frames, outputs)``, approximately in [-1, 1].
        """
        with torch.autocast(wav.device.type, enabled=False):
            wav = wav[None].float()
            wav = F.pad(wav, (0, -wav.shape[1] % self.hop_length))
            columns = self.columns.analyse(wav).abs() @ self.mel
            harmonics = self.harmonics.analyse(wav).abs()
            harmonics = harmonics[..., : self.harmonic_bins]
            frames = torch.cat(
                [
                    (columns + 1e-3).log().unflatten(1, (-1, 2)).flatten(2),
                    (harmonics + 1e-1).log() - 4.0,
                ],
                dim=-1,
            )
            return frames[0] / 4 + 0.5

    def gains(self, frames, hz):
        """Return the log gains that give white noise the target spectra.

        Arguments
        ---------
        frames : torch.Tensor
            Targets or predictions ``(..., outputs)``.
        hz : torch.Tensor
            Frequencies in Hz ``(bins,)``.

        Returns
        -------
        torch.Tensor
            Natural logarithms of the gains for white noise of power 1, for each
            of the two columns, ``(..., 2, bins)``. They are an affine function
            of ``frames``.
        """
        mel = (frames[..., : -self.harmonic_bins] - 0.5) * 4
        mel = mel.unflatten(-1, (2, -1)) - self.mel.sum(dim=0).log()
        # Interpolate between the centres of the mel bands.
        centres = self.mel.mT @ torch.linspace(0, 8000, len(self.mel))
        centres = centres / self.mel.sum(dim=0)
        above = torch.searchsorted(centres, hz).clamp(1, len(centres) - 1)
        low, high = centres[above - 1], centres[above]
        weight = ((hz - low) / (high - low)).clamp(0, 1)
        level = mel[..., above - 1] * (1 - weight) + mel[..., above] * weight
        # Divide by the mean magnitude of white noise, whose bin magnitudes have
        # a Rayleigh distribution.
        power = self.columns.window.square().sum()
        return level - (power * torch.pi / 4).sqrt().log()

    @staticmethod
    def compare(outputs, targets):
        """Return the mean absolute error.

        Arguments
        ---------
        outputs : torch.Tensor
            Predictions ``(batch, frames, outputs)``.
        targets : torch.Tensor
            Targets of the same shape.

        Returns
        -------
        dict
            ``loss``, the mean error of each frame ``(batch, frames)``. An error
            of 1 is a difference of 4 in the natural log magnitude.
        """
        return {"loss": (outputs.float() - targets).abs().mean(dim=-1)}
