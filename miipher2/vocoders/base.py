"""What every vocoder has in common.

Authors
 * The miipher2 authors 2026
"""

from speechbrain.utils.checkpoints import (
    mark_as_loader,
    mark_as_saver,
    mark_as_transfer,
    register_checkpoint_hooks,
)
from torch import nn

from miipher2.errors import UserError
from miipher2.weights import fill, load_weights, save_weights


@register_checkpoint_hooks
class Vocoder(nn.Module):
    """Base class: features ``(batch, frames, width)`` -> ``(batch, time)``.

    A subclass implements ``forward``, which gives exactly ``hop_length``
    samples a frame in [-1, 1], and may implement ``prepare_inference``.

    Arguments
    ---------
    width : int
        Size of a feature vector.
    hop_length : int
        Samples a frame.
    sample_rate : int
        Hz of the sound that it gives.
    """

    def __init__(self, width, hop_length, sample_rate):
        super().__init__()
        self.width = width
        self.hop_length = hop_length
        self.sample_rate = sample_rate

    def forward(self, features):
        """Speaks features.

        Arguments
        ---------
        features : torch.Tensor
            ``(batch, frames, width)``.

        Returns
        -------
        torch.Tensor
            ``(batch, frames * hop_length)`` in [-1, 1].
        """
        raise NotImplementedError(
            f"{type(self).__name__} must say how it speaks features"
        )

    def prepare_inference(self):
        """Makes the vocoder faster where it will not be trained any more."""

    @mark_as_saver
    def save(self, path):
        """Writes the weights.

        Arguments
        ---------
        path : str or Path
            The file to write.
        """
        save_weights(path, self.state_dict(), {"width": self.width})

    @mark_as_loader
    def load(self, path, end_of_epoch=True):
        """Reads weights of the same vocoder.

        Arguments
        ---------
        path : str or Path
            A file that ``save`` wrote.
        end_of_epoch : bool
            Not used; SpeechBrain passes it.

        Raises
        ------
        UserError
            If they were made for another width or another vocoder.
        """
        tensors, identity = load_weights(path)
        if identity.get("width", self.width) != self.width:
            raise UserError(
                f"{path}: this vocoder speaks features of width "
                f"{identity['width']}, the backbone gives {self.width}; give "
                "the ssl it was trained with"
            )
        fill(self, tensors, path)

    @mark_as_transfer
    def transfer(self, path):
        """Reads weights for inference.

        Arguments
        ---------
        path : str or Path
            A file that ``save`` wrote.
        """
        self.load(path)


def build_vocoder(vocoder, backbone, sample_rate):
    """Builds a vocoder for a backbone, if their rates fit.

    Arguments
    ---------
    vocoder : callable
        Called with ``width=``; gives a ``Vocoder``.
    backbone : miipher2.ssl.SSLBackbone
        Gives ``width`` and ``frame_rate`` (frames a second).
    sample_rate : int
        Hz of the sound that it is trained on.

    Returns
    -------
    Vocoder
        It gives ``sample_rate / frame_rate`` samples a frame.

    Raises
    ------
    UserError
        If the vocoder has another sample rate, or ``hop_length * frame_rate``
        is not its sample rate.
    """
    built = vocoder(width=backbone.width)
    if built.sample_rate != sample_rate:
        raise UserError(
            f"sample_rate: {sample_rate} Hz, but the vocoder gives "
            f"{built.sample_rate} Hz; choose it by --vocoder, for example "
            "--vocoder='!include:models/vocoder/hifigan_24k.yaml'"
        )
    rate = built.hop_length * backbone.frame_rate
    if rate != built.sample_rate:
        raise UserError(
            f"the vocoder makes {built.hop_length} samples a frame, which at "
            f"the backbone's {backbone.frame_rate:g} frames a second is "
            f"{rate:g} Hz, not its sample_rate of {built.sample_rate} Hz; "
            "choose upsample_factors whose product is, or a hop_length of, "
            f"{built.sample_rate / backbone.frame_rate:g}"
        )
    return built
