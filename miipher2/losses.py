"""The loss of the first training stage.

Authors
 * The miipher2 authors 2026
"""

import torch
from speechbrain.dataio.dataio import length_to_mask
from torch import nn


class FeatureLoss(nn.Module):
    """L1 + squared L2 + spectral convergence between features.

    Miipher-2, section 2: ``||S-S'||_1 + ||S-S'||_2^2 + ||S-S'||^2 / ||S||^2``
    on the chosen layer. The first two terms are means over the valid frames,
    as open implementations take them, so that no term grows with the length.

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
        """Computes every term for every clip.

        Arguments
        ---------
        predicted : torch.Tensor
            ``(batch, frames, width)``.
        target : torch.Tensor
            ``(batch, frames, width)``.
        lengths : torch.Tensor
            Relative lengths ``(batch,)``; None: all are full.

        Returns
        -------
        dict
            ``l1``, ``l2``, ``sc`` without their weights and ``loss``, their
            weighted sum, each ``(batch,)``.
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
