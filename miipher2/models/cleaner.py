"""The feature cleaner: a frozen backbone with adapters.

Authors
 * The miipher2 authors 2026
"""

import contextlib
import math
from pathlib import Path

import torch
from speechbrain.nnet.adapters import AdaptedModel
from speechbrain.utils.checkpoints import (
    mark_as_loader,
    mark_as_saver,
    mark_as_transfer,
    register_checkpoint_hooks,
)

from miipher2.errors import UserError
from miipher2.models.adapters import ParallelAdapter
from miipher2.models.weights import fill, load_weights, save_weights


@register_checkpoint_hooks
class FeatureCleaner(AdaptedModel):
    """A network that predicts features of clean speech from degraded speech.

    The backbone is frozen, and one adapter per layer is trained (Miipher-2,
    section 2). A checkpoint contains only the adapters and, in its metadata,
    the values that identify their backbone.

    If the backbone has absolute position embeddings (Whisper), the first frame
    of a training batch has a random position. Without this randomisation, the
    adapters and the vocoder would be trained on the early positions only,
    because training clips are short.

    Arguments
    ---------
    backbone : miipher2.models.backbone.SSLBackbone
        The frozen speech encoder, changed in place: adapters wrap its modules.
    adapter : class
        Class of the adapters, called as ``adapter(module, width=...)`` for
        every layer. Its instances have an ``enabled`` attribute, which switches
        them on and off. Like the backbone, adapters stay in eval mode.
    placement : str
        Modules that the adapters wrap: ``feed_forward``, the feed-forward block
        of every layer of the backbone, as in the paper; or ``layer``, every
        layer.

    Example
    -------
    >>> from transformers import HubertConfig
    >>> from miipher2.models.backbone import SSLBackbone
    >>> config = HubertConfig(
    ...     hidden_size=32, num_attention_heads=2, intermediate_size=64,
    ...     conv_dim=[16] * 7, num_conv_pos_embeddings=8,
    ...     num_conv_pos_embedding_groups=2,
    ... )
    >>> cleaner = FeatureCleaner(SSLBackbone(config, layer=2))
    >>> cleaner(torch.rand(2, 16000)).shape
    torch.Size([2, 50, 32])
    """

    def __init__(
        self, backbone, adapter=ParallelAdapter, placement="feed_forward"
    ):
        if placement == "feed_forward":
            sites = backbone.feed_forward_sites()
        elif placement == "layer":
            sites = backbone.layer_sites()
        else:
            raise UserError(
                f"placement: {placement!r} is not supported; expected "
                "'feed_forward' or 'layer'"
            )
        super().__init__(
            backbone,
            adapter_class=adapter,
            target_layers=sites,
            adapter_kwargs={"width": backbone.width},
        )
        self.adapters = [
            self.get_submodule(f"adapted_model.{s}") for s in sites
        ]
        if not hasattr(self.adapters[0], "enabled"):
            raise UserError(
                f"adapter: {type(self.adapters[0]).__name__} has no 'enabled' "
                "attribute, which is needed to compute the target without "
                "adapters"
            )
        self.placement = placement
        self.trained = [
            name for name, p in self.named_parameters() if p.requires_grad
        ]

    def forward(self, noisy, lengths=None, clean=None):
        """Predict clean features and, given clean speech, compute the target.

        Arguments
        ---------
        noisy : torch.Tensor
            Degraded speech ``(batch, time)`` at the backbone's sample rate.
        lengths : torch.Tensor
            Relative lengths ``(batch,)``. None if there is no padding.
        clean : torch.Tensor
            Clean speech ``(batch, time)``, from which the target is computed.
            None to return only the prediction.

        Returns
        -------
        torch.Tensor or tuple
            Predicted features ``(batch, frames, width)``. If ``clean`` is
            given, a tuple of predicted and target features; the target has no
            gradient.
        """
        if clean is None:
            return self.adapted_model(noisy, lengths, self._start(noisy))
        if lengths is not None:
            lengths = torch.cat([lengths, lengths])
        with torch.no_grad():
            hidden, mask = self.adapted_model.embed(
                torch.cat([noisy, clean]), lengths, self._start(noisy)
            )
        half = len(noisy)
        masks = (None, None) if mask is None else (mask[:half], mask[half:])
        with torch.no_grad(), self.adapters_off():
            target = self.adapted_model.encode(hidden[half:], masks[1])
        return self.adapted_model.encode(hidden[:half], masks[0]), target

    @torch.no_grad()
    def target(self, wavs, lengths=None):
        """Return the features of the backbone without adapters.

        Arguments
        ---------
        wavs : torch.Tensor
            Speech ``(batch, time)``.
        lengths : torch.Tensor
            Relative lengths ``(batch,)``. None if there is no padding.

        Returns
        -------
        torch.Tensor
            Features ``(batch, frames, width)``.
        """
        with self.adapters_off():
            return self.adapted_model(wavs, lengths, self._start(wavs))

    def _start(self, wavs):
        """Return the position of the first frame, which is random in training.

        It is 0 in eval mode, or if the backbone has no absolute position
        embeddings.
        """
        backbone = self.adapted_model
        if not self.training or backbone.max_frames is None:
            return 0
        frames = math.ceil(wavs.shape[1] / backbone.hop_length)
        # For clips that are too long, the backbone raises an error.
        latest = max(0, backbone.max_frames - frames)
        return int(torch.randint(latest + 1, ()))

    @contextlib.contextmanager
    def adapters_off(self):
        """Switch the adapters off inside a ``with`` block."""
        for adapter in self.adapters:
            adapter.enabled = False
        try:
            yield
        finally:
            for adapter in self.adapters:
                adapter.enabled = True

    def prepare_inference(self):
        """Optimise the model for inference.

        Afterwards, it can no longer be trained or saved.
        """
        self.adapted_model.prepare_inference()

    def identity(self):
        """Return the values that identify the backbone and the placement.

        The source is None if it is a local folder.
        """
        backbone = self.adapted_model
        is_folder = Path(backbone.source).exists()
        return {
            "source": None if is_folder else backbone.source,
            "model_type": backbone.model_type,
            "layer": backbone.layer,
            "width": backbone.width,
            "fingerprint": backbone.fingerprint,
            "placement": self.placement,
        }

    @mark_as_saver
    def saver(self, path):
        """Save the adapters only.

        Arguments
        ---------
        path : str or Path
            The file to write.
        """
        tensors = self.state_dict()
        trained = {name: tensors[name] for name in self.trained}
        save_weights(path, trained, self.identity())

    @mark_as_loader
    def loader(self, path, end_of_epoch=True):
        """Load adapters that were trained with this backbone.

        Arguments
        ---------
        path : str or Path
            A file written by ``saver``.
        end_of_epoch : bool
            Not used; passed by SpeechBrain.

        Raises
        ------
        UserError
            If the file cannot be read, or the adapters were trained with
            another backbone, layer, placement or adapter size.
        """
        tensors, saved = load_weights(path)
        own = self.identity()
        source = saved.get("source") or "a local folder"
        for key in ("model_type", "layer", "width", "placement", "fingerprint"):
            if saved.get(key) != own[key]:
                raise UserError(
                    f"{path}: these adapters were trained with {key} "
                    f"{saved.get(key)} (source: {source}), but this cleaner "
                    f"has {key} {own[key]} (source: "
                    f"{self.adapted_model.source}); use the ssl_source, "
                    "ssl_layer and adapter_placement of the training run"
                )
        fill(self, tensors, path, self.trained)

    @mark_as_transfer
    def parameter_transfer(self, path):
        """Load adapters for inference or for stage 2.

        Arguments
        ---------
        path : str or Path
            A file written by ``saver``.
        """
        self.loader(path)
