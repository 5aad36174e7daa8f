"""Normalisation of features with fixed statistics.

Authors
 * The miipher2 authors 2026
"""

import torch
from torch import nn


class FeatureNorm(nn.Module):
    """Normalisation with a fixed mean and scale for each dimension.

    The outputs of layer 4 of Whisper base have a standard deviation of about
    2.5, but values above 100 in one dimension. Without normalisation, an
    optimizer step would change the contribution of this dimension to the next
    layer too much. The mean and the scale are measured before training
    (``recipes/Whisper24/start_vocoder.py``) and are not trained. Initially,
    they are 0 and 1, which leaves the features unchanged.

    Arguments
    ---------
    width : int
        Size of a feature vector.

    Example
    -------
    >>> norm = FeatureNorm(2)
    >>> norm.mean.fill_(3.0), norm.scale.fill_(0.5)
    (tensor([3., 3.]), tensor([0.5000, 0.5000]))
    >>> norm(torch.tensor([[3.0, 5.0]]))
    tensor([[0., 1.]])
    """

    def __init__(self, width):
        super().__init__()
        self.register_buffer("mean", torch.zeros(width))
        self.register_buffer("scale", torch.ones(width))

    def forward(self, features):
        """Normalise features in float32.

        Arguments
        ---------
        features : torch.Tensor
            Features ``(batch, frames, width)``.

        Returns
        -------
        torch.Tensor
            Normalised features of the same shape, in float32.
        """
        return (features.float() - self.mean.float()) * self.scale.float()
