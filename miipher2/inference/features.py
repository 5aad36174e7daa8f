"""Resampling of windows, and features of padded windows.

Authors
 * The miipher2 authors 2026
"""

from __future__ import annotations

import torch
from torchaudio.functional import resample


def resample_windows(
    wavs: torch.Tensor, sample_rate: int, new_rate: int
) -> torch.Tensor:
    """Resample windows in float32, even under autocast.

    Arguments
    ---------
    wavs : torch.Tensor
        ``(batch, time)``.
    sample_rate : int
        Sample rate of ``wavs`` in Hz.
    new_rate : int
        Sample rate of the output in Hz.

    Returns
    -------
    torch.Tensor
        ``(batch, ceil(time * new_rate / sample_rate))``.

    Example
    -------
    >>> resample_windows(torch.rand(2, 480), 24000, 16000).shape
    torch.Size([2, 320])
    """
    with torch.autocast(wavs.device.type, enabled=False):
        return resample(wavs, sample_rate, new_rate, lowpass_filter_width=32)


def repeat_last_frame(
    features: torch.Tensor, frames: torch.Tensor
) -> torch.Tensor:
    """Replace the features of padding with the last valid frame of each window.

    The output at the end of a window then hardly depends on its padding.

    Arguments
    ---------
    features : torch.Tensor
        ``(batch, frames, width)``.
    frames : torch.Tensor
        Number of valid frames of each window, ``(batch,)``.

    Returns
    -------
    torch.Tensor
        Features of the same shape.

    Example
    -------
    >>> features = torch.arange(6.0).reshape(2, 3, 1)
    >>> repeat_last_frame(features, torch.tensor([2, 3]))[..., 0]
    tensor([[0., 1., 1.],
            [3., 4., 5.]])
    """
    last = (frames - 1).clamp(min=0).to(features.device)
    index = torch.arange(features.shape[1], device=features.device)
    index = torch.minimum(index, last[:, None])[..., None]
    return features.gather(1, index.expand_as(features))
