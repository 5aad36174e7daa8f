"""A tiny restoration model with random weights, and synthetic speech.

Authors
 * The miipher2 authors 2026
"""

import importlib

import numpy
import torch
from tiny_models import save_tiny_backbone
from tiny_runs import ROOT

from miipher2.models.backbone import SSLBackbone
from miipher2.models.cleaner import FeatureCleaner

HIFIGAN = {
    "sample_rate": 24000,
    "upsample_factors": [10, 8, 6],
    "upsample_kernel_sizes": [20, 16, 12],
    "upsample_initial_channel": 16,
    "resblock_kernel_sizes": [3],
    "resblock_dilation_sizes": [[1, 3, 5]],
}
CONVNEXT = {
    "sample_rate": 24000,
    "hop_length": 480,
    "n_fft": 960,
    "channels": 16,
    "intermediate": 32,
    "layers": 2,
}
VOCODERS = {
    "hifigan.HiFiGAN": HIFIGAN,
    "istft.ISTFTVocoder": CONVNEXT,
    "harmonic.HarmonicVocoder": {
        **CONVNEXT,
        "spectral_gate": True,
        "level_width": 8,
        "normalise": True,
    },
}
MODEL = """
model_folder: !PLACEHOLDER

input_level: {level_db: -26.0, max_gain_db: 40.0}

backbone: &backbone !new:miipher2.models.backbone.SSLBackbone
    source: !ref <model_folder>/backbone
    layer: 2

cleaner: !new:miipher2.models.cleaner.FeatureCleaner
    backbone: *backbone

generator: !apply:miipher2.models.vocoders.base.build_vocoder
    vocoder: !name:miipher2.models.vocoders.VOCODER ARGUMENTS
    backbone: *backbone
    sample_rate: 24000

"""


def save_tiny_restorer(folder, family="hubert", vocoder="hifigan.HiFiGAN"):
    """Save a tiny model, as training does; its output rate is 24 kHz.

    The model restores recordings in windows of at most 4 s that overlap by at
    least 1 s.

    Arguments
    ---------
    folder : Path
        The folder to write to.
    family : str
        Family of the backbone, one of ``tiny_models.FAMILIES``.
    vocoder : str
        One of ``VOCODERS``.

    Returns
    -------
    Path
        The folder of the model.
    """
    source = save_tiny_backbone(folder / family, family)
    module, _, name = vocoder.partition(".")
    module = importlib.import_module(f"miipher2.models.vocoders.{module}")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        backbone = SSLBackbone(source, layer=2)
        generator = getattr(module, name)(backbone.width, **VOCODERS[vocoder])
        # With the initial weights, the output hardly depends on the input.
        for parameter in generator.parameters():
            parameter.data *= 2
    model = folder / "model"
    backbone.save(model / "backbone")
    FeatureCleaner(backbone).saver(model / "cleaner.safetensors")
    generator.save(model / "vocoder.safetensors")
    text = MODEL.replace("VOCODER ARGUMENTS", f"{vocoder} {VOCODERS[vocoder]}")
    restore = (ROOT / "hparams/models/restore.yaml").read_text("utf-8")
    restore = restore.replace("window_seconds: 20.0", "window_seconds: 4.0")
    restore = restore.replace("overlap_seconds: 2.0", "overlap_seconds: 1.0")
    (model / "hyperparams.yaml").write_text(text + restore, "utf-8")
    return model


def voice(seconds, rate=16000, seed=0):
    """Return synthetic speech: syllables of a gliding tone, and noise.

    Arguments
    ---------
    seconds : float
        Duration in seconds.
    rate : int
        Sample rate in Hz.
    seed : int
        Seed of the pitch and the noise.

    Returns
    -------
    numpy.ndarray
        ``(time,)`` float32.
    """
    rng = numpy.random.default_rng(seed)
    time = numpy.arange(round(seconds * rate)) / rate
    pitch = rng.uniform(90, 220) * (1 + 0.1 * numpy.sin(3 * time))
    phase = 2 * numpy.pi * numpy.cumsum(pitch) / rate
    tone = sum(numpy.sin(k * phase) / k for k in range(1, 20))
    syllables = numpy.clip(numpy.sin(2 * numpy.pi * 3 * time), 0, None)
    wav = 0.05 * tone * syllables + 0.003 * rng.standard_normal(len(time))
    return wav.astype(numpy.float32)
