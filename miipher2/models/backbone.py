"""Frozen speech encoders from transformers, truncated after a given layer.

SpeechBrain's wrappers for these models are not used here, because they run
every layer and, depending on the model, extract features on the CPU or
normalise a clip together with its padding.

Authors
 * The miipher2 authors 2026
"""

import copy
import hashlib
import math
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import nn
from torch.nn import functional as F
from transformers import AutoConfig, AutoFeatureExtractor

from miipher2.errors import UserError
from miipher2.models.encoder_loading import (
    build_encoder,
    from_pretrained,
    load_encoder,
)
from miipher2.models.frontends import FRONT_ENDS

# Config key for the number of layers of the complete model
FULL_LAYERS_KEY = "miipher2_full_layers"

# Config values that disable the adapter above the last layer and the masking of
# inputs in training
UNUSED_PARTS = {
    "add_adapter": False,
    "use_intermediate_ffn_before_adapter": False,
    "apply_spec_augment": False,
    "mask_time_prob": 0.0,
    "mask_feature_prob": 0.0,
}


class SSLBackbone(nn.Module):
    """A frozen speech encoder in eval mode, truncated after a given layer.

    The features are ``hidden_states[layer]`` of the complete model. If
    ``layer`` is the last layer, they are ``last_hidden_state``, which includes
    the final norm of pre-norm models. Layers above ``layer`` are not built.

    A clip of ``n`` samples has ``ceil(n / hop_length)`` frames. The features of
    a clip do not depend on its padding in a batch: input normalisation, group
    norm and positional embeddings are computed without padding, and attention
    masks the padding.

    Arguments
    ---------
    source : str or transformers.PretrainedConfig
        Name of a model on the Hugging Face hub, or path of a local folder. If a
        config is given, the model is built with random weights from a fixed
        seed.
    layer : int
        Number of the layer whose output is returned, counted from 1.

    Attributes
    ----------
    width : int
        Number of features per frame.
    sample_rate : int
        Sample rate of the waveforms in Hz.
    hop_length : int
        Number of samples per frame.
    frame_rate : float
        Number of frames per second.
    max_seconds : float or None
        Length of the longest clip that the model accepts, in seconds. None if
        there is no limit.
    max_frames : int or None
        Number of absolute position embeddings. None if the model has none.
    fingerprint : str
        Hash of a sample of the frozen weights. It is the same for weights
        stored in fp32 and in fp16.

    Raises
    ------
    UserError
        If the source cannot be read, belongs to an unsupported model family, or
        lacks weights or layers.

    Example
    -------
    >>> from transformers import HubertConfig
    >>> config = HubertConfig(
    ...     hidden_size=32,
    ...     num_hidden_layers=4,
    ...     num_attention_heads=2,
    ...     intermediate_size=64,
    ...     conv_dim=[16] * 7,
    ...     num_conv_pos_embeddings=16,
    ... )
    >>> backbone = SSLBackbone(config, layer=2)
    >>> backbone.width, backbone.hop_length, backbone.frame_rate
    (32, 320, 50.0)
    >>> wavs = torch.randn(2, 16001)
    >>> backbone(wavs, torch.tensor([1.0, 0.5])).shape
    torch.Size([2, 51, 32])
    """

    def __init__(self, source, layer):
        super().__init__()
        self.layer = layer
        from_config = not isinstance(source, (str, Path))
        if from_config:
            self.source = f"{type(source).__name__} (random weights)"
            config = copy.deepcopy(source)
        else:
            self.source = str(source)
            config = from_pretrained(AutoConfig, self.source)
        self.model_type = config.model_type
        family = self._family()
        unused_norm = self._truncate(config, family)
        if from_config:
            extractor = family.default_extractor(config)
            self.model = build_encoder(family, config)
        else:
            extractor = from_pretrained(AutoFeatureExtractor, self.source)
            self.model = load_encoder(family, self.source, config, unused_norm)
        if unused_norm is not None:
            parent, _, child = unused_norm.rpartition(".")
            setattr(self.model.get_submodule(parent), child, nn.Identity())
        self.extractor = extractor
        self.front_end = family(config, extractor)
        self.front_end.patch(self.model)
        self.model.requires_grad_(False)
        self.eval()

        self.width = config.hidden_size
        self.sample_rate = self.front_end.sample_rate
        self.hop_length = self.front_end.hop_length
        self.frame_rate = self.sample_rate / self.hop_length
        self.max_seconds = self.front_end.max_seconds
        self.max_frames = self.front_end.max_frames
        self.fingerprint = _fingerprint(self.model)

    def _family(self):
        """Return the front-end class of the model's family."""
        if self.model_type not in FRONT_ENDS:
            raise UserError(
                f"{self.source}: a model of type {self.model_type!r} is not"
                f" supported; expected one of {', '.join(FRONT_ENDS)}"
            )
        return FRONT_ENDS[self.model_type]

    def _truncate(self, config, family):
        """Remove the layers above ``self.layer`` from a config.

        Returns
        -------
        str or None
            Name of the final norm if the truncated model does not use it,
            otherwise None.
        """
        layers = getattr(config, family.layers_key)
        if not 1 <= self.layer <= layers:
            raise UserError(
                f"{self.source}: layer {self.layer} does not exist, because"
                f" the model has layers 1 to {layers}; change ssl_layer"
            )
        full_layers = getattr(config, FULL_LAYERS_KEY, layers)
        setattr(config, FULL_LAYERS_KEY, full_layers)
        setattr(config, family.layers_key, self.layer)
        for key, value in UNUSED_PARTS.items():
            if hasattr(config, key):
                setattr(config, key, value)
        return family.final_norm(config) if self.layer < full_layers else None

    def forward(self, wavs, lengths=None, start=0):
        """Return the features of a batch of clips.

        Arguments
        ---------
        wavs : torch.Tensor
            Waveforms (batch, time) at ``sample_rate``, in [-1, 1].
        lengths : torch.Tensor, optional
            Lengths relative to ``time``, (batch,), in (0, 1]. None if there
            is no padding.
        start : int
            Position of the first frame, see ``embed``.

        Returns
        -------
        torch.Tensor
            Features (batch, frames, width) with ``ceil(time / hop_length)``
            frames. The frames in the padding of a clip are zero.

        Raises
        ------
        UserError
            If a clip is longer than ``max_seconds``.
        """
        return self.encode(*self.embed(wavs, lengths, start))

    def embed(self, wavs, lengths=None, start=0):
        """Compute the input of the first layer.

        Passes with and without adapters can share the result, because only the
        layers have adapters.

        Arguments
        ---------
        wavs : torch.Tensor
            Waveforms (batch, time) at ``sample_rate``.
        lengths : torch.Tensor, optional
            Lengths relative to ``time``, (batch,), in (0, 1]. None if there
            is no padding.
        start : int
            Position of the first frame. Only models with absolute position
            embeddings (Whisper) use it.

        Returns
        -------
        hidden : torch.Tensor
            Hidden states (batch, frames, width), zero in the padding.
        mask : torch.Tensor or None
            True for valid frames (batch, frames). None if all frames are valid.
        """
        batch, time = wavs.shape
        frames = math.ceil(time / self.hop_length)
        samples = [time] * batch
        if lengths is not None:
            samples = (lengths * time).round().long().clamp(1, time).tolist()
        if min(samples) == time:
            return self._stem(wavs, start), None

        clips = [
            self._stem(wav[None, :n], start)[0]
            for wav, n in zip(wavs, samples, strict=True)
        ]
        hidden = torch.stack(
            [F.pad(clip, (0, 0, 0, frames - len(clip))) for clip in clips]
        )
        valid = [len(clip) for clip in clips]
        if min(valid) == frames:
            return hidden, None
        valid = torch.tensor(valid, device=wavs.device)
        mask = torch.arange(frames, device=wavs.device) < valid[:, None]
        return hidden, mask

    def encode(self, hidden, mask=None):
        """Run the layers, including their adapters.

        Arguments
        ---------
        hidden : torch.Tensor
            Hidden states (batch, frames, width) from ``embed``.
        mask : torch.Tensor, optional
            Mask of the valid frames (batch, frames) from ``embed``.

        Returns
        -------
        torch.Tensor
            Features (batch, frames, width), zero in the padding.
        """
        features = self.front_end.encode(self.model, hidden, mask)
        if mask is not None:
            features = features.masked_fill(~mask[..., None], 0.0)
        return features

    def layer_sites(self):
        """Return the submodule names of the layers.

        Returns
        -------
        list of str
            One name per layer. A layer returns its hidden states, or a tuple
            whose first item is its hidden states.
        """
        return [
            f"model.{self.front_end.layers_name}.{i}" for i in range(self.layer)
        ]

    def feed_forward_sites(self):
        """Return the submodule names of the feed-forward blocks.

        Returns
        -------
        list of str
            One name per layer. A conformer layer has two blocks; the name of
            the second is returned. A block maps (batch, frames, width) to the
            same shape. The layer adds the output of the block to the residual
            stream; a conformer layer first multiplies the output by 0.5.
        """
        block = self.front_end.feed_forward_name
        return [f"{site}.{block}" for site in self.layer_sites()]

    def train(self, mode=True):
        """Stay in eval mode: no dropout, no layer drop, no masking.

        Arguments
        ---------
        mode : bool
            Ignored.

        Returns
        -------
        SSLBackbone
            This module.
        """
        return super().train(False)

    def prepare_inference(self):
        """Optimise the model for inference.

        Afterwards, it can no longer be trained or saved.
        """
        self.front_end.prepare_inference(self.model)

    def save(self, folder):
        """Save the model, without adapters, as a folder for ``source``.

        Arguments
        ---------
        folder : str
            Folder for ``model.safetensors``, ``config.json`` and
            ``preprocessor_config.json``. It is created if it does not exist.
        """
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        self.model.config.save_pretrained(folder)
        self.extractor.save_pretrained(folder)
        save_file(
            self._frozen_tensors(),
            folder / "model.safetensors",
            metadata={"format": "pt"},
        )

    def _frozen_tensors(self):
        """Return the model's tensors under their names in transformers.

        Adapters and ``PositionsInStem`` store the module that they wrap as
        ``pretrained_module``. The adapters' own tensors are omitted.
        """
        wrapped = "pretrained_module."
        wrappers = [
            f"{name}."
            for name, module in self.model.named_modules()
            if hasattr(module, "pretrained_module")
        ]
        return {
            self.front_end.original_name(name.replace(wrapped, "")): (
                tensor.contiguous()
            )
            for name, tensor in self.model.state_dict().items()
            if all(
                name.startswith(wrapper + wrapped)
                for wrapper in wrappers
                if name.startswith(wrapper)
            )
        }

    def _stem(self, wavs, start):
        """Return the input of the first layer for clips of equal length."""
        # Normalisation and spectra require fp32.
        with torch.autocast(wavs.device.type, enabled=False):
            inputs = self.front_end.prepare(wavs.float())
        inputs = inputs.to(self.model.dtype)
        return self.front_end.stem(self.model, inputs, start)


def _fingerprint(model):
    """Return a short hash of the first values of up to 15 tensors."""
    tensors = [
        (name, tensor)
        for name, tensor in sorted(model.state_dict().items())
        if tensor.is_floating_point()
    ]
    digest = hashlib.sha256()
    for name, tensor in tensors[:: max(1, len(tensors) // 8)]:
        values = tensor.detach().flatten()[:4096].cpu().half()
        digest.update(name.encode())
        digest.update(values.numpy().tobytes())
    return digest.hexdigest()[:12]
