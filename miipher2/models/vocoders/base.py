"""The base class of vocoders, and a function that builds a vocoder.

Authors
 * The miipher2 authors 2026
"""

from miipher2.errors import UserError
from miipher2.models.weights import SavedModule


class Vocoder(SavedModule):
    """Base class of vocoders, which synthesise waveforms from features.

    A subclass implements ``forward``, which synthesises exactly ``hop_length``
    samples per frame, and overrides other methods and attributes if needed.

    Arguments
    ---------
    width : int
        Size of a feature vector.
    hop_length : int
        Number of samples per frame.
    sample_rate : int
        Sample rate of the output in Hz.

    Attributes
    ----------
    needs_recording : bool
        Whether the vocoder also uses the recording from which the features were
        computed.
    needs_pitch : bool
        Whether the vocoder is trained with the pitch of the clean speech.
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
            Features ``(batch, frames, width)``.
        recording : torch.Tensor
            Recording ``(batch, time)`` at ``sample_rate``, if
            ``needs_recording``. None if it is not available.
        pitch : torch.Tensor
            Pitch of the clean speech in Hz and a flag that is 1 in voiced
            frames, ``(batch, frames * subframes, 2)``, if ``needs_pitch``. None
            if it is not available.

        Returns
        -------
        wav : torch.Tensor
            Waveforms ``(batch, frames * hop_length)``. In eval mode, they are
            in [-1, 1].
        own_loss : torch.Tensor
            Additional scalar loss of the vocoder, which is added to the
            waveform losses. Zero if the vocoder has none.
        """
        name = type(self).__name__
        raise NotImplementedError(f"{name} does not implement forward")

    def synthesise(
        self, features, recording=None, segments=(), states=None, overlap=0
    ):
        """Synthesise windows of long recordings, for inference.

        A vocoder that passes a state from one window to the next overrides this
        method.

        Arguments
        ---------
        features : torch.Tensor
            Features ``(batch, frames, width)``.
        recording : torch.Tensor
            Recording ``(batch, time)``, see ``forward``.
        segments : list of tuple
            One tuple ``(channel, start, next_start)`` per window. ``channel``
            is an identifier, ``start`` is the index of the window's first frame
            in the channel, and ``next_start`` is the index for the channel's
            next window, or None for its last window. The windows of a channel
            are in order. If there are fewer tuples than windows in the batch,
            the other windows are padding.
        states : dict
            States after the previous windows, by channel. The dict is not
            modified, so a batch can be repeated after running out of memory.
        overlap : int
            Minimum number of frames that consecutive windows have in common.

        Returns
        -------
        wav : torch.Tensor
            Waveforms ``(batch, frames * hop_length)``.
        states : dict
            States after these windows, by channel. Channels whose last window
            was synthesised are removed.
        """
        wav, _ = self(features, recording)
        return wav, dict(states or {})

    def prepare_inference(self):
        """Optimise for inference, after which the model cannot be trained."""

    def warm_start(self, source):
        """Initialise weights from another model.

        Arguments
        ---------
        source : str
            File, folder or ``REPOSITORY:FILE``, depending on the subclass.

        Raises
        ------
        UserError
            If the vocoder does not support a warm start from this source.
        """
        raise UserError(
            f"warm_start: {source!r}: {type(self).__name__} does not support "
            "it; remove warm_start, or choose another vocoder"
        )

    def identity(self):
        """Return a dict with the size of a feature vector."""
        return {"width": self.width}

    def check(self, identity, path):
        """Check that weights were trained on features of this width."""
        if identity.get("width", self.width) != self.width:
            raise UserError(
                f"{path}: this vocoder was trained on features of width "
                f"{identity['width']}, but the backbone has width "
                f"{self.width}; use the --ssl of the training run"
            )


def build_vocoder(vocoder, backbone, sample_rate, warm_start=None):
    """Build a vocoder for a backbone and check its sample and frame rates.

    Arguments
    ---------
    vocoder : callable
        Called with ``width=``; returns a ``Vocoder``.
    backbone : miipher2.models.backbone.SSLBackbone
        The backbone, or another object with ``width`` and ``frame_rate``
        (frames per second).
    sample_rate : int
        Sample rate of the training audio in Hz.
    warm_start : str
        Passed to the vocoder's ``warm_start``. None for random weights.

    Returns
    -------
    Vocoder
        A vocoder with ``sample_rate / frame_rate`` samples per frame.

    Raises
    ------
    UserError
        If the sample rate of the vocoder differs from ``sample_rate`` or from
        ``hop_length * frame_rate``, or if the vocoder does not accept
        ``warm_start``.
    """
    built = vocoder(width=backbone.width)
    if built.sample_rate != sample_rate:
        raise UserError(
            f"sample_rate: {sample_rate} Hz, but the vocoder synthesises "
            f"audio at {built.sample_rate} Hz; choose another vocoder, for "
            "example --vocoder='!include:models/vocoder/hifigan_24k.yaml'"
        )
    rate = built.hop_length * backbone.frame_rate
    if rate != built.sample_rate:
        raise UserError(
            f"the vocoder synthesises {built.hop_length} samples per frame, "
            f"and the backbone has {backbone.frame_rate:g} frames per second; "
            f"this results in {rate:g} Hz, not the vocoder's sample_rate "
            f"of {built.sample_rate} Hz; set hop_length, or the product of "
            f"upsample_factors, to {built.sample_rate / backbone.frame_rate:g}"
        )
    if warm_start is not None:
        built.warm_start(warm_start)
    return built
