"""What every vocoder has in common.

Authors
 * The miipher2 authors 2026
"""

import inspect

from miipher2.errors import UserError
from miipher2.models.weights import SavedModule


class Vocoder(SavedModule):
    """Base class: features ``(batch, frames, width)`` -> ``(batch, time)``.

    A subclass implements ``forward``, which gives exactly ``hop_length``
    samples a frame in [-1, 1], and may implement ``prepare_inference``. If it
    ``hears_recording``, ``forward`` takes a ``recording`` too.

    Arguments
    ---------
    width : int
        Size of a feature vector.
    hop_length : int
        Samples a frame.
    sample_rate : int
        Hz of the sound that it gives.
    """

    hears_recording = False

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

    def speak(self, features, windows=(), meeting=0, recording=None):
        """Speaks the windows of long recordings.

        A vocoder that carries something from one window to the next, as the
        phase of its harmonics, does so here; others have nothing to do.

        Arguments
        ---------
        features : torch.Tensor
            ``(batch, frames, width)``.
        windows : list of miipher2.inference.windows.Window
            Where the first rows are from; those of one channel in order.
        meeting : int
            How many frames into a window it has to agree with the last one.
        recording : torch.Tensor
            What the features are of ``(batch, time)``, for a vocoder that
            ``hears_recording``.

        Returns
        -------
        torch.Tensor
            ``(batch, frames * hop_length)``.
        """
        return self(features)

    def prepare_inference(self):
        """Makes the vocoder faster where it will not be trained any more."""

    def identity(self):
        """Size of the features that it speaks."""
        return {"width": self.width}

    def check(self, identity, path):
        """Refuses a vocoder of other features."""
        if identity.get("width", self.width) != self.width:
            raise UserError(
                f"{path}: this vocoder speaks features of width "
                f"{identity['width']}, the backbone gives {self.width}; give "
                "the ssl it was trained with"
            )


def build_vocoder(vocoder, backbone, sample_rate, warm_start=None):
    """Builds a vocoder for a backbone, if their rates fit.

    Arguments
    ---------
    vocoder : callable
        Called with ``width=``; gives a ``Vocoder``.
    backbone : miipher2.models.backbone.SSLBackbone
        Gives ``width`` and ``frame_rate`` (frames a second).
    sample_rate : int
        Hz of the sound that it is trained on.
    warm_start : str
        What the vocoder is to start with; its class says what it can be. None:
        random weights.

    Returns
    -------
    Vocoder
        It gives ``sample_rate / frame_rate`` samples a frame.

    Raises
    ------
    UserError
        If the vocoder has another sample rate, or ``hop_length * frame_rate``
        is not its sample rate, or it cannot start with anything.
    """
    start = {}
    if warm_start is not None:
        start["warm_start"] = warm_start
        if "warm_start" not in inspect.signature(vocoder).parameters:
            raise UserError(
                f"warm_start: {warm_start!r} is nothing that this vocoder can "
                "start with; leave it out, or take another vocoder"
            )
    built = vocoder(width=backbone.width, **start)
    if built.sample_rate != sample_rate:
        raise UserError(
            f"sample_rate: {sample_rate} Hz, but the vocoder gives "
            f"{built.sample_rate} Hz; choose it by --vocoder, for example "
            "--vocoder='!include:models/vocoder/hifigan_24k.yaml'"
        )
    if built.hears_recording and backbone.sample_rate != sample_rate:
        raise UserError(
            f"keep: the recording comes at {backbone.sample_rate} Hz, the "
            f"vocoder speaks at {sample_rate} Hz, so that nothing of it can be "
            "kept; give the same rates, or keep: False"
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
