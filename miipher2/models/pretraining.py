"""Stage 0: pretraining a backbone of one's own by masked prediction.

Spans of frames are hidden from the model; it has to say what was there: codes
that random projections give to the frames (BEST-RQ, arXiv 2202.01855), or
their spectra. It hears degraded speech and predicts the clean one, so that its
features already lean towards what the adapters of stage 1 are to predict.

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
from miipher2.models.pretraining_starts import (
    start_as_filterbank,
    start_as_identity,
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
    """A HuBERT with a head that predicts frames, also those hidden from it.

    How much is hidden, and in how long spans, the model's own config says:
    ``mask_time_prob`` and ``mask_time_length``.

    Arguments
    ---------
    config : transformers.HubertConfig
        The backbone to build. It must have ``feat_extract_norm="layer"``: a
        group norm would look at a clip together with its padding.
    targets : RandomTargets or SpectralTargets
        What is to be predicted.
    filterbank : bool
        Whether the first convolution starts as a bank of filters, see
        ``start_as_filterbank``.

    Raises
    ------
    UserError
        If the config has a group norm or another frame rate than 50 Hz.

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
    >>> outputs, truth = pretraining(wavs, wavs, lengths, masks)
    >>> outputs.shape, truth.shape
    (torch.Size([2, 50, 16]), torch.Size([2, 50, 2]))
    """

    def __init__(self, config, targets, filterbank=False):
        super().__init__()
        self.extractor = RawWave.default_extractor(config)
        self.front_end = RawWave(config, self.extractor)
        if config.feat_extract_norm != "layer":
            raise UserError(
                f"feat_extract_norm: {config.feat_extract_norm!r} cannot be "
                "pretrained here; take 'layer'"
            )
        if self.front_end.hop_length != targets.hop_length:
            raise UserError(
                f"conv_stride: {list(config.conv_stride)} makes frames of "
                f"{self.front_end.hop_length} samples, the targets have "
                f"{targets.hop_length}; choose strides with that product"
            )
        self.config = config
        self.model = HubertModel(config)
        if filterbank:
            first = self.model.feature_extractor.conv_layers[0].conv
            start_as_filterbank(first, self.front_end.sample_rate)
        if config.do_stable_layer_norm:
            start_as_identity(self.model.encoder)
        self.targets = targets
        self.head = nn.Linear(config.hidden_size, targets.outputs)

    def forward(self, noisy, clean, lengths, masks):
        """Predicts the frames of the clean speech.

        Arguments
        ---------
        noisy : torch.Tensor
            Degraded speech ``(batch, time)`` at 16 kHz.
        clean : torch.Tensor
            Clean speech ``(batch, time)``.
        lengths : torch.Tensor
            Relative lengths ``(batch,)``.
        masks : torch.Tensor
            True for what is hidden ``(batch, frames)``, False in the padding.
            None: the convolutions predict alone, without the layers, and
            learn to let everything pass in a fifth of the time that it takes
            them below the layers.

        Returns
        -------
        outputs : torch.Tensor
            ``(batch, frames, targets.outputs)``.
        truth : torch.Tensor
            The targets ``(batch, frames, ...)``, zero beyond a clip's end.
        """
        if masks is None:
            hidden = self._convolve(noisy, lengths)
            features = self.model.encoder.layer_norm(hidden)
        else:
            features = self.features(noisy, lengths, masks)
        return self.head(features), self._truth(clean, lengths)

    def freeze_front_end(self, frozen):
        """Lets the convolutions and the projection above them learn, or not.

        Arguments
        ---------
        frozen : bool
            Whether they stay as they are.
        """
        self.model.feature_extractor.requires_grad_(not frozen)
        self.model.feature_projection.requires_grad_(not frozen)

    def features(self, wavs, lengths, masks):
        """The model's last hidden states; it sees neither masks nor padding.

        Arguments
        ---------
        wavs : torch.Tensor
            ``(batch, time)``.
        lengths : torch.Tensor
            Relative lengths ``(batch,)``.
        masks : torch.Tensor
            As in ``forward``.

        Returns
        -------
        torch.Tensor
            ``(batch, frames, width)``.
        """
        hidden = self._convolve(wavs, lengths)
        # before the positional convolution, which would let neighbours tell
        mask_vector = self.model.masked_spec_embed.to(hidden.dtype)
        hidden = torch.where(masks[..., None], mask_vector, hidden)
        clips = self._clips(wavs, lengths)
        frames = torch.tensor([self.frames(len(clip)) for clip in clips])
        valid = torch.arange(hidden.shape[1]) < frames[:, None]
        return self.model.encoder(
            hidden, attention_mask=valid.to(hidden.device)
        ).last_hidden_state

    def frames(self, samples):
        """Frames that a clip of so many samples gives."""
        return -(-samples // self.front_end.hop_length)

    def start_from(self, folder):
        """Takes the backbone of an earlier run, and its head.

        Arguments
        ---------
        folder : str or Path
            What ``export`` wrote. Without a head there, or with one of other
            targets, the head starts anew.
        """
        try:
            found = HubertModel.from_pretrained(folder).state_dict()
        except OSError as error:
            reason = str(error).strip().splitlines()[0]
            raise UserError(
                f"--start_folder={folder}: no backbone of an earlier stage 0 "
                f"({reason})"
            ) from None
        # exported for inference, it has no vector for what is hidden
        found.setdefault(
            "masked_spec_embed", self.model.masked_spec_embed.detach()
        )
        fill(self.model, found, folder)
        head = Path(folder, HEAD)
        if head.exists():
            tensors, identity = load_weights(head)
            if identity == self.identity():
                fill(self.head, tensors, head)

    def identity(self):
        """What the head predicts."""
        return {"targets": type(self.targets).__name__}

    def export(self, folder):
        """Writes the backbone as a folder that ``SSLBackbone`` loads.

        Arguments
        ---------
        folder : str or Path
            Gets ``config.json``, ``model.safetensors`` and
            ``preprocessor_config.json``, and the head for ``start_from``.
        """
        self.model.save_pretrained(folder)
        self.extractor.save_pretrained(folder)
        head = self.head.state_dict()
        save_weights(Path(folder, HEAD), head, self.identity())

    def _convolve(self, wavs, lengths):
        """What enters the encoder ``(batch, frames, width)``."""
        clips = self._clips(wavs, lengths)
        inputs = pad_sequence(
            [self.front_end.prepare(clip[None].float())[0] for clip in clips],
            batch_first=True,
        )
        first, *others = self.model.feature_extractor.conv_layers
        # bf16 would drown weak bands in the rounding of strong ones, and the
        # gradient of long filters takes a CPU several times as long in it
        with torch.autocast(wavs.device.type, enabled=False):
            hidden = first(inputs[:, None])
        for layer in others:
            hidden = layer(hidden)
        return self.model.feature_projection(hidden.mT)

    def _truth(self, clean, lengths):
        """The targets of a batch, zero beyond a clip's end."""
        return pad_sequence(
            [self.targets(clip) for clip in self._clips(clean, lengths)],
            batch_first=True,
        )

    @staticmethod
    def _clips(wavs, lengths):
        """The clips of a batch without their padding."""
        time = wavs.shape[1]
        samples = (lengths * time).round().long().clamp(1, time).tolist()
        return [wav[:n] for wav, n in zip(wavs, samples, strict=True)]


