#!/usr/bin/env python3
"""Initialise the 24 kHz vocoder from the vocoder of the compact model.

    python recipes/Whisper24/start_vocoder.py hparams/whisper24/vocoder.yaml \
        --data_folder=DATA --noise_folder=DATA --rir_folder=DATA \
        --skip_prep=True --train_csv=... --noise_csv=... --rir_csv=... \
        --ssl_source=ENCODER --output_folder=START

The script writes the model START/model, which restores speech without further
training. Use it as ``--start_folder`` and ``--cleaner_folder`` with the same
YAML.

Both vocoders are a ``HarmonicVocoder`` with the same bin spacing in Hz. Two
linear maps of the compact vocoder depend on its encoder: the first convolution
and the direct filters. Their outputs for clean speech are predicted by ridge
regression from the new encoder's features of degraded and clean speech. Above
``HANDOVER_HZ``, the direct filters are instead fitted to the levels of clean
speech with full bandwidth. Most other weights are copied, bin by bin.

Authors
 * The miipher2 authors 2026
"""

import math
import sys
from pathlib import Path

import speechbrain as sb
import torch
from speechbrain.dataio.batch import PaddedBatch
from torch.nn import functional as F
from tqdm import tqdm

from miipher2.errors import one_line_errors
from miipher2.inference.restorer import Restorer
from miipher2.training.experiment import load_hparams

ROOT = Path(__file__).resolve().parents[2]
# Folders of the prepare scripts to which YAML files refer
sys.path += map(str, ROOT.glob("recipes/*"))
COMPACT = ROOT / "miipher2" / "pretrained" / "compact"
MINUTES = 20.0  # total duration of the clips
CLIPS = 16  # per batch
SECONDS = 3.0  # per clip
STATISTICS_BATCHES = 4  # number of batches for the statistics of the features
CLEAN_EVERY = 3  # every third batch is also used with clean inputs
HELD_OUT_EVERY = 8  # every eighth batch is held out to select the strength
STRENGTHS = (1e-3, 1e-2, 3e-2, 1e-1, 3e-1)  # of the ridge penalty
# Bins below HANDOVER_HZ are initialised from the compact model. Bins above it
# are fitted to clips with a bandwidth of at least FULL_BAND_HZ.
HANDOVER_HZ = 7250.0
FULL_BAND_HZ = 11000.0
# Natural logarithm of the gain of pulses relative to noise above HANDOVER_HZ
VOICED_GAIN = -2.0
# Bin of the compact model's gate that initialises all bins above 8 kHz
UPPER_GATE_BIN = 300


class Ridge:
    """Normal equations of a linear map, accumulated batch by batch.

    Arguments
    ---------
    inputs, outputs : int
        Sizes of the input and output vectors.

    Example
    -------
    >>> ridge = Ridge(2, 1)
    >>> x = torch.tensor([[0.0, 1.0], [1.0, 0.0], [1.0, 1.0], [0.0, 0.0]])
    >>> for _ in range(2):
    ...     ridge.add(x, x[:, :1] + 3)
    >>> weight, bias = ridge.solve(1e-6)
    >>> [round(float(value), 3) for value in (*weight[0], bias[0])]
    [1.0, 0.0, 3.0]
    """

    def __init__(self, inputs, outputs):
        self.gram = torch.zeros(inputs + 1, inputs + 1, dtype=torch.float64)
        self.cross = torch.zeros(inputs + 1, outputs, dtype=torch.float64)

    def add(self, x, y):
        """Add input vectors ``(count, inputs)`` and their outputs."""
        x = F.pad(x, (0, 1), value=1.0)
        self.gram += (x.T @ x).double()
        self.cross += (x.T @ y).double()

    def solve(self, strength):
        """Return weight ``(outputs, inputs)`` and bias ``(outputs,)``.

        The penalty of a weight is ``strength`` times the diagonal of the Gram
        matrix; the bias is not penalised.
        """
        shrinkage = strength * self.gram.diagonal().clone()
        shrinkage[-1] = 0.0
        gram = self.gram + torch.diag(shrinkage + 1e-9)
        solution = torch.linalg.solve(gram, self.cross).float()
        return solution[:-1].T, solution[-1]


def best_map(ridge, held_out):
    """Return weight and bias with the lowest error on held-out data."""
    maps = []
    for strength in STRENGTHS:
        weight, bias = ridge.solve(strength)
        error = total = 0.0
        for x, y in held_out:
            error += float((F.linear(x, weight, bias) - y).square().sum())
            total += float((y - y.mean(dim=0)).square().sum())
        maps.append((error / total, strength, weight, bias))
    error, strength, weight, bias = min(maps, key=lambda found: found[0])
    print(
        f"ridge {strength:g}: {100 * error:.1f} % of the variance unexplained"
    )
    return weight, bias


