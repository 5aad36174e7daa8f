#!/usr/bin/env python3
"""Fit the speech detector of a restoration model.

    python recipes/Compact/fit_speech_presence.py DATA MODEL

DATA is the input folder of ``pack.py``, with ``manifest.csv``, speech, noise
and room impulse responses. The detector is a logistic regression on the
features of the model's cleaner (backbone and adapters) that predicts whether a
frame contains speech. It is fitted to the ``train`` split: degraded speech,
labelled by the level of the clean speech, and noise, music and generated
sounds. Its bias is then set so that the gate attenuates 0.1 % of the frames
with speech.
The script writes the detector to ``speech_presence.safetensors`` in the model
folder MODEL, and prints its error rates on the ``valid`` split. To use the
detector, add it to the model's ``hyperparams.yaml`` as in
``miipher2/pretrained/compact``.

With ``--measure``, the script only prints the error rates of the existing
detector of the model.

Authors
 * The miipher2 authors 2026
"""

import argparse
import math
import tempfile
from pathlib import Path

import numpy as np
import torch
from pack import select
from speech_presence_clips import (
    RATE,
    clip,
    degradations,
    with_more_music,
)
from tqdm import tqdm

from miipher2.dataio.speech_level import SpeechLevel
from miipher2.degrade.base import generator
from miipher2.errors import UserError, one_line_errors
from miipher2.inference.restorer import Restorer
from miipher2.inference.speech_gate import (
    OPEN,
    smooth_log_odds,
    speech_gate,
)
from miipher2.models.speech_presence import SpeechPresence

# A frame contains speech if the fraction of active samples is above SPEECH, and
# no speech if this fraction is below PAUSE. Other frames are not used.
SPEECH, PAUSE = 0.8, 0.05
WEIGHT_DECAY = 1e-4
# Fraction of the frames with speech that the gate may attenuate
ATTENUATED = 0.001
WEIGHTS = "speech_presence.safetensors"


@torch.inference_mode()
def collect(restorer, clips):
    """Compute the features and labels of clips.

    Arguments
    ---------
    restorer : miipher2.inference.restorer.Restorer
        The model.
    clips : iterable of tuple
        Results of ``clip``.

    Returns
    -------
    list of tuple
        Features ``(frames, width)`` and labels ``(frames,)`` of each clip: 1
        for speech, 0 for no speech, -1 for unused frames.
    """
    collected, hop = [], restorer.mods.cleaner.hop_length
    for samples, active in clips:
        gain = SpeechLevel.of(samples, RATE).gain(**restorer.input_level)
        features = restorer.mods.cleaner(gain * samples[None])[0].float()
        frames = math.ceil(len(active) / hop)
        edges = (hop * np.arange(frames + 1)).clip(max=len(active))
        fraction = np.add.reduceat(active.astype(float), edges[:-1])
        fraction /= np.diff(edges)
        labels = np.where(
            fraction > SPEECH, 1, np.where(fraction < PAUSE, 0, -1)
        )
        collected.append((features[:frames].numpy(), labels))
    return collected


def fit(features, labels):
    """Fit a logistic regression to frames.

    Both classes have the same total weight.

    Arguments
    ---------
    features : torch.Tensor
        ``(frames, width)``.
    labels : torch.Tensor
        ``(frames,)``, 0 or 1.

    Returns
    -------
    weight : torch.Tensor
        ``(width,)``.
    bias : torch.Tensor
        Scalar.

    Example
    -------
    >>> features = torch.randn(1000, 2, generator=torch.manual_seed(0))
    >>> labels = (features[:, 0] > 3 * features[:, 1]).float()
    >>> weight, bias = fit(features, labels)
    >>> bool(((features @ weight + bias > 0) == labels).float().mean() > 0.98)
    True
    """
    mean, scale = features.mean(0), features.std(0) + 1e-4
    features = (features - mean) / scale
    weight = torch.zeros(features.shape[1], requires_grad=True)
    bias = torch.zeros((), requires_grad=True)
    balance = (labels == 0).sum() / (labels == 1).sum()
    optimizer = torch.optim.LBFGS([weight, bias], max_iter=100)

    def loss():
        optimizer.zero_grad()
        value = torch.nn.functional.binary_cross_entropy_with_logits(
            features @ weight + bias, labels, pos_weight=balance
        )
        value = value + WEIGHT_DECAY * weight.square().sum()
        value.backward()
        return value

    optimizer.step(loss)
    weight, bias = weight.detach() / scale, bias.detach()
    return weight, bias - weight @ mean


