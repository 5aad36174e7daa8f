"""Stage 0: pretraining of a backbone by masked prediction.

Spans of frames are masked, and the model predicts a target for every frame:
either a spectrum or codes from random projections (BEST-RQ, arXiv 2202.01855).
As in stage 1, the input is degraded speech, and the targets are computed from
clean speech.

Authors
 * The miipher2 authors 2026
"""

from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.nn.functional import linear
from torch.nn.utils.rnn import pad_sequence
from transformers import HubertModel

from miipher2.errors import UserError
from miipher2.models.frontends import RawWave
from miipher2.models.pretraining_init import (
    init_as_filterbank,
    init_as_identity,
)
from miipher2.models.pretraining_targets import SpectralTargets
from miipher2.models.weights import (
    SavedModule,
    fill,
    load_weights,
    save_weights,
)

HEAD = "head.safetensors"


class MaskedPrediction(SavedModule):
    """A HuBERT model with a head that predicts the targets of all frames.

    In the config, ``mask_time_length`` is the number of frames in a masked
    span, and ``mask_time_prob`` is the total length of all spans, including
    overlaps, divided by the length of the clip.

    Arguments
    ---------
    config : transformers.HubertConfig
        Config of the backbone. ``feat_extract_norm`` must be ``"layer"``,
        because the statistics of a group norm would include the padding.
    targets : RandomTargets or SpectralTargets
        Module that computes the targets from clean speech.
    filterbank : bool
        Whether to initialise the first convolution with ``init_as_filterbank``.

    Raises
    ------
    UserError
        If the config has a group norm, or a hop length that differs from the
        hop length of the targets.

    Example
    -------
    >>> from transformers import HubertConfig
    >>> from miipher2.models.pretraining_targets import RandomTargets
    >>> config = HubertConfig(
    ...     hidden_size=32, num_hidden_layers=2, num_attention_heads=2,
    ...     intermediate_size=64, conv_dim=[16] * 7, feat_extract_norm="layer",
    ...     num_conv_pos_embeddings=8, num_conv_pos_embedding_groups=2,
    ... )
    >>> targets = RandomTargets(codebooks=2, codes=8)
    >>> pretraining = MaskedPrediction(config, targets)
    >>> wavs, lengths = torch.randn(2, 16000), torch.tensor([1.0, 0.5])
    >>> masks = torch.arange(50).expand(2, 50) < 20
    >>> outputs, codes = pretraining(wavs, wavs, lengths, masks)
    >>> outputs.shape, codes.shape
    (torch.Size([2, 50, 16]), torch.Size([2, 50, 2]))
    """

    def __init__(self, config, targets, filterbank=False):
        super().__init__()
        self.extractor = RawWave.default_extractor(config)
        self.front_end = RawWave(config, self.extractor)
        if config.feat_extract_norm != "layer":
            raise UserError(
                f"feat_extract_norm: {config.feat_extract_norm!r} is not "
                "supported for pretraining; choose 'layer'"
            )
        if self.front_end.hop_length != targets.hop_length:
            raise UserError(
                f"conv_stride: {list(config.conv_stride)} gives frames of "
                f"{self.front_end.hop_length} samples, but the targets have "
                f"frames of {targets.hop_length} samples; choose strides whose "
                f"product is {targets.hop_length}"
            )
        self.config = config
        self.model = HubertModel(config)
        if filterbank:
            first = self.model.feature_extractor.conv_layers[0].conv
            init_as_filterbank(first, self.front_end.sample_rate)
        if config.do_stable_layer_norm:
            init_as_identity(self.model.encoder)
        self.targets = targets
        self.head = nn.Linear(config.hidden_size, targets.outputs)

    def forward(self, noisy, clean, lengths, masks):
        """Predict targets from degraded speech; compute them from clean speech.

        Arguments
        ---------
        noisy : torch.Tensor
            Degraded speech ``(batch, time)`` at 16 kHz.
        clean : torch.Tensor
            Clean speech ``(batch, time)``.
        lengths : torch.Tensor
            Relative lengths ``(batch,)``.
        masks : torch.Tensor
            True for masked frames ``(batch, frames)``, False in the padding. If
            None, the transformer layers are skipped, and the head predicts the
            targets from the output of the feature projection. In this mode, a
            training step takes about a fifth of the time.

        Returns
        -------
        outputs : torch.Tensor
            Predictions ``(batch, frames, targets.outputs)``.
        targets : torch.Tensor
            Targets ``(batch, frames, ...)``, zero in the padding.
        """
        if masks is None:
            hidden = self._convolve(noisy, lengths)
            features = self.model.encoder.layer_norm(hidden)
        else:
            features = self.features(noisy, lengths, masks)
        targets = pad_sequence(
            [self.targets(clip) for clip in self._clips(clean, lengths)],
            batch_first=True,
        )
        return self.head(features), targets

    def freeze_front_end(self, frozen):
        """Freeze or unfreeze the convolutions and the feature projection.

        Arguments
        ---------
        frozen : bool
            True to freeze, False to unfreeze.
        """
        self.model.feature_extractor.requires_grad_(not frozen)
        self.model.feature_projection.requires_grad_(not frozen)

    def features(self, wavs, lengths, masks):
        """Return the model's last hidden states.

        Arguments
        ---------
        wavs : torch.Tensor
            Waveforms ``(batch, time)``.
        lengths : torch.Tensor
            Relative lengths ``(batch,)``.
        masks : torch.Tensor
            True for masked frames ``(batch, frames)``.

        Returns
        -------
        torch.Tensor
            ``(batch, frames, width)``.
        """
        hidden = self._convolve(wavs, lengths)
        # Mask before the positional convolution, which mixes adjacent frames.
        mask_vector = self.model.masked_spec_embed.to(hidden.dtype)
        hidden = torch.where(masks[..., None], mask_vector, hidden)
        clips = self._clips(wavs, lengths)
        frames = torch.tensor([self.frames(len(clip)) for clip in clips])
        valid = torch.arange(hidden.shape[1]) < frames[:, None]
        return self.model.encoder(
            hidden, attention_mask=valid.to(hidden.device)
        ).last_hidden_state

    def frames(self, samples):
        """Return the number of frames of a clip of ``samples`` samples."""
        return -(-samples // self.front_end.hop_length)

    def start_from(self, folder):
        """Load the backbone and the head of an earlier run.

        Arguments
        ---------
        folder : str or Path
            A folder written by ``export`` or by ``SSLBackbone.save``. The head
            is optional; a head for other targets is ignored.

        Raises
        ------
        UserError
            If there is no backbone, or the weights do not fit the model.
        """
        try:
            tensors = HubertModel.from_pretrained(folder).state_dict()
        except OSError as error:
            reason = str(error).strip().splitlines()[0]
            raise UserError(
                f"--start_folder={folder}: no backbone of an earlier stage 0 "
                f"run ({reason}); give the 'model' folder of a finished run"
            ) from None
        # A backbone saved by SSLBackbone has no mask vector.
        tensors.setdefault(
            "masked_spec_embed", self.model.masked_spec_embed.detach()
        )
        fill(self.model, tensors, folder)
        path = Path(folder, HEAD)
        if path.exists():
            head, identity = load_weights(path)
            if identity == self.identity():
                fill(self.head, head, path)

    def identity(self):
        """Return a dict with the class name of the head's targets."""
        return {"targets": type(self.targets).__name__}

    def export(self, folder):
        """Write the backbone to a folder that ``SSLBackbone`` can load.

        Arguments
        ---------
        folder : str or Path
            Folder for ``config.json``, ``model.safetensors``,
            ``preprocessor_config.json`` and the head.
        """
        self.model.save_pretrained(folder)
        self.extractor.save_pretrained(folder)
        head = self.head.state_dict()
        save_weights(Path(folder, HEAD), head, self.identity())

    def _convolve(self, wavs, lengths):
        """Return the input of the encoder ``(batch, frames, width)``."""
        clips = self._clips(wavs, lengths)
        inputs = pad_sequence(
            [self.front_end.prepare(clip[None].float())[0] for clip in clips],
            batch_first=True,
        )
        first, *others = self.model.feature_extractor.conv_layers
        # In bf16, the rounding errors of strong frequency bands would exceed
        # the energy of weak bands, and computing the gradient of long filters
        # would take several times longer on a CPU.
        with torch.autocast(wavs.device.type, enabled=False):
            hidden = first(inputs[:, None])
        for layer in others:
            hidden = layer(hidden)
        return self.model.feature_projection(hidden.mT)

    @staticmethod
    def _clips(wavs, lengths):
        """Return a list of the clips in a batch, without padding."""
        time = wavs.shape[1]
        samples = (lengths * time).round().long().clamp(1, time).tolist()
        return [wav[:n] for wav, n in zip(wavs, samples, strict=True)]


def read_spectra(folder):
    """Load the head of stage 0 as a function from features to spectra.

    Arguments
    ---------
    folder : str or Path
        A folder written by ``MaskedPrediction.export``.

    Returns
    -------
    callable
        Maps features of the last layer ``(..., width)`` and frequencies in Hz
        ``(bins,)`` to log gains, as returned by ``SpectralTargets.gains``.

    Raises
    ------
    UserError
        If there is no head, or the head does not predict ``SpectralTargets``.
    """
    path = Path(folder, HEAD)
    if not path.exists():
        raise UserError(
            f"{folder}: {HEAD} not found; give the 'model' folder of a "
            "finished stage 0 run (miipher2 train ssl ...)"
        )
    tensors, identity = load_weights(path)
    if identity != {"targets": SpectralTargets.__name__}:
        raise UserError(
            f"{path}: the head predicts {identity.get('targets')}, but a "
            "vocoder can be initialised only from a head that predicts "
            "SpectralTargets"
        )
    targets = SpectralTargets()
    weight, bias = (tensors[name].float() for name in ("weight", "bias"))

    def spectra(features, hz):
        outputs = linear(features, weight, bias)
        return targets.gains(outputs, hz)

    return spectra


def draw_mask(frames, fraction, span, rng):
    """Draw a random mask for one clip. Its spans can overlap.

    The masking functions of SpeechBrain and transformers use global random
    generators, so a resumed run would draw different masks.

    Arguments
    ---------
    frames : int
        Number of frames in the clip.
    fraction : float
        Total length of the spans, including overlaps, divided by the length of
        the clip.
    span : int
        Number of frames in a span.
    rng : numpy.random.Generator
        Random number generator.

    Returns
    -------
    torch.Tensor
        True for masked frames ``(frames,)``. At least one span is masked. If
        the clip is shorter than a span, all of its frames are masked.

    Example
    -------
    >>> mask = draw_mask(50, 0.6, 10, np.random.default_rng(0))
    >>> mask.shape, 10 <= mask.sum() <= 40
    (torch.Size([50]), tensor(True))
    """
    span = min(span, frames)
    positions = frames - span + 1
    count = max(1, int(fraction * frames / span + rng.random()))
    starts = rng.choice(positions, min(count, positions), replace=False)
    mask = torch.zeros(frames, dtype=torch.bool)
    mask[(starts[:, None] + np.arange(span)).ravel()] = True
    return mask
