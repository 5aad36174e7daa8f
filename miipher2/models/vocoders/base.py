"""The base class of vocoders, and the function that builds one.

Authors
 * The miipher2 authors 2026
"""

from miipher2.errors import UserError
from miipher2.models.weights import SavedModule


class Vocoder(SavedModule):
    """Base class: features ``(batch, frames, width)`` -> ``(batch, time)``.

    A subclass implements ``forward``, which synthesises exactly ``hop_length``
    samples per frame. It overrides other methods and attributes if needed.

    Arguments
    ---------
    width : int
        Size of a feature vector.
    hop_length : int
        Samples per frame.
    sample_rate : int
        Sample rate of the output in Hz.

    Attributes
    ----------
    needs_recording : bool
        Whether the vocoder also uses the recording of the features.
    needs_pitch : bool
        Whether the vocoder is trained with the pitch of the target.
    subframes : int
        Number of pitch values per frame.

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
            ``(batch, time)`` at ``sample_rate``, if ``needs_recording``. None
            if it is not available.
        pitch : torch.Tensor
            ``(batch, frames * subframes, 2)``, pitch of the target in Hz and
            degree of voicing in [0, 1], if ``needs_pitch``. None if it is not
            available.

        Returns
        -------
        wav : torch.Tensor
            ``(batch, frames * hop_length)``, in eval mode in [-1, 1].
        own_loss : torch.Tensor
            Scalar to add to the loss of the waveform; zero if there is none.
        """
        raise NotImplementedError(f"{type(self).__name__} has no forward")

    def synthesise(
        self, features, recording=None, segments=(), states=None, overlap=0
    ):
        """Synthesise windows of long recordings, for inference.

        A vocoder with a state between windows overrides this method.

        Arguments
        ---------
        features : torch.Tensor
            ``(batch, frames, width)``.
        recording : torch.Tensor
            See ``forward``.
        segments : list of tuple
            ``(channel, start, next_start)`` of the first rows: an object that
            identifies a channel, and the first frames of this window and of
            the next one, which is None for the last. Windows of a channel are
            in order.
        states : dict
            State after the previous window, by channel. It is not modified, so
            that a batch can be repeated if memory is insufficient.
        overlap : int
            Number of frames shared by neighbouring windows.

        Returns
        -------
        wav : torch.Tensor
            ``(batch, frames * hop_length)``.
        states : dict
            State after this window, by channel, without channels that ended.
        """
        wav, _ = self(features, recording)
        return wav, dict(states or {})

    def prepare_inference(self):
        """Optimise the model for inference; it can no longer be trained."""

    def warm_start(self, source):
        """Initialise weights from another model.

        Arguments
        ---------
        source : str
            A file or folder; the format depends on the subclass.

        Raises
        ------
        UserError
            If the vocoder does not support a warm start from this source.
        """
        raise UserError(
            f"warm_start: {source!r}: a {type(self).__name__} cannot be "
            "initialised from another model; leave it out, or choose another "
            "vocoder"
        )

    def identity(self):
        """Return the size of the features of the vocoder."""
        return {"width": self.width}

    def check(self, identity, path):
        """Check that weights were trained on features of this width."""
        if identity.get("width", self.width) != self.width:
            raise UserError(
                f"{path}: this vocoder was trained on features of width "
                f"{identity['width']}, the backbone has {self.width}; give "
                "the ssl that it was trained with"
            )


def build_vocoder(vocoder, backbone, sample_rate, warm_start=None):
    """Build a vocoder for a backbone and check its rates.

    Arguments
    ---------
    vocoder : callable
        Called with ``width=``; returns a ``Vocoder``.
    backbone : miipher2.models.backbone.SSLBackbone
        The backbone, or an object with ``width``, ``sample_rate`` and
        ``frame_rate`` (frames per second).
    sample_rate : int
        Sample rate of the training audio in Hz.
    warm_start : str
        Passed to the vocoder's ``warm_start``. None for random weights.

    Returns
    -------
    Vocoder
        A vocoder of ``sample_rate / frame_rate`` samples per frame.

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
