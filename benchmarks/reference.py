"""Reference implementation, models and data shared by benchmarks.

The reference runs all layers of the backbone in fp32, using Hugging Face
transformers.

Authors
 * The miipher2 authors 2026
"""

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
RATE = 16000

# Backbone config, layer, adapter bottleneck and overrides of stage 2 by size
SIZES = {
    "hubert-large": {
        "config": {
            "hidden_size": 1024,
            "num_hidden_layers": 24,
            "num_attention_heads": 16,
            "intermediate_size": 4096,
        },
        "layer": 8,  # as in hparams/models/ssl/hubert_large.yaml
        "bottleneck": 1024,
        "vocoder": {"vocoder": "!include:models/vocoder/hifigan.yaml"},
    },
    "hubert-tiny": {
        "config": {
            "hidden_size": 32,
            "num_hidden_layers": 4,
            "num_attention_heads": 2,
            "intermediate_size": 64,
            "conv_dim": [16] * 7,
            "num_conv_pos_embeddings": 16,
            "num_conv_pos_embedding_groups": 4,
        },
        "layer": 2,
        "bottleneck": 16,
        "vocoder": {
            "vocoder": "!include:models/vocoder/hifigan_small.yaml",
            "discriminator": (
                "!new:miipher2.models.discriminators.FrameDiscriminator"
            ),
            "vocoder_frames": 12,
        },
    },
}


# -------------------------------------------------------------------- data


def speech_chunks(folder, seed=0):
    """Yield an endless stream of chunks of speech.

    Arguments
    ---------
    folder : str
        Folder of recordings, or None for synthetic signals.
    seed : int
        Seed of the order of files or of the synthetic signals.

    Yields
    ------
    numpy.ndarray
        ``(time,)`` at 16 kHz.
    """
    import numpy

    from miipher2.dataio.audio import read_audio
    from miipher2.dataio.audio_files import list_audio
    from miipher2.errors import UserError

    rng = numpy.random.default_rng(seed)
    if folder is not None:
        paths = [Path(folder, file.path) for file in list_audio(folder)]
        if not paths:
            raise UserError(f"{folder}: no recordings found")
        while True:
            for index in rng.permutation(len(paths)):
                yield read_audio(paths[index], RATE).numpy()
    while True:
        seconds = numpy.arange(5 * RATE) / RATE
        pitch = rng.uniform(90, 220) * (1 + 0.1 * numpy.sin(3 * seconds))
        phase = 2 * numpy.pi * numpy.cumsum(pitch) / RATE
        tone = sum(numpy.sin(k * phase) / k for k in range(1, 20))
        syllables = numpy.sin(2 * numpy.pi * 3 * seconds).clip(min=0)
        hiss = 0.003 * rng.standard_normal(len(seconds))
        yield (0.05 * tone * syllables + hiss).astype(numpy.float32)


def write_recording(path, chunks, seconds):
    """Write a file of a given duration from chunks of audio."""
    import soundfile

    path.parent.mkdir(parents=True, exist_ok=True)
    missing = round(seconds * RATE)
    with soundfile.SoundFile(path, "w", RATE, 1) as file:
        while missing:
            chunk = next(chunks)[:missing]
            file.write(chunk)
            missing -= len(chunk)


# ------------------------------------------------------------------- models


def load_experiment(stage, size, folder, **overrides):
    """Load the YAML file of a stage.

    Arguments
    ---------
    stage : str
        ``pa`` or ``vocoder``.
    size : str
        One of ``SIZES``.
    folder : Path
        Folder of the backbone, the corpus and the outputs of the stages.
    **overrides : dict
        Additional overrides. None removes an override.

    Returns
    -------
    hparams : dict
        The loaded hyperparameters.
    text : str
        All overrides as YAML.
    """
    from miipher2.training.experiment import load_hparams

    sys.path += map(str, ROOT.glob("recipes/*"))
    chosen = SIZES[size]
    values = {
        "output_folder": folder / stage,
        "data_folder": folder / "speech",
        "ssl_source": folder / "backbone",
        "ssl_layer": chosen["layer"],
        "adapter_bottleneck": chosen["bottleneck"],
    }
    if stage == "vocoder":
        values["cleaner_folder"] = folder / "pa"
        values.update(chosen["vocoder"])
    values.update(overrides)
    text = "".join(
        f"{key}: {value}\n"
        for key, value in values.items()
        if value is not None
    )
    return load_hparams(str(ROOT / f"hparams/{stage}.yaml"), text), text


def save_backbone(size, folder):
    """Save a backbone with random weights in Hugging Face format."""
    import torch
    from transformers import HubertConfig, HubertModel, Wav2Vec2FeatureExtractor

    config = HubertConfig(
        **SIZES[size]["config"],
        feat_extract_norm="layer",
        do_stable_layer_norm=True,
        conv_bias=True,
    )
    torch.manual_seed(0)
    HubertModel(config).save_pretrained(folder)
    Wav2Vec2FeatureExtractor(do_normalize=True).save_pretrained(folder)


class ReferenceAdapter:
    """Parallel adapter as a forward hook, a common way to implement adapters.

    Arguments
    ---------
    down, up : torch.nn.Linear
        The two projections.
    """

    def __init__(self, down, up):
        self.down, self.up = down, up
        self.enabled = True

    def __call__(self, module, inputs, output):
        return output + self.residual(inputs[0]) if self.enabled else output

    def residual(self, x):
        """Return the residual that the adapter adds to the module output."""
        return self.up(self.down(x).relu())


class ReferenceBackbone:
    """Complete backbone in fp32 that computes all hidden states.

    Arguments
    ---------
    source : Path
        Folder of the backbone.
    adapters : list of tuple
        Down and up projections of the adapters, starting at the first layer.
    device : str
        Device of the model.
    """

    def __init__(self, source, adapters, device):
        import torch
        from transformers import AutoFeatureExtractor, AutoModel

        self.device = device
        self.extractor = AutoFeatureExtractor.from_pretrained(source)
        self.model = AutoModel.from_pretrained(source, dtype=torch.float32)
        self.model.eval().requires_grad_(False).to(device)
        self.layer = len(adapters)
        self.adapters = [
            ReferenceAdapter(down.to(device), up.to(device))
            for down, up in adapters
        ]
        for adapter, layer in zip(
            self.adapters, self.model.encoder.layers, strict=False
        ):
            layer.feed_forward.register_forward_hook(adapter)

    def __call__(self, wavs):
        """Encode waveforms ``(batch, time)`` as ``(batch, frames, width)``.

        The edges are padded as in ``SSLBackbone``, so that the outputs differ
        in precision only.
        """
        import torch

        from miipher2.models.backbone import FULL_LAYERS_KEY

        inputs = self.extractor(
            list(wavs.cpu().numpy()), sampling_rate=RATE, return_tensors="pt"
        ).input_values
        config, field, hop = self.model.config, 1, 1
        for kernel, stride in zip(
            config.conv_kernel, config.conv_stride, strict=True
        ):
            field, hop = field + (kernel - 1) * hop, hop * stride
        total = (-(-inputs.shape[1] // hop) - 1) * hop + field
        left = (field - hop) // 2
        inputs = torch.nn.functional.pad(
            inputs, (left, total - left - inputs.shape[1])
        )
        output = self.model(inputs.to(self.device), output_hidden_states=True)
        layers = getattr(config, FULL_LAYERS_KEY, config.num_hidden_layers)
        if self.layer == layers:  # after the final layer norm
            return output.last_hidden_state
        return output.hidden_states[self.layer]