def read_spectra(folder):
    """Reads what the head of stage 0 says of the spectra of speech.

    Arguments
    ---------
    folder : str or Path
        The backbone's, as ``export`` wrote it.

    Returns
    -------
    callable
        Features of the last layer ``(..., width)`` and frequencies in Hz
        ``(bins,)`` to what ``SpectralTargets.gains`` gives.

    Raises
    ------
    UserError
        If there is no head, or one of other targets.
    """
    path = Path(folder, HEAD)
    if not path.exists():
        raise UserError(
            f"{folder}: no {HEAD} there; give the folder 'model' of a finished "
            "stage 0 (python train.py hparams/ssl.yaml ...)"
        )
    tensors, identity = load_weights(path)
    if identity != {"targets": SpectralTargets.__name__}:
        raise UserError(
            f"{path}: made for {identity.get('targets')}; what a vocoder can "
            "start from is a head of SpectralTargets"
        )
    targets = SpectralTargets()
    weight, bias = (tensors[name].float() for name in ("weight", "bias"))

    def spectra(features, hz):
        outputs = linear(features, weight, bias)
        return targets.gains(outputs, hz)

    return spectra


def draw_mask(frames, share, span, rng):
    """Draws the frames of one clip that are hidden: spans that may overlap.

    SpeechBrain's and transformers' masking draw from global generators, which
    a resumed run does not find where it left them.

    Arguments
    ---------
    frames : int
        Frames of the clip.
    share : float
        Frames in all spans together, as a share of the clip's.
    span : int
        Frames of a span.
    rng : numpy.random.Generator
        Decides.

    Returns
    -------
    torch.Tensor
        ``(frames,)``, True for what is hidden; at least one span, or all of a
        clip that is shorter.

    Example
    -------
    >>> from miipher2.degrade import generator
    >>> mask = draw_mask(50, 0.6, 10, generator(1234))
    >>> mask.shape, 10 <= mask.sum() <= 40
    (torch.Size([50]), tensor(True))
    """
    span = min(span, frames)
    places = frames - span + 1
    count = max(1, int(share * frames / span + rng.random()))
    starts = rng.choice(places, min(count, places), replace=False)
    mask = torch.zeros(frames, dtype=torch.bool)
    mask[(starts[:, None] + np.arange(span)).ravel()] = True
    return mask


def export_backbone(hparams, hparams_file, overrides):
    """Writes the folder that stage 1 takes as its backbone.

    Arguments
    ---------
    hparams : dict
        The experiment of stage 0, its backbone trained.
    hparams_file : str
        Not used.
    overrides : str or dict
        Not used.

    Returns
    -------
    str
        What to do next, for the last line of the training.
    """
    folder = Path(hparams["output_folder"], "model")
    pretraining = hparams["pretraining"]
    pretraining.export(folder)
    layers = pretraining.config.num_hidden_layers
    return (
        f"The backbone is in {folder}, with layers 1 to {layers}. Train "
        "adapters on it with: python train.py hparams/pa.yaml "
        f"--ssl_source={folder} --ssl_layer={-(-layers * 2 // 3)} ..."
    )
