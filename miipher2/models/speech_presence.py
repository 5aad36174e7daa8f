"""Speech detection from the features of a cleaner.

Authors
 * The miipher2 authors 2026
"""

import torch

from miipher2.errors import UserError
from miipher2.models.weights import SavedModule


class SpeechPresence(SavedModule):
    """Linear classifier that detects speech in the features of a cleaner.

    ``recipes/Compact/fit_speech_presence.py`` fits the weights, and
    ``miipher2.inference.speech_gate`` smooths the output over time.

    Arguments
    ---------
    backbone : miipher2.models.backbone.SSLBackbone
        The backbone of the cleaner; it is not changed.

    Example
    -------
    >>> import types
    >>> backbone = types.SimpleNamespace(width=8, layer=2, fingerprint="a1")
    >>> presence = SpeechPresence(backbone)
    >>> presence(torch.rand(2, 50, 8)).shape
    torch.Size([2, 50])
    """

    def __init__(self, backbone):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(backbone.width))
        self.bias = torch.nn.Parameter(torch.zeros(()))
        self.backbone = {
            "width": backbone.width,
            "layer": backbone.layer,
            "fingerprint": backbone.fingerprint,
        }

    def forward(self, features):
        """Return the log-odds of speech in each frame.

        Arguments
        ---------
        features : torch.Tensor
            ``(batch, frames, width)``.

        Returns
        -------
        torch.Tensor
            Log-odds ``(batch, frames)``, in float32 even under autocast.
        """
        return (features.float() * self.weight).sum(dim=-1) + self.bias

    def identity(self):
        """Return the values that identify the backbone."""
        return self.backbone

    def check(self, identity, path):
        """Raise a ``UserError`` if the weights are for another backbone."""
        for key, own in self.backbone.items():
            if identity.get(key) != own:
                raise UserError(
                    f"{path}: fitted to a backbone with {key} "
                    f"{identity.get(key)}, but the model has {key} {own}; run "
                    "recipes/Compact/fit_speech_presence.py again"
                )