def report(presence, speech, noise):
    """Print the frame error rates before and after smoothing.

    Arguments
    ---------
    presence : miipher2.models.speech_presence.SpeechPresence
        The detector.
    speech, noise : list of tuple
        Results of ``collect`` for clips with and without speech.
    """
    missed, gates = [], []
    for features, labels in speech:
        log_odds = presence(torch.from_numpy(features)).numpy()
        missed.append(log_odds[labels == 1] < 0)
        gates.append(speech_gate(log_odds)[labels == 1])
    alarms, open_gates = [], []
    for features, _ in noise:
        log_odds = presence(torch.from_numpy(features)).numpy()
        alarms.append(log_odds > 0)
        open_gates.append(speech_gate(log_odds))
    missed, gates, alarms, open_gates = map(
        np.concatenate, (missed, gates, alarms, open_gates)
    )
    print(
        f"frames: {missed.mean():.1%} of speech missed, {alarms.mean():.1%} of "
        "noise detected as speech\n"
        f"after smoothing: {(gates < 1).mean():.1%} of speech attenuated "
        f"({(gates == 0).mean():.2%} fully), "
        f"{(open_gates == 0).mean():.1%} of noise fully attenuated, "
        f"{(open_gates == 1).mean():.1%} not at all"
    )


def main(argv=None):
    """Fit and save the speech detector."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("data", type=Path, help="folder with manifest.csv")
    parser.add_argument("model", type=Path, help="folder of the model")
    parser.add_argument(
        "--clips",
        type=int,
        default=400,
        help="number of clips with speech, and of clips without speech, for "
        "fitting; the error rates are measured on a quarter as many",
    )
    parser.add_argument(
        "--seed", type=int, default=0, help="seed of all random choices"
    )
    parser.add_argument(
        "--measure",
        action="store_true",
        help="measure the existing detector; write nothing",
    )
    options = parser.parse_args(argv)
    with one_line_errors(), tempfile.TemporaryDirectory() as folder:
        restorer = Restorer.from_hparams(
            options.model, run_opts={"device": "cpu", "precision": "fp32"}
        )
        if options.measure and "speech_presence" not in restorer.mods:
            raise UserError(
                f"{options.model}: has no speech detector; fit one first, "
                "without --measure"
            )
        counts = {"valid": options.clips // 4}
        if not options.measure:
            counts = {"train": options.clips, **counts}
        collected = collect_splits(options, restorer, counts, folder)
        if options.measure:
            presence = restorer.mods.speech_presence
        else:
            presence = fit_presence(restorer, collected)
        with torch.inference_mode():
            report(
                presence,
                collected["valid", "speech"],
                collected["valid", "noise"],
            )
        if not options.measure:
            presence.save(options.model / WEIGHTS)
            print(options.model / WEIGHTS)


def collect_splits(options, restorer, counts, folder):
    """Compute the features and labels of random clips of each split.

    Arguments
    ---------
    options : argparse.Namespace
        Options with ``data`` and ``seed``.
    restorer : miipher2.inference.restorer.Restorer
        The model.
    counts : dict
        Number of clips with speech, and of clips without speech, by split.
    folder : str or Path
        Output folder for the manifests of noise and impulse responses.

    Returns
    -------
    dict
        Results of ``collect`` by split and kind, ``"speech"`` or ``"noise"``.
    """
    selected = select(options.data)
    collected = {}
    for split, count in counts.items():
        chain = degradations(options.data, selected, split, folder)
        for kind in ("speech", "noise"):
            rows = [
                row
                for row in selected[kind, split]
                if "babble" not in row["path"]
            ]
            if split == "train":
                rows = with_more_music(rows)
            clips = (
                clip(
                    options.data,
                    rows,
                    chain,
                    generator(options.seed, split, kind, number),
                )
                for number in tqdm(range(count), kind, disable=None)
            )
            collected[split, kind] = collect(restorer, clips)
    return collected


def fit_presence(restorer, collected):
    """Return a ``SpeechPresence`` fitted to the ``train`` split."""
    train = collected["train", "speech"] + collected["train", "noise"]
    features = torch.from_numpy(np.concatenate([f for f, _ in train]))
    labels = torch.from_numpy(np.concatenate([y for _, y in train]))
    known = labels >= 0
    presence = SpeechPresence(restorer.mods.cleaner.adapted_model)
    presence.requires_grad_(False)
    weight, bias = fit(features[known], labels[known].float())
    presence.weight.copy_(weight)
    presence.bias.copy_(bias)
    calibrate(presence, collected["train", "speech"])
    return presence


def calibrate(presence, speech):
    """Shift the bias so that the gate attenuates few frames with speech.

    Arguments
    ---------
    presence : miipher2.models.speech_presence.SpeechPresence
        The detector, which is changed in place.
    speech : list of tuple
        Results of ``collect`` for clips with speech. The gate attenuates the
        fraction ``ATTENUATED`` of their frames with speech.
    """
    smooth = [
        smooth_log_odds(presence(torch.from_numpy(features)).numpy())[
            labels == 1
        ]
        for features, labels in speech
    ]
    lowest = np.quantile(np.concatenate(smooth), ATTENUATED)
    presence.bias += OPEN - float(lowest)


if __name__ == "__main__":
    main()
