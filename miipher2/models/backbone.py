"""Frozen speech encoders of transformers, up to the layer asked for.

SpeechBrain's own wrappers of these models run every layer, extract features on
the CPU, and normalise a clip together with its padding; what is wanted here is
the lower part of a model, on the model's device, with clips that do not notice
each other. So the models are taken from transformers directly.

Authors
 * The miipher2 authors 2026
"""

import contextlib
import copy
import hashlib
import math
from pathlib import Path

import torch
import transformers
from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import nn
from torch.nn import functional as F
from transformers import AutoConfig, AutoFeatureExtractor

from miipher2.errors import UserError
from miipher2.models.frontends import FRONT_ENDS

# The number of layers of the model that a truncated one was cut from.
FULL_LAYERS_KEY = "miipher2_full_layers"

# Parts above the layers and parts for training only: not built.
UNUSED_PARTS = {
    "add_adapter": False,
    "use_intermediate_ffn_before_adapter": False,
    "apply_spec_augment": False,
    "mask_time_prob": 0.0,
    "mask_feature_prob": 0.0,
}


class SSLBackbone(nn.Module):
    """A speech encoder cut off above one layer, frozen, in eval mode.

    The features are the whole model's ``hidden_states[layer]`` and, if
    ``layer`` is its last, its ``last_hidden_state`` (in pre-norm models those
    have been through one more norm). The layers above are never built.

    ``n`` samples give ``ceil(n / hop_length)`` frames, and a clip gives the
    same frames alone and padded inside a batch: whatever looks at a clip as a
    whole (input normalisation, group norm, positions) is computed without its
    padding, and attention does not see it.

    Arguments
    ---------
    source : str or transformers.PretrainedConfig
        Name on the Hugging Face hub or a local folder. A config builds the
        model with random weights, the same ones every time.
    layer : int
        Layer whose output is wanted, counted from 1.

    Attributes
    ----------
    width : int
        Features per frame.
    sample_rate : int
        Of the waves, in Hz.
    hop_length : int
        Samples per frame.
    frame_rate : float
        Frames per second.
    max_seconds : float or None
        Longest clip that the model takes.
    fingerprint : str
        Tells these frozen weights from others, in fp32 and fp16 alike.

    Raises
    ------
    UserError
        When the source cannot be read, is of another family, has missing
        weights or fewer layers.

    Example
    -------
    >>> config = transformers.HubertConfig(
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
        given_config = not isinstance(source, (str, Path))
        if given_config:
            self.source = f"{type(source).__name__} (random weights)"
            config = copy.deepcopy(source)
        else:
            self.source = str(source)
            config = self._read(AutoConfig)

        self.model_type = config.model_type
        if self.model_type not in FRONT_ENDS:
            raise UserError(
                f"{self.source}: a model of type {self.model_type!r} is not"
                f" supported; expected one of {', '.join(FRONT_ENDS)}"
            )
        family = FRONT_ENDS[self.model_type]
        n_layers = getattr(config, family.layers_key)
        if not 1 <= layer <= n_layers:
            raise UserError(
                f"{self.source}: layer {layer} was asked for, the model has"
                f" layers 1 to {n_layers}; change ssl_layer"
            )
        self.layer = layer
        full_layers = getattr(config, FULL_LAYERS_KEY, n_layers)
        setattr(config, FULL_LAYERS_KEY, full_layers)
        setattr(config, family.layers_key, layer)
        for key, value in UNUSED_PARTS.items():
            if hasattr(config, key):
                setattr(config, key, value)
        final_norm = family.final_norm(config)
        norm_is_above = final_norm is not None and layer < full_layers

        if given_config:
            self.extractor = family.default_extractor(config)
            self.model = _build(family.model_class, config)
        else:
            self.extractor = self._read(AutoFeatureExtractor)
            self.model = self._load(
                family, config, final_norm if norm_is_above else None
            )
        if norm_is_above:
            _replace(self.model, final_norm, nn.Identity())
        self.front_end = family(config, self.extractor)
        self.front_end.adopt(self.model)
        self.model.requires_grad_(False)
        self.eval()

        self.width = config.hidden_size
        self.sample_rate = self.front_end.sample_rate
        self.hop_length = self.front_end.hop_length
        self.frame_rate = self.sample_rate / self.hop_length
        self.max_seconds = self.front_end.max_seconds
        self.fingerprint = _fingerprint(self.model)

    def forward(self, wavs, lengths=None):
        """Features of a batch of clips.

        Arguments
        ---------
        wavs : torch.Tensor
            Waves (batch, time) at ``sample_rate``, in [-1, 1].
        lengths : torch.Tensor, optional
            Relative lengths (batch,) in (0, 1].

        Returns
        -------
        torch.Tensor
            Features (batch, frames, width) with ``ceil(time / hop_length)``
            frames; zero beyond a clip's own ``ceil(n / hop_length)``.

        Raises
        ------
        UserError
            When a clip is longer than ``max_seconds``.
        """
        return self.encode(*self.embed(wavs, lengths))

    def embed(self, wavs, lengths=None):
        """The part below the layers, which no adapter changes.

        Arguments
        ---------
        wavs : torch.Tensor
            Waves (batch, time).
        lengths : torch.Tensor, optional
            Relative lengths (batch,) in (0, 1].

        Returns
        -------
        hidden : torch.Tensor
            Hidden states (batch, frames, width), zero in the padding.
        mask : torch.Tensor or None
            True for valid frames (batch, frames); None if all are.
        """
        batch, time = wavs.shape
        frames = math.ceil(time / self.hop_length)
        samples = [time] * batch
        if lengths is not None:
            samples = (lengths * time).round().long().clamp(1, time).tolist()
        if min(samples) == time:
            return self._stem(wavs), None

        clips = [
            self._stem(wav[None, :n])[0]
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
        """The layers, which adapters change.

        Arguments
        ---------
        hidden : torch.Tensor
            Hidden states (batch, frames, width) from ``embed``.
        mask : torch.Tensor, optional
            Valid frames (batch, frames) from ``embed``.

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
        """Names, inside this module, of the layers.

        Returns
        -------
        list of str
            One for each layer. A layer returns its hidden states or a tuple
            that begins with them.
        """
        return [
            f"model.{self.front_end.layers_name}.{i}" for i in range(self.layer)
        ]

    def feed_forward_sites(self):
        """Names, inside this module, of the layers' feed-forward blocks.

        Returns
        -------
        list of str
            One for each layer (the second block of a conformer). Each maps
            (batch, frames, width) to the same shape and is added to its
            input, a conformer's with a weight of one half.
        """
        block = self.front_end.feed_forward_name
        return [f"{site}.{block}" for site in self.layer_sites()]

    def train(self, mode=True):
        """Stays in eval mode: no dropout, no layer drop, no masking.

        Arguments
        ---------
        mode : bool
            Ignored.

        Returns
        -------
        SSLBackbone
            Itself.
        """
        return super().train(False)

    def save(self, folder):
        """Writes a folder that loads as ``source``, without adapters.

        Arguments
        ---------
        folder : str
            Is made if need be; gets ``model.safetensors``, ``config.json``
            and ``preprocessor_config.json``.
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
        """The model's tensors under transformers' names for them.

        AdaptedModel puts a wrapper around a module and holds the module as
        ``pretrained_module``; what else the wrapper holds is the adapter's.
        """
        held = "pretrained_module."
        wrappers = [
            f"{name}."
            for name, module in self.model.named_modules()
            if hasattr(module, "pretrained_module")
        ]
        return {
            self.front_end.original_name(name.replace(held, "")): (
                tensor.contiguous()
            )
            for name, tensor in self.model.state_dict().items()
            if all(
                name.startswith(wrapper + held)
                for wrapper in wrappers
                if name.startswith(wrapper)
            )
        }

    def _stem(self, wavs):
        """Clips of one length -> hidden states (batch, frames, width)."""
        # Statistics and spectra need fp32.
        with torch.autocast(wavs.device.type, enabled=False):
            inputs = self.front_end.prepare(wavs.float())
        return self.front_end.stem(self.model, inputs.to(self.model.dtype))

    def _read(self, auto_class, **kwargs):
        """``auto_class.from_pretrained(source)`` with errors for users."""
        try:
            with _quiet():
                return auto_class.from_pretrained(self.source, **kwargs)
        except (OSError, ValueError, RuntimeError, SafetensorError) as error:
            reason = (str(error).strip() or repr(error)).splitlines()[0]
            raise UserError(
                f"{self.source}: no speech encoder could be loaded; give a"
                " model's name on the Hugging Face hub or, without"
                " network, a folder with its config.json,"
                " preprocessor_config.json and model.safetensors"
                f" (transformers: {reason})"
            ) from error

    def _load(self, family, config, norm_above):
        """The model with its weights, all of them found."""
        model, report = self._read(
            family.model_class,
            config=config,
            dtype=torch.float32,
            key_mapping=family.key_mapping,
            output_loading_info=True,
        )
        missing = sorted(
            name
            for name in report["missing_keys"]
            # A folder written by ``save`` has no norm that it does not use.
            if norm_above is None or not name.startswith(f"{norm_above}.")
        )
        if missing:
            raise UserError(
                f"{self.source}: {len(missing)} weights are missing"
                f" ({', '.join(missing[:3])}, ...); is it a complete"
                f" {self.model_type} model? Download it again"
            )
        return model


def _build(model_class, config):
    """A model with random weights that are the same in every process."""
    build = getattr(model_class, "from_config", model_class)
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(0)
        return build(config).float()


def _replace(model, name, module):
    """Puts a module in the place of the one of that name."""
    parent, _, child = name.rpartition(".")
    setattr(model.get_submodule(parent), child, module)


def _fingerprint(model):
    """Short hash of parts of about eight tensors from all over the model."""
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


@contextlib.contextmanager
def _quiet():
    """Keeps transformers from listing the upper layers as unexpected."""
    logging = transformers.utils.logging
    verbosity, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        if bars:
            logging.enable_progress_bar()
