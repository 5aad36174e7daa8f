"""What stage 0 has a backbone predict of the clean speech.

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
    """Numbers log-mel frames by random projections to random codebooks.

    The frames are those of w2v-BERT 2.0: 80 Kaldi filter banks every 10 ms,
    normalised per clip, in pairs, so that they lie over the samples as the
    backbone's own frames do. Several codebooks are USM's multi-softmax
    (arXiv 2303.01037): the targets depend less on the luck of one draw.

    Arguments
    ---------
    codebooks : int
        Number of codebooks, each with a projection of its own.
    codes : int
        Codes in a codebook.
    code_dim : int
        Size of a code.

    Attributes
    ----------
    outputs : int
        What the model has to give for a frame: a score for every code.

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
        """Numbers the frames of one clip.

        Arguments
        ---------
        wav : torch.Tensor
            Clean speech ``(time,)`` at 16 kHz.

        Returns
        -------
        torch.Tensor
            ``(frames, codebooks)``, integers.
        """
        with torch.autocast(wav.device.type, enabled=False):
            frames = self.mel.prepare(wav[None].float())[0]
            return torch.stack(
                [nearest_code(frames, q) for q in self.quantizers], dim=-1
            )

    def compare(self, outputs, codes):
        """Cross-entropy in nats, and how many codes are named rightly.

        Arguments
        ---------
        outputs : torch.Tensor
            The model's ``(batch, frames, outputs)``.
        codes : torch.Tensor
            ``(batch, frames, codebooks)``.

        Returns
        -------
        dict
            ``loss`` and ``accuracy``, means over the codebooks ``(batch,
            frames)``.
        """
        scores = outputs.float().unflatten(-1, (self.codebooks, -1))
        entropy = F.cross_entropy(
            scores.flatten(0, 2), codes.flatten(), reduction="none"
        )
        right = (scores.argmax(dim=-1) == codes).float()
        return {
            "loss": entropy.view_as(codes).mean(dim=-1),
            "accuracy": right.mean(dim=-1),
        }


def nearest_code(frames, quantizer):
    """Does what the quantizer does, several times faster.

    Frames and codes are unit vectors, so the nearest code is the one of the
    largest product; the quantizer itself takes the norm of every difference.

    Arguments
    ---------
    frames : torch.Tensor
        ``(frames, width)``.
    quantizer : speechbrain.nnet.quantisers.RandomProjectionQuantizer
        Holds the projection and the codebook.

    Returns
    -------
    torch.Tensor
        ``(frames,)``, integers.

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
    """The clean speech's own spectra, to be given back from degraded speech.

    A frame's target is two columns of a log-mel spectrogram, of 25 ms every
    10 ms, and a longer spectrum up to 1.25 kHz in which the harmonics stand
    apart, for the pitch. Where speech and compute are few, features that know
    these serve a vocoder sooner than those of BEST-RQ.

    Arguments
    ---------
    n_mels : int
        Mel bands of a column.

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
        """Gives the targets of one clip.

        Arguments
        ---------
        wav : torch.Tensor
            Clean speech ``(time,)`` at 16 kHz.

        Returns
        -------
        torch.Tensor
            ``(frames, outputs)``, about in [-1, 1].
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
        """What white noise of power 1 has to be filtered by to sound so.

        Arguments
        ---------
        frames : torch.Tensor
            Targets, or what a model says of them ``(..., outputs)``.
        hz : torch.Tensor
            Frequencies ``(bins,)``.

        Returns
        -------
        torch.Tensor
            Natural logarithms of the gain in each of the two columns ``(...,
            2, bins)``; an affine function of the frames.
        """
        mel = (frames[..., : -self.harmonic_bins] - 0.5) * 4
        mel = mel.unflatten(-1, (2, -1)) - self.mel.sum(dim=0).log()
        # between the centres of the bands
        centres = self.mel.mT @ torch.linspace(0, 8000, len(self.mel))
        centres = centres / self.mel.sum(dim=0)
        above = torch.searchsorted(centres, hz).clamp(1, len(centres) - 1)
        low, high = centres[above - 1], centres[above]
        share = ((hz - low) / (high - low)).clamp(0, 1)
        level = mel[..., above - 1] * (1 - share) + mel[..., above] * share
        # the mean magnitude of noise, whose bins have Rayleigh's distribution
        power = self.columns.window.square().sum()
        return level - (power * torch.pi / 4).sqrt().log()

    @staticmethod
    def compare(outputs, targets):
        """The mean absolute error.

        Arguments
        ---------
        outputs : torch.Tensor
            The model's ``(batch, frames, outputs)``.
        targets : torch.Tensor
            The same shape.

        Returns
        -------
        dict
            ``loss``, means over a frame ``(batch, frames)``; one is 4 nats.
        """
        return {"loss": (outputs.float() - targets).abs().mean(dim=-1)}
