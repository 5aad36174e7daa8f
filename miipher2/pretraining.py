"""Stage 0: pretraining a backbone of one's own by BEST-RQ (arXiv 2202.01855).

Spans of frames are hidden from the model; it has to name what was there, as
numbers that a random projection and random codebooks give to the log-mel
frames. It hears degraded speech and names the clean one, so that its features
already lean towards what the adapters of stage 1 are to predict.

Authors
 * The miipher2 authors 2026
"""

from pathlib import Path

import numpy as np
import speechbrain as sb
import torch
from speechbrain.nnet.quantisers import RandomProjectionQuantizer
from speechbrain.utils.checkpoints import (
    mark_as_loader,
    mark_as_saver,
    register_checkpoint_hooks,
)
from torch import nn
from torch.nn import functional as F
from torch.nn.utils.rnn import pad_sequence
from transformers import HubertModel, Wav2Vec2BertConfig

from miipher2.brains import RestorationBrain
from miipher2.degrade import generator
from miipher2.errors import UserError
from miipher2.frontends import KaldiFbank, RawWave
from miipher2.weights import fill, load_weights, save_weights

PADDING = -100  # instead of a code; cross_entropy skips it


class RandomTargets(nn.Module):
    """Numbers log-mel frames by random projections to random codebooks.

    The frames are those of w2v-BERT 2.0: 80 Kaldi filter banks every 10 ms,
    normalised per clip, in pairs, so that they lie over the samples as the
    backbone's own frames do. Several codebooks are USM's multi-softmax
    (arXiv 2303.01037): the targets depend less on the luck of one draw.

    Arguments
    ---------
    codebooks : int
        Number of codebooks, each with a projection of its own.
    codes : int
        Codes in a codebook.
    code_dim : int
        Size of a code.

    Example
    -------
    >>> RandomTargets(codebooks=2, codes=8)(torch.randn(16001)).shape
    torch.Size([51, 2])
    """

    def __init__(self, codebooks=4, codes=1024, code_dim=16):
        super().__init__()
        config = Wav2Vec2BertConfig()
        self.mel = KaldiFbank(config, KaldiFbank.default_extractor(config))
        self.quantizers = nn.ModuleList(
            RandomProjectionQuantizer(
                config.feature_projection_input_dim, code_dim, codes
            )
            for _ in range(codebooks)
        )

    @torch.no_grad()
    def forward(self, wav):
        """Numbers the frames of one clip.

        Arguments
        ---------
        wav : torch.Tensor
            Clean speech ``(time,)`` at 16 kHz.

        Returns
        -------
        torch.Tensor
            ``(frames, codebooks)``, integers.
        """
        with torch.autocast(wav.device.type, enabled=False):
            frames = self.mel.prepare(wav[None].float())[0]
            return torch.stack(
                [nearest_code(frames, q) for q in self.quantizers], dim=-1
            )


def nearest_code(frames, quantizer):
    """Does what the quantizer does, several times faster.

    Frames and codes are unit vectors, so the nearest code is the one of the
    largest product; the quantizer itself takes the norm of every difference.

    Arguments
    ---------
    frames : torch.Tensor
        ``(frames, width)``.
    quantizer : speechbrain.nnet.quantisers.RandomProjectionQuantizer
        Holds the projection and the codebook.

    Returns
    -------
    torch.Tensor
        ``(frames,)``, integers.

    Example
    -------
    >>> quantizer = RandomProjectionQuantizer(16, 4, 32)
    >>> frames = torch.rand(10, 16)
    >>> torch.equal(nearest_code(frames, quantizer), quantizer(frames[None])[0])
    True
    """
    projected = F.normalize(frames @ quantizer.P, dim=-1)
    return (projected @ quantizer.CB.mT).argmax(dim=-1)


