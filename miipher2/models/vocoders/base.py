"""The base class of vocoders, and how one is built for a backbone.

Authors
 * The miipher2 authors 2026
"""

from miipher2.errors import UserError
from miipher2.models.weights import SavedModule


class Vocoder(SavedModule):
    """Base class: features ``(batch, frames, width)`` -> ``(batch, time)``.

    A subclass implements ``forward``, which synthesises exactly ``hop_length``
    samples per frame, and overrides what else differs from the defaults here.

    Arguments
    ---------
    width : int
        Size of a feature vector.
    hop_length : int
        Samples per frame.
    sample_rate : int
        Hz of the output.

    Attributes
    ----------
    needs_recording : bool
        Whether it uses the recording that the features were computed from.
    needs_pitch : bool
        Whether it is trained with the pitch of the target.
    subframes : int
        Values of the pitch for each frame.

    Example
    -------
    >>> import torch
    >>> class Repeat(Vocoder):
    ...     def forward(self, features, recording=None, pitch=None):
    ...         wav = features[..., 0].repeat_interleave(self.hop_length, 1)
    ...         return wav, wav.new_zeros(())
    >>> vocoder = Repeat(width=16, hop_length=320, sample_rate=16000)
    >>> wav, states = vocoder.synthesise(torch.rand(2, 10, 16))
    >>> wav.shape, states
    (torch.Size([2, 3200]), {})
    """

    needs_recording = False
    needs_pitch = False
    subframes = 1

    def __init__(self, width, hop_length, sample_rate):
        super().__init__()
        self.width = width
        self.hop_length = hop_length
        self.sample_rate = sample_rate

    def forward(self, features, recording=None, pitch=None):
        """Synthesise waveforms for training and validation.

        Arguments
        ---------
        features : torch.Tensor
            ``(batch, frames, width)``.
        recording : torch.Tensor
            ``(batch, time)`` at ``sample_rate``, if ``needs_recording``.
            None: not available.
        pitch : torch.Tensor
            Pitch of the target in Hz and how voiced it is, in [0, 1],
            ``(batch, frames * subframes, 2)``, if ``needs_pitch``. None: not
            available.

        Returns
        -------
        wav : torch.Tensor
            ``(batch, frames * hop_length)``, in eval mode in [-1, 1].
        own_loss : torch.Tensor
            Scalar, added to the loss of the waveform; zero if there is none.
        """
        raise NotImplementedError(f"{type(self).__name__} has no forward")

    def synthesise(
        self, features, recording=None, segments=(), states=None, overlap=0
    ):
        """Synthesise windows of long recordings, for inference.

        A vocoder that carries a state from one window to the next overrides
        this.

        Arguments
        ---------
        features : torch.Tensor
            ``(batch, frames, width)``.
        recording : torch.Tensor
            As in ``forward``.
        segments : list of tuple
            ``(channel, start, next_start)`` of the first rows: an object that
            identifies a channel, and the first frames of this window and of
            the next one, which is None for the last. Windows of a channel are
            in order.
        states : dict
            Channel -> state after its previous window. Not modified, so that
            a batch that ran out of memory can be run again.
        overlap : int
            Frames that neighbouring windows share.

        Returns
        -------
        wav : torch.Tensor
            ``(batch, frames * hop_length)``.
        states : dict
            Channel -> state after this window, without channels that ended.
        """
        wav, _ = self(features, recording)
        return wav, dict(states or {})

    def prepare_inference(self):
        """Speed up a model that will not be trained any more."""

    def warm_start(self, source):
        """Initialise weights from another model.

        Arguments
        ---------
        source : str
            A file or folder, in a form that the subclass supports.

        Raises
        ------
        UserError
            If the vocoder supports no warm start, or not from this source.
        """
        raise UserError(
            f"warm_start: {source!r}: a {type(self).__name__} cannot be "
            "initialised from another model; leave it out, or choose another "
            "vocoder"
        )

    def identity(self):
        """Return the size of the features it was trained on."""
        return {"width": self.width}

    def check(self, identity, path):
        """Check that the vocoder was trained on features of this width."""
        if identity.get("width", self.width) != self.width:
            raise UserError(
                f"{path}: this vocoder was trained on features of width "
                f"{identity['width']}, the backbone has {self.width}; give "
                "the ssl that it was trained with"
            )


def build_vocoder(vocoder, backbone, sample_rate, warm_start=None):
    """Build a vocoder for a backbone, if their rates fit.

    Arguments
    ---------
    vocoder : callable
        Called with ``width=``; returns a ``Vocoder``.
    backbone : miipher2.models.backbone.SSLBackbone
        Has ``width``, ``sample_rate`` and ``frame_rate`` (frames per second).
    sample_rate : int
        Hz of the audio that it is trained on.
    warm_start : str
        Passed to the vocoder's ``warm_start``. None: random weights.

    Returns
    -------
    Vocoder
        It synthesises ``sample_rate / frame_rate`` samples per frame.

    Raises
    ------
    UserError
        If the vocoder has another sample rate, ``hop_length * frame_rate`` is
        not its sample rate, or it does not accept ``warm_start``.
    """
    built = vocoder(width=backbone.width)
    if built.sample_rate != sample_rate:
        raise UserError(
            f"sample_rate: {sample_rate} Hz, but the vocoder's is "
            f"{built.sample_rate} Hz; choose it by --vocoder, for example "
            "--vocoder='!include:models/vocoder/hifigan_24k.yaml'"
        )
    rate = built.hop_length * backbone.frame_rate
    if rate != built.sample_rate:
        raise UserError(
            f"the vocoder has {built.hop_length} samples per frame, which at "
            f"the backbone's {backbone.frame_rate:g} frames per second is "
            f"{rate:g} Hz, not its sample_rate of {built.sample_rate} Hz; "
            "choose upsample_factors whose product is, or a hop_length of, "
            f"{built.sample_rate / backbone.frame_rate:g}"
        )
    if warm_start is not None:
        built.warm_start(warm_start)
    return built
