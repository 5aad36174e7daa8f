"""A learned gate that decides how much of a recording's spectrum to keep.

Authors
 * The miipher2 authors 2026
"""

import torch
from torch import nn
from torch.nn import functional as F


class SpectralGate(nn.Module):
    """Mixes the spectra of a recording with synthesised ones, bin by bin.

    A small vocoder degrades clean parts of a recording when it resynthesises
    them. This module compares the level of each bin of the recording, ``r``,
    with the level ``e`` that the features predict for clean speech. Both are
    natural logarithms, averaged over neighbouring bins. A higher level is
    caused by noise or reverberation, a lower level by loss in transmission. The
    fraction ``sigmoid(confidence - slope * |r - e|)`` of the bin is taken from
    the recording, after a correction of its level; the remaining fraction is
    synthesised. The network predicts confidence and correction of each bin. The
    slopes, one for ``r > e`` and one for ``r < e``, are trained for each
    frequency.

    In eval mode, a residue of the suppressed part of the recording is kept, in
    case the network treats words as noise. It is as large as the predicted
    speech can mask.

    Arguments
    ---------
    width : int
        Size of the vector that ``embed`` returns.
    channels : int
        Size of the network's hidden states.
    subframes : int
        Number of spectra per frame.
    n_fft : int
        FFT size in samples.
    floor : float
        Lowest level of a bin; lower levels are treated as silence.
    smoothing_bins : int
        Number of bins whose mean power is compared, an odd number. The levels
        are averaged because the predicted ones are an envelope without
        harmonics.
    synthesised_clips : float
        Fraction of the training clips that are completely synthesised. Without
        such clips, the network learns to rely on clean recordings and
        synthesises poorly.
    masked_residue : float
        Residue of a bin with the predicted level.
    max_residue : float
        Largest residue of a bin.
    max_correction : float
        Largest correction of a bin's level.

    Example
    -------
    >>> gate = SpectralGate(width=16, channels=8, subframes=2, n_fft=640)
    >>> spectra = torch.randn(1, 20, 321, dtype=torch.complex64)
    >>> levels = gate.levels(spectra)
    >>> gate.embed(levels).shape
    torch.Size([1, 10, 16])
    >>> hidden = torch.rand(1, 10, 8)
    >>> recorded, synthesised = gate.eval()(hidden, levels, levels)
    >>> recorded.shape, f"{recorded.mean():.2f}", f"{synthesised.mean():.2f}"
    (torch.Size([1, 20, 321]), '0.81', '0.19')
    """

    def __init__(
        self,
        width,
        channels,
        subframes,
        n_fft,
        floor=-11.5,
        smoothing_bins=9,
        synthesised_clips=0.3,
        masked_residue=0.5,
        max_residue=0.3,
        max_correction=5.0,
    ):
        super().__init__()
        bins = n_fft // 2 + 1
        self.subframes = subframes
        self.floor = floor
        self.smoothing_bins = smoothing_bins
        self.synthesised_clips = synthesised_clips
        self.masked_residue = masked_residue
        self.max_residue = max_residue
        self.max_correction = max_correction
        # root mean square of a bin of white noise of power 1, Hann window
        self.noise_rms = (3 / 8 * n_fft) ** 0.5
        self.level_projection = nn.Linear(subframes * bins, width, bias=False)
        self.output_projection = nn.Linear(channels, subframes * 2 * bins)
        for parameter in self.parameters():
            nn.init.zeros_(parameter)
        bias = self.output_projection.bias.data.unflatten(
            0, (subframes, 2, bins)
        )
        bias[:, 0] = 1.0  # initial confidence
        self.slope = nn.Parameter(torch.ones(2, bins))

    def levels(self, spectra):
        """Return the level of each bin.

        Arguments
        ---------
        spectra : torch.Tensor
            Spectra of the recording, complex ``(batch, frames * subframes,
            bins)``.

        Returns
        -------
        torch.Tensor
            Levels of the same shape: natural logarithm of the magnitude, 0 for
            white noise of power 1.
        """
        smallest = torch.tensor(self.floor).exp().item()
        return (spectra.abs() / self.noise_rms).clamp(min=smallest).log()

    def embed(self, levels):
        """Return a projection of the levels; zero for silence.

        Arguments
        ---------
        levels : torch.Tensor
            Levels as returned by ``levels``.

        Returns
        -------
        torch.Tensor
            ``(batch, frames, width)``.
        """
        frames = levels.unflatten(1, (-1, self.subframes)).flatten(2)
        return self.level_projection((frames - self.floor) / 2)

    def forward(self, hidden, levels, predicted):
        """Return the gains of both spectra.

        Arguments
        ---------
        hidden : torch.Tensor
            The network's hidden states ``(batch, frames, channels)``.
        levels : torch.Tensor
            Levels as returned by ``levels``.
        predicted : torch.Tensor
            Predicted levels of clean speech, of the same shape.

        Returns
        -------
        recorded : torch.Tensor
            Gains of the recording's spectra, of the same shape as ``levels``.
        synthesised : torch.Tensor
            Gains of the synthesised spectra, in [0, 1].
        """
        outputs = self.output_projection(hidden)
        outputs = outputs.unflatten(-1, (self.subframes, 2, -1)).flatten(1, 2)
        confidence, correction = outputs.float().unbind(dim=2)
        correction = correction.clamp(-self.max_correction, self.max_correction)
        excess = self._smooth(levels + correction) - self._smooth(predicted)
        distance = self.slope[0] * excess.relu()
        distance = distance + self.slope[1] * (-excess).relu()
        share = (confidence - distance).sigmoid()
        if self.training:
            draw = torch.rand(len(share), 1, 1, device=share.device)
            share = share.masked_fill(draw < self.synthesised_clips, 0.0)
            return share * correction.exp(), 1 - share
        residue = self.masked_residue * (-excess).exp()
        residue = residue.clamp(max=self.max_residue) * (1 - share)
        # if a bin was lost, its residue is too quiet to replace the synthesised
        # part
        replaced = residue * excess.clamp(max=0.0).exp()
        return share * correction.exp() + residue, 1 - share - replaced

    def _smooth(self, levels):
        """Return the level of the mean power of the bins around each one."""
        power = F.avg_pool1d(
            (2 * levels.clamp(min=2 * self.floor)).exp(),
            self.smoothing_bins,
            stride=1,
            padding=self.smoothing_bins // 2,
            count_include_pad=False,
        )
        return power.log() / 2
