"""A loss in the feature space of a frozen speech encoder.

Authors
 * The miipher2 authors 2026
"""

import torch
from torch import nn
from torchaudio.functional import resample


class SSLLoss(nn.Module):
    """Distance between two waveforms in the feature space of a frozen encoder.

    The loss is the mean absolute difference between the features, which are
    computed without adapters. Each dimension is divided by its standard
    deviation in the targets. The features of speech encoders distinguish
    phonemes whose spectra are nearly equal. Clips with a silent target are
    ignored.

    Arguments
    ---------
    cleaner : miipher2.models.cleaner.FeatureCleaner
        The cleaner whose backbone is the encoder. This loss does not train it.
    sample_rate : int
        Sample rate of the waveforms in Hz.
    weight : float
        Factor by which the loss is multiplied.

    Example
    -------
    >>> from transformers import WhisperConfig
    >>> from miipher2.models.backbone import SSLBackbone
    >>> from miipher2.models.cleaner import FeatureCleaner
    >>> config = WhisperConfig(
    ...     d_model=16, encoder_layers=2, encoder_attention_heads=2,
    ...     encoder_ffn_dim=32,
    ... )
    >>> loss = SSLLoss(FeatureCleaner(SSLBackbone(config, layer=1)), 24000)
    >>> wav = torch.randn(2, 12000)
    >>> float(loss(wav, wav)), bool(loss(0.5 * wav.flip(-1), wav) > 0)
    (0.0, True)
    """

    def __init__(self, cleaner, sample_rate, weight=1.0):
        super().__init__()
        self._cleaner = [cleaner]  # in a list, to avoid registering a submodule
        self.sample_rate = sample_rate
        self.weight = weight

    def forward(self, predicted, target):
        """Compute the loss between waveforms.

        Arguments
        ---------
        predicted, target : torch.Tensor
            Waveforms ``(batch, time)``.

        Returns
        -------
        torch.Tensor
            The loss, a scalar.
        """
        (cleaner,) = self._cleaner
        with cleaner.adapters_off():
            with torch.no_grad():
                expected = self._features(cleaner, target)
            features = self._features(cleaner, predicted)
        deviation = expected.std(dim=(0, 1)).clamp(min=1e-2)
        error = ((features - expected) / deviation).abs().mean(dim=(1, 2))
        speech = (target.abs().amax(dim=1) > 0).float()
        return self.weight * (error * speech).sum() / speech.sum().clamp(min=1)

    def _features(self, cleaner, wavs):
        with torch.autocast(wavs.device.type, enabled=False):
            wavs = resample(wavs.float(), self.sample_rate, cleaner.sample_rate)
        return cleaner.adapted_model(wavs).float()