@register_checkpoint_hooks
class BestRQ(nn.Module):
    """A HuBERT with a head that names frames, also those hidden from it.

    How much is hidden, and in how long spans, the model's own config says:
    ``mask_time_prob`` and ``mask_time_length``.

    Arguments
    ---------
    config : transformers.HubertConfig
        The backbone to build. It must have ``feat_extract_norm="layer"``: a
        group norm would look at a clip together with its padding.
    targets : RandomTargets
        What is to be predicted.

    Raises
    ------
    UserError
        If the config has a group norm or another frame rate than 50 Hz.

    Example
    -------
    >>> from transformers import HubertConfig
    >>> config = HubertConfig(
    ...     hidden_size=32, num_hidden_layers=2, num_attention_heads=2,
    ...     intermediate_size=64, conv_dim=[16] * 7, feat_extract_norm="layer",
    ...     num_conv_pos_embeddings=8, num_conv_pos_embedding_groups=2,
    ... )
    >>> pretraining = BestRQ(config, RandomTargets(codebooks=2, codes=8))
    >>> wavs, lengths = torch.randn(2, 16000), torch.tensor([1.0, 0.5])
    >>> masks = torch.arange(50).expand(2, 50) < 20
    >>> logits, codes = pretraining(wavs, wavs, lengths, masks)
    >>> logits.shape, codes.shape
    (torch.Size([2, 50, 2, 8]), torch.Size([2, 50, 2]))
    """

    def __init__(self, config, targets):
        super().__init__()
        self.extractor = RawWave.default_extractor(config)
        self.front_end = RawWave(config, self.extractor)
        if config.feat_extract_norm != "layer":
            raise UserError(
                f"feat_extract_norm: {config.feat_extract_norm!r} cannot be "
                "pretrained here; take 'layer'"
            )
        if self.front_end.hop_length != targets.mel.hop_length:
            raise UserError(
                f"conv_stride: {list(config.conv_stride)} makes frames of "
                f"{self.front_end.hop_length} samples, the targets have "
                f"{targets.mel.hop_length}; choose strides with that product"
            )
        self.config = config
        self.model = HubertModel(config)
        self.targets = targets
        self.codebooks = len(targets.quantizers)
        self.head = nn.Linear(
            config.hidden_size,
            sum(quantizer.cb_vocab for quantizer in targets.quantizers),
        )

    def forward(self, noisy, clean, lengths, masks):
        """Names the frames of the clean speech.

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

        Returns
        -------
        logits : torch.Tensor
            ``(batch, frames, codebooks, codes)``.
        codes : torch.Tensor
            ``(batch, frames, codebooks)``, ``PADDING`` beyond a clip's end.
        """
        codes = pad_sequence(
            [self.targets(clip) for clip in self._clips(clean, lengths)],
            batch_first=True,
            padding_value=PADDING,
        )
        logits = self.head(self.features(noisy, lengths, masks))
        return logits.unflatten(-1, (self.codebooks, -1)), codes

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
        clips = self._clips(wavs, lengths)
        inputs = pad_sequence(
            [self.front_end.prepare(clip[None].float())[0] for clip in clips],
            batch_first=True,
        )
        hidden = self.model.feature_extractor(inputs).mT
        hidden = self.model.feature_projection(hidden)
        # before the positional convolution, which would let neighbours tell
        mask_vector = self.model.masked_spec_embed.to(hidden.dtype)
        hidden = torch.where(masks[..., None], mask_vector, hidden)
        frames = torch.tensor([self.frames(len(clip)) for clip in clips])
        valid = torch.arange(hidden.shape[1]) < frames[:, None]
        return self.model.encoder(
            hidden, attention_mask=valid.to(hidden.device)
        ).last_hidden_state

    def frames(self, samples):
        """Frames that a clip of so many samples gives."""
        return -(-samples // self.front_end.hop_length)

    def export(self, folder):
        """Writes the backbone as a folder that ``SSLBackbone`` loads.

        Arguments
        ---------
        folder : str or Path
            Gets ``config.json``, ``model.safetensors`` and
            ``preprocessor_config.json``.
        """
        self.model.save_pretrained(folder)
        self.extractor.save_pretrained(folder)

    @mark_as_saver
    def save(self, path):
        """Writes model, head and codebooks.

        Arguments
        ---------
        path : str or Path
            The file to write.
        """
        save_weights(path, self.state_dict(), {})

    @mark_as_loader
    def load(self, path, end_of_epoch=True):
        """Reads what ``save`` wrote.

        Arguments
        ---------
        path : str or Path
            The file to read.
        end_of_epoch : bool
            Not used; SpeechBrain passes it.
        """
        fill(self, load_weights(path)[0], path)

    @staticmethod
    def _clips(wavs, lengths):
        """The clips of a batch without their padding."""
        time = wavs.shape[1]
        samples = (lengths * time).round().long().clamp(1, time).tolist()
        return [wav[:n] for wav, n in zip(wavs, samples, strict=True)]


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


class BestRQBrain(RestorationBrain):
    """Stage 0: a backbone learns to name the frames of clean speech.

    Everything random about a step comes from its batch and its number, so
    that a resumed run is the same run.

    Arguments
    ---------
    visible_weight : float
        Weight of the frames that are not hidden, of which the model hears a
        degraded version. Those are the easier ones: with them the
        convolutions learn from the first step on, without them they wait for
        the layers above.
    **restoration : dict
        Arguments of ``RestorationBrain``; its modules: ``pretraining``.
    """

    def __init__(self, *, visible_weight, **restoration):
        super().__init__(**restoration)
        self.visible_weight = visible_weight

    def on_fit_batch_start(self, batch, should_step):
        """Seeds the dropout of the step to come."""
        super().on_fit_batch_start(batch, should_step)
        torch.manual_seed(self.optimizer_step)

    def compute_forward(self, batch, stage):
        """Gives logits, codes and the masks."""
        noisy, lengths = batch.noisy
        clean, _ = batch.clean
        masks = self.masks(batch).to(self.device)
        predicted = self.modules.pretraining(
            noisy.to(self.device),
            clean.to(self.device),
            lengths.to(self.device),
            masks,
        )
        return *predicted, masks

    def masks(self, batch):
        """What to hide: it hangs on the clip and its cut, as in ``data``.

        Arguments
        ---------
        batch : speechbrain.dataio.batch.PaddedBatch
            From ``speech_set``.

        Returns
        -------
        torch.Tensor
            ``(batch, frames)``.
        """
        module = self.lower(self.modules.pretraining)
        samples = batch.noisy.lengths * batch.noisy.data.shape[1]
        return pad_sequence(
            [
                draw_mask(
                    module.frames(n),
                    module.config.mask_time_prob,
                    module.config.mask_time_length,
                    generator("mask", name, float(cut)),
                )
                for n, name, cut in zip(
                    samples.round().long().tolist(),
                    batch.id,
                    batch.cut,
                    strict=True,
                )
            ],
            batch_first=True,
        )

    def compute_objectives(self, predictions, batch, stage):
        """Cross-entropy in nats, over all codebooks.

        In validation ``loss`` and ``accuracy`` are those of the hidden frames
        and ``visible`` the cross-entropy of the others.
        """
        logits, codes, masks = predictions
        entropy = F.cross_entropy(
            logits.float().flatten(0, 2), codes.flatten(), reduction="none"
        ).view_as(codes)
        visible = (codes[..., 0] != PADDING) & ~masks
        terms = {
            "loss": clip_means(entropy, masks),
            "visible": clip_means(entropy, visible),
        }
        if stage != sb.Stage.TRAIN:
            right = (logits.argmax(dim=-1) == codes).float()
            terms["accuracy"] = clip_means(right, masks)
            self.means.add(terms, batch.kind)
        return (terms["loss"] + self.visible_weight * terms["visible"]).mean()


def clip_means(values, mask):
    """Means over codebooks and over some frames of each clip.

    Arguments
    ---------
    values : torch.Tensor
        ``(batch, frames, codebooks)``.
    mask : torch.Tensor
        Which frames, ``(batch, frames)``.

    Returns
    -------
    torch.Tensor
        ``(batch,)``; 0 for a clip without such frames.

    Example
    -------
    >>> mask = torch.tensor([[True, False, True], [False, False, False]])
    >>> values = torch.arange(12.0).view(2, 3, 2)
    >>> clip_means(values, mask).tolist()
    [2.5, 0.0]
    """
    sums = (values.mean(dim=-1) * mask).sum(dim=1)
    return sums / mask.sum(dim=1).clamp(min=1)


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
