"""The feature loss of stage 1 and a spectral loss for stage 2.

Authors
 * The miipher2 authors 2026
"""

import torch
from speechbrain.dataio.dataio import length_to_mask
from torch import nn


class FeatureLoss(nn.Module):
    """Sum of L1, squared L2 and spectral convergence losses between features.

    The loss in section 2 of Miipher-2 is ``||S-S'||_1 + ||S-S'||_2^2 +
    ||S-S'||^2 / ||S||^2``. This class averages the first two terms over all
    feature values outside the padding, so they do not depend on the length of a
    clip.

    Arguments
    ---------
    l1_weight : float
        Weight of the mean absolute error.
    l2_weight : float
        Weight of the mean squared error.
    sc_weight : float
        Weight of the spectral convergence.

    Example
    -------
    >>> loss = FeatureLoss()
    >>> target = torch.ones(2, 10, 4)
    >>> terms = loss(torch.zeros(2, 10, 4), target, torch.ones(2))
    >>> {name: value.tolist() for name, value in terms.items()}
    {'l1': [1.0, 1.0], 'l2': [1.0, 1.0], 'sc': [1.0, 1.0], 'loss': [3.0, 3.0]}
    """

    def __init__(self, l1_weight=1.0, l2_weight=1.0, sc_weight=1.0):
        super().__init__()
        self.weights = {"l1": l1_weight, "l2": l2_weight, "sc": sc_weight}

    def forward(self, predicted, target, lengths=None):
        """Compute all terms for each clip.

        Arguments
        ---------
        predicted : torch.Tensor
            ``(batch, frames, width)``.
        target : torch.Tensor
            ``(batch, frames, width)``.
        lengths : torch.Tensor
            Relative lengths ``(batch,)``. None if there is no padding.

        Returns
        -------
        dict
            ``l1``, ``l2`` and ``sc``, unweighted, and ``loss``, the weighted
            sum. Each has the shape ``(batch,)``.
        """
        predicted, target = predicted.float(), target.float()
        batch, frames, width = target.shape
        if lengths is None:
            lengths = torch.ones(batch, device=target.device)
        mask = length_to_mask(
            (lengths * frames).round().clamp(min=1), max_len=frames
        ).to(target)[..., None]
        error = (predicted - target) * mask
        count = mask.sum(dim=(1, 2)) * width
        squared = error.square().sum(dim=(1, 2))
        terms = {
            "l1": error.abs().sum(dim=(1, 2)) / count,
            "l2": squared / count,
            "sc": squared
            / (target * mask).square().sum(dim=(1, 2)).clamp(min=1e-8),
        }
        terms["loss"] = sum(self.weights[k] * v for k, v in terms.items())
        return terms


class MultiScaleSTFTLoss(nn.Module):
    """Loss between STFT magnitudes at several resolutions.

    The magnitudes are raised to ``power`` to approximate loudness; the first
    term is their mean absolute error. The second term is the spectral
    convergence of Parallel WaveGAN (arXiv 1910.11480, section 2.2), without
    ``power``. The log magnitudes of that paper are not used, because they
    weight quiet bins as much as loud bins.

    Pass an instance to SpeechBrain's ``GeneratorLoss`` as ``stft_loss``.
    SpeechBrain's own STFT loss does not run with torch 2, because it calls
    ``torch.stft`` without ``return_complex``.

    Arguments
    ---------
    n_ffts : list of int
        FFT sizes in samples. Each hop length is a quarter of the FFT size.
    sc_weight : float
        Weight of the spectral convergence.
    power : float
        Exponent of the magnitudes in the first term, between 0 and 1.

    Example
    -------
    >>> loss = MultiScaleSTFTLoss()
    >>> wav = torch.rand(2, 8000)
    >>> [float(term) for term in loss(wav, wav)]
    [0.0, 0.0]
    """

    def __init__(self, n_ffts=(256, 512, 1024, 2048), sc_weight=1.0, power=0.3):
        super().__init__()
        self.n_ffts = n_ffts
        self.sc_weight = sc_weight
        self.power = power

    def forward(self, predicted, target):
        """Compute both terms.

        Arguments
        ---------
        predicted : torch.Tensor
            Waveforms ``(batch, time)``.
        target : torch.Tensor
            Waveforms ``(batch, time)``.

        Returns
        -------
        tuple of torch.Tensor
            Magnitude error and weighted spectral convergence, scalars.
        """
        magnitude = convergence = 0.0
        for n_fft in self.n_ffts:
            a, b = (self._magnitudes(x, n_fft) for x in (predicted, target))
            magnitude += (a**self.power - b**self.power).abs().mean()
            convergence += (a - b).norm() / b.norm().clamp(min=1e-6)
        count = len(self.n_ffts)
        return magnitude / count, self.sc_weight * convergence / count

    @staticmethod
    def _magnitudes(wav, n_fft):
        spectrum = torch.stft(
            wav,
            n_fft,
            n_fft // 4,
            window=torch.hann_window(n_fft, device=wav.device),
            return_complex=True,
        )
        # a floor about 60 dB below the level of speech keeps the gradient of
        # the square root finite and limits the effect of silence
        power = torch.view_as_real(spectrum).square().sum(dim=-1)
        return (power + (n_fft * 1e-5) ** 2).sqrt()
