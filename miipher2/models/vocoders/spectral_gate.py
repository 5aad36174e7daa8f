"""A learned gate that decides how much of a recording's spectrum to keep.

Authors
 * The miipher2 authors 2026
"""

import torch
from torch import nn
from torch.nn import functional as F


class SpectralGate(nn.Module):
    """A gate that mixes recorded and synthesised spectra in each bin.

    A small vocoder degrades clean parts of a recording when it resynthesises
    them. For each bin, this module compares ``r``, the level of the recording,
    with ``e``, the level of clean speech as predicted from the features. Both
    levels are natural logarithms, smoothed over neighbouring bins. Noise and
    reverberation increase ``r``; transmission losses decrease it. First, a
    predicted correction is added to ``r``, and the spectrum of the recording is
    scaled accordingly. The recording then contributes the fraction
    ``sigmoid(confidence - slope * |r - e|)`` of the bin, and the remaining
    fraction is synthesised. The confidence and the correction are predicted for
    each bin from the vocoder's hidden states. For each frequency, two slopes
    are trained: one for ``r > e``, and one for ``r < e``.

    In eval mode, a residue of the suppressed recording is added, because the
    network may mistake words for noise. The residue is quiet enough for the
    predicted speech to mask it.

    Arguments
    ---------
    width : int
        Size of the vector that ``embed`` returns.
    channels : int
        Size of the vocoder's hidden states.
    subframes : int
        Number of spectra per frame.
    n_fft : int
        FFT size in samples.
    floor : float
        Level of silence, as a natural logarithm. Lower levels are raised to
        this value.
    smoothing_bins : int
        Number of bins over which the power is averaged before the comparison,
        an odd number. The average is necessary because the predicted levels are
        an envelope without harmonics.
    synthesised_clips : float
        Fraction of the training clips that are completely synthesised. Without
        such clips, the network learns to rely on clean recordings and
        synthesises poorly.
    masked_residue : float
        Gain of the residue in a bin where ``r`` equals ``e``, before it is
        limited to ``max_residue`` and multiplied by the synthesised fraction.
    max_residue : float
        Maximum gain of the residue.
    max_correction : float
        Maximum correction of a bin's level up or down, as a natural logarithm.

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
        # RMS magnitude of a bin for white noise of power 1 and a Hann window
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
            Complex spectra of the recording ``(batch, frames * subframes,
            bins)``.

        Returns
        -------
        torch.Tensor
            Levels of the same shape: natural logarithms of the magnitudes,
            relative to white noise of power 1.
        """
        smallest = torch.tensor(self.floor).exp().item()
        return (spectra.abs() / self.noise_rms).clamp(min=smallest).log()

    def embed(self, levels):
        """Return a linear projection of the levels, which is zero for silence.

        Arguments
        ---------
        levels : torch.Tensor
            Levels as returned by ``levels``.

        Returns
        -------
        torch.Tensor
            Projected levels ``(batch, frames, width)``.
        """
        frames = levels.unflatten(1, (-1, self.subframes)).flatten(2)
        return self.level_projection((frames - self.floor) / 2)

    def forward(self, hidden, levels, predicted):
        """Return the gains of the recorded and the synthesised spectra.

        Arguments
        ---------
        hidden : torch.Tensor
            The vocoder's hidden states ``(batch, frames, channels)``.
        levels : torch.Tensor
            Levels as returned by ``levels``.
        predicted : torch.Tensor
            Predicted levels of clean speech, of the same shape as ``levels``.

        Returns
        -------
        recorded : torch.Tensor
            Gains of the recording's spectra, of the same shape as ``levels``.
        synthesised : torch.Tensor
            Gains of the synthesised spectra, of the same shape, in [0, 1].
        """
        outputs = self.output_projection(hidden)
        outputs = outputs.unflatten(-1, (self.subframes, 2, -1)).flatten(1, 2)
        confidence, correction = outputs.float().unbind(dim=2)
        correction = correction.clamp(-self.max_correction, self.max_correction)
        excess = self._smooth(levels + correction) - self._smooth(predicted)
        distance = self.slope[0] * excess.relu()
        distance = distance + self.slope[1] * (-excess).relu()
        fraction = (confidence - distance).sigmoid()
        if self.training:
            number = torch.rand(len(fraction), 1, 1, device=fraction.device)
            is_synthesised = number < self.synthesised_clips
            fraction = fraction.masked_fill(is_synthesised, 0.0)
            return fraction * correction.exp(), 1 - fraction
        residue = self.masked_residue * (-excess).exp()
        residue = residue.clamp(max=self.max_residue) * (1 - fraction)
        # If a bin was lost, its residue is too quiet to replace synthesised
        # speech.
        replaced = residue * excess.clamp(max=0.0).exp()
        return fraction * correction.exp() + residue, 1 - fraction - replaced

    def _smooth(self, levels):
        """Return the levels of the power averaged over ``smoothing_bins``."""
        power = F.avg_pool1d(
            (2 * levels.clamp(min=2 * self.floor)).exp(),
            self.smoothing_bins,
            stride=1,
            padding=self.smoothing_bins // 2,
            count_include_pad=False,
        )
        return power.log() / 2