def batches(dataset, count):
    """Yield batches of random training clips."""
    order = torch.randperm(
        len(dataset), generator=torch.Generator().manual_seed(0)
    ).tolist()
    for number in range(count):
        indices = order[number * CLIPS : (number + 1) * CLIPS]
        yield PaddedBatch([dataset[1, index] for index in indices])


class Start:
    """Regressions that initialise the new vocoder.

    Arguments
    ---------
    compact : miipher2.inference.restorer.Restorer
        The compact model.
    backbone : miipher2.models.backbone.SSLBackbone
        The new encoder.
    vocoder : miipher2.models.vocoders.harmonic.HarmonicVocoder
        The new vocoder; its weights are overwritten.
    """

    def __init__(self, compact, backbone, vocoder):
        self.cleaner = compact.mods.cleaner
        self.old = compact.mods.generator
        self.backbone, self.new = backbone, vocoder
        self.handover = round(
            HANDOVER_HZ * vocoder.stft.n_fft / vocoder.sample_rate
        )
        self.context = vocoder.trunk.conv_in.kernel_size[0]

    def features(self, wavs):
        """Return normalised features of the new encoder.

        Arguments
        ---------
        wavs : torch.Tensor
            ``(batch, time)`` at 16 kHz.

        Returns
        -------
        torch.Tensor
            ``(batch, frames, width)``.
        """
        return self.new.norm(self.backbone(wavs))

    def with_context(self, features):
        """Return each frame with its neighbours.

        The values are in the order of the weights of a convolution.

        Arguments
        ---------
        features : torch.Tensor
            ``(batch, frames, width)``.

        Returns
        -------
        torch.Tensor
            ``(batch, frames, width * context)``.
        """
        half = self.context // 2
        x = F.pad(features, (0, 0, half, half)).unfold(1, self.context, 1)
        return x.flatten(2)

    def targets(self, batch):
        """Return the outputs to predict.

        Arguments
        ---------
        batch : speechbrain.dataio.batch.PaddedBatch
            A batch with ``clean`` and ``target``.

        Returns
        -------
        first, direct, upper : torch.Tensor
            Outputs of the first convolution, outputs of the direct filters, and
            levels above ``HANDOVER_HZ``, each ``(batch, frames, size)``.
        """
        features = self.cleaner(batch.clean.data)
        conv = self.old.trunk.conv_in
        first = F.conv1d(features.mT, conv.weight, None, padding="same").mT
        direct = self.old.direct(features)
        target = batch.target.data
        missing = features.shape[1] * self.new.hop_length - target.shape[1]
        spectra = self.new.stft.analyse(F.pad(target, (0, missing)))
        levels = self.new.gate.levels(spectra)
        power = F.avg_pool1d((2 * levels).exp(), 9, 1, 4)
        upper = power.log()[..., self.handover :] / 2
        upper = upper.unflatten(1, (-1, self.new.subframes)).flatten(2)
        return first, direct, upper

    def measure(self, data):
        """Set the mean and scale that normalise the features."""
        values = torch.cat(
            [self.backbone(b.noisy.data).flatten(0, 1) for b in data]
        )
        self.new.norm.mean.copy_(values.mean(dim=0))
        self.new.norm.scale.copy_(1 / values.std(dim=0).clamp(min=1e-3))
        large = (values.abs().amax(dim=0) > 50).sum()
        print(f"{int(large)} feature dimensions exceed 50 in magnitude")

    def regress(self, data, total):
        """Fit linear maps from the features to ``targets``.

        Arguments
        ---------
        data : iterable of PaddedBatch
            Training clips.
        total : int
            Number of batches.

        Returns
        -------
        list of tuple
            Weight and bias of each map.
        """
        ridges, held_out = None, [[], [], []]
        for number, batch in enumerate(tqdm(data, total=total, disable=None)):
            bandwidth = torch.tensor([float(hz) for hz in batch.bandwidth])
            full = bandwidth >= FULL_BAND_HZ
            first, direct, upper = self.targets(batch)
            outputs = first, direct, upper[full]
            ridges = ridges or self._ridges(outputs)
            recordings = [batch.noisy.data]
            if number % CLEAN_EVERY == 0:
                recordings.append(batch.clean.data)
            for wavs in recordings:
                x = self.features(wavs)
                inputs = self.with_context(x), x, x[full]
                for ridge, rows, a, b in zip(
                    ridges, held_out, inputs, outputs, strict=True
                ):
                    a, b = a.flatten(0, 1), b.flatten(0, 1)
                    if number % HELD_OUT_EVERY == HELD_OUT_EVERY - 1:
                        rows.append((a, b))
                    else:
                        ridge.add(a, b)
        return [best_map(*pair) for pair in zip(ridges, held_out, strict=True)]

    def _ridges(self, outputs):
        width = self.backbone.width
        widths = width * self.context, width, width
        return [
            Ridge(inputs, output.shape[-1])
            for inputs, output in zip(widths, outputs, strict=True)
        ]

    def fill(self, first, direct, upper):
        """Write the weights of the new vocoder.

        Arguments
        ---------
        first, direct, upper : tuple of torch.Tensor
            Weight and bias of each map, as returned by ``regress``.
        """
        state = self.new.state_dict()
        for name, value in self.old.state_dict().items():
            if name in state and state[name].shape == value.shape:
                state[name].copy_(value)
        # Levels are relative to white noise of power 1. At a higher sample
        # rate, this power is spread over more bins, so the same sound has
        # higher levels.
        rise = math.log(self.new.sample_rate / self.old.sample_rate) / 2
        self._fill_filters(direct, upper, rise)
        self._fill_gate()
        self._fill_convolution(first, rise)

    def _fill_filters(self, direct, upper, rise):
        old, new, cut = self.old, self.new, self.handover
        subframes = new.subframes
        parts = subframes, 3, -1
        weight = new.filters.weight.unflatten(0, parts)
        bias = new.filters.bias.unflatten(0, parts)
        weight.zero_()
        bias.zero_()
        old_weight = old.filters.weight.unflatten(0, parts)
        old_bias = old.filters.bias.unflatten(0, parts)
        weight[:, :, :cut] = old_weight[:, :, :cut]
        bias[:, :, :cut] = old_bias[:, :, :cut]
        bias[:, :2, :cut] += rise
        bias[:, 0, cut:] = VOICED_GAIN
        for tensor, lower, higher in zip(
            (new.direct.weight, new.direct.bias), direct, upper, strict=True
        ):
            tensor = tensor.unflatten(0, (subframes, -1))
            tensor[:, :cut] = lower.unflatten(0, (subframes, -1))[:, :cut]
            tensor[:, cut:] = higher.unflatten(0, (subframes, -1))

    def _fill_gate(self):
        old, new = self.old.gate, self.new.gate
        old_bins, new_bins = old.slope.shape[1], new.slope.shape[1]
        source = torch.arange(new_bins).clamp(max=UPPER_GATE_BIN)
        source[:old_bins] = torch.arange(old_bins)
        new.slope.copy_(old.slope[:, source])
        parts = self.new.subframes, 2, -1
        for name in ("weight", "bias"):
            ours = getattr(new.output_projection, name).unflatten(0, parts)
            theirs = getattr(old.output_projection, name).unflatten(0, parts)
            ours.copy_(theirs[:, :, source])
            ours[:, 1, old_bins:] = 0.0  # correction

    def _fill_convolution(self, first, rise):
        """Write the first convolution and the projection of the levels.

        The compact vocoder adds a projection of the levels to the features. The
        new vocoder concatenates the features with a projection of the levels to
        ``level_width`` dimensions instead. The product of this projection and
        the first convolution is a low-rank approximation of the corresponding
        product in the compact vocoder.
        """
        old, new = self.old, self.new
        width, level_width = new.width, new.level_width
        conv = new.trunk.conv_in
        conv.weight[:, :width] = first[0].unflatten(1, (width, -1))
        taps = old.trunk.conv_in.weight.permute(0, 2, 1)  # out, taps, width
        product = taps.flatten(0, 1) @ old.gate.level_projection.weight
        u, s, v = torch.linalg.svd(product, full_matrices=False)
        share = s[:level_width].square().sum() / s.square().sum()
        print(
            f"levels: {level_width} of {len(s)} singular vectors explain "
            f"{100 * share:.2f} % of the variance"
        )
        root = s[:level_width].sqrt()
        conv.weight[:, width:] = (
            (u[:, :level_width] * root)
            .unflatten(0, (len(conv.weight), -1))
            .permute(0, 2, 1)
        )
        parts = new.subframes, -1
        projection = new.gate.level_projection.weight.unflatten(1, parts)
        projection.zero_()
        projection[..., : old.gate.slope.shape[1]] = (
            root[:, None] * v[:level_width]
        ).unflatten(1, parts)
        shift = product.sum(dim=1).unflatten(0, (len(conv.bias), -1))
        shift = shift.sum(dim=1) * rise / 2
        conv.bias.copy_(old.trunk.conv_in.bias + first[1] - shift)


@torch.no_grad()
def main(arguments):
    """Initialise the vocoder and export the model."""
    hparams_file, _, overrides = sb.parse_arguments(arguments)
    hparams = load_hparams(hparams_file, overrides)
    compact = Restorer.from_hparams(COMPACT)
    start = Start(compact, hparams["backbone"], hparams["generator"])
    dataset = hparams["train_set"](
        pitch=None, no_speech=None, segment_seconds=SECONDS
    )
    count = round(MINUTES * 60 / SECONDS / CLIPS)
    start.measure(batches(dataset, STATISTICS_BATCHES))
    start.fill(*start.regress(batches(dataset, count), count))
    hparams["discriminator"].load(COMPACT / "discriminator.safetensors")
    print(hparams["export"](hparams, hparams_file, overrides))


if __name__ == "__main__":
    with one_line_errors():
        main(sys.argv[1:])
