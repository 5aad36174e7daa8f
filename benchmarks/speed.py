"""What ``benchmarks/restore.py`` and ``benchmarks/train.py`` share.

The models at several sizes, the plain way of running them, clocks, and jobs in
processes of their own.

Authors
 * The miipher2 authors 2026
"""

import argparse
import contextlib
import functools
import json
import platform
import resource
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
RATE = 16000

# A backbone's config, the layer that is used, and what the YAMLs are told.
SIZES = {
    "hubert-large": {
        "config": {
            "hidden_size": 1024,
            "num_hidden_layers": 24,
            "num_attention_heads": 16,
            "intermediate_size": 4096,
        },
        "layer": 8,  # that of hparams/models/ssl/hubert_large.yaml
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
                "!new:miipher2.vocoders.discriminators.FrameDiscriminator"
            ),
            "vocoder_frames": 12,
        },
    },
}


def apart(script, job, limit=None):
    """Runs a job in a process of its own, so that its memory is its own.

    Arguments
    ---------
    script : str
        The benchmark; ``--job`` makes it run one job.
    job : dict
        The job's name and arguments.
    limit : float
        Seconds after which it is ended.

    Returns
    -------
    dict
        All figures that the job gave; ``failed`` says why there are no more.
    """
    command = [sys.executable, script, "--job", json.dumps(job)]
    # ended from outside, it takes its job and its folders along
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with tempfile.TemporaryFile("w+") as told:
        process = subprocess.Popen(command, stdout=told)
        try:
            code = process.wait(limit)
            failed = code and f"exit code {code}"
        except subprocess.TimeoutExpired:
            failed = f"not done after {limit:.0f} s"
        finally:
            process.kill()
            process.wait()
        told.seek(0)
        figures = {}
        for line in told:
            with contextlib.suppress(ValueError):
                figures.update(json.loads(line))
    if failed:
        figures.setdefault("failed", failed)
    return figures


def run_job(jobs, text):
    """Runs a job in this process and prints its figures as they come.

    Arguments
    ---------
    jobs : dict
        Name -> function of the job that yields dicts.
    text : str
        The job as JSON.
    """
    job = json.loads(text)
    for figures in jobs[job["job"]](job):
        print(json.dumps(figures), flush=True)


def common_options(parser):
    """Adds the options that both benchmarks have."""
    parser.add_argument("--job", help=argparse.SUPPRESS)
    parser.add_argument(
        "--data", metavar="FOLDER", help="speech; default: generated signals"
    )
    parser.add_argument("--device", default="cpu", help="cpu or cuda")
    parser.add_argument(
        "--repeats", type=int, default=3, help="the median of so many counts"
    )
    parser.add_argument(
        "--limit",
        type=float,
        default=3600.0,
        metavar="S",
        help="seconds after which a measurement is given up",
    )


# ------------------------------------------------------------------- sounds


def sounds(folder, seed=0):
    """Pieces of speech without end.

    Arguments
    ---------
    folder : str
        Recordings; None: something like speech is generated.
    seed : int
        Which recordings, which voices.

    Yields
    ------
    numpy.ndarray
        ``(time,)`` at 16 kHz.
    """
    import numpy

    from miipher2.audio import read_audio
    from miipher2.audio_files import list_audio
    from miipher2.errors import UserError

    rng = numpy.random.default_rng(seed)
    if folder is not None:
        paths = [Path(folder, file.path) for file in list_audio(folder)]
        if not paths:
            raise UserError(f"{folder}: no recordings there")
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


def write_sound(path, pieces, seconds):
    """Writes a file of a given duration from pieces of sound."""
    import soundfile

    path.parent.mkdir(parents=True, exist_ok=True)
    missing = round(seconds * RATE)
    with soundfile.SoundFile(path, "w", RATE, 1) as file:
        while missing:
            piece = next(pieces)[:missing]
            file.write(piece)
            missing -= len(piece)


# ------------------------------------------------------------------- models


def experiment(stage, size, folder, **overrides):
    """A stage's experiment, as its YAML has it.

    Arguments
    ---------
    stage : str
        ``pa`` or ``vocoder``.
    size : str
        One of ``SIZES``.
    folder : Path
        Holds the backbone, gets the stage's output.
    **overrides : dict
        What else to override in the YAML; None: nothing is.

    Returns
    -------
    hparams : dict
        The experiment.
    text : str
        Its overrides.
    """
    from miipher2.experiment import load_hparams

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
    """Saves a whole backbone of random weights as a hub would have it."""
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


class Adapter:
    """A parallel adapter as a hook, which is how it is often done.

    Arguments
    ---------
    down, up : torch.nn.Linear
        The two projections.
    """

    def __init__(self, down, up):
        self.down, self.up = down, up
        self.enabled = True

    def __call__(self, module, inputs, output):
        return output + self.change(inputs[0]) if self.enabled else output

    def change(self, x):
        """What it adds."""
        return self.up(self.down(x).relu())


class PlainBackbone:
    """A whole backbone in fp32, all of whose hidden states are asked for.

    Arguments
    ---------
    source : Path
        Its folder.
    adapters : list of tuple
        The projections of each adapter, down and up, from the first layer on.
    device : str
        Where to run.
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
            Adapter(down.to(device), up.to(device)) for down, up in adapters
        ]
        for adapter, layer in zip(
            self.adapters, self.model.encoder.layers, strict=False
        ):
            layer.feed_forward.register_forward_hook(adapter)

    def __call__(self, wavs):
        """Features ``(batch, frames, width)`` of ``(batch, time)``.

        The edges are padded as this package does it, so that the frames are
        the same ones and what differs is the precision.
        """
        import torch

        from miipher2.ssl import FULL_LAYERS_KEY

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
        if self.layer == layers:  # of all, and with the norm above it
            return output.last_hidden_state
        return output.hidden_states[self.layer]


# ---------------------------------------------------------------- measuring


class Clock:
    """What is spent in the parts of a model, not counting parts inside them.

    Arguments
    ---------
    now : callable
        Gives the time, or anything else that grows.

    Example
    -------
    >>> clock = Clock(now=iter([0, 1, 3, 10]).__next__)
    >>> with clock.part("layers"), clock.part("adapters"):
    ...     pass
    >>> dict(clock.spent)
    {'adapters': 2, 'layers': 8}
    """

    def __init__(self, now):
        self.now = now
        self.spent = defaultdict(int)
        self.inside = []

    @contextlib.contextmanager
    def part(self, name):
        """Counts what is spent in a ``with`` block."""
        self.inside.append(0)
        start = self.now()
        try:
            yield
        finally:
            spent = self.now() - start
            self.spent[name] += spent - self.inside.pop()
            if self.inside:
                self.inside[-1] += spent

    @contextlib.contextmanager
    def watching(self, parts):
        """Counts methods, until the end of a ``with`` block.

        Arguments
        ---------
        parts : list of tuple
            Name of the part, object, name of the object's method.
        """
        for name, owner, method in parts:
            setattr(owner, method, self._watched(name, getattr(owner, method)))
        try:
            yield self
        finally:
            for _, owner, method in parts:
                delattr(owner, method)

    def _watched(self, name, method):
        @functools.wraps(method)
        def watched(*args, **kwargs):
            with self.part(name):
                return method(*args, **kwargs)

        return watched


def seconds_on(device):
    """A clock's ``now`` for a device."""
    import torch

    def now():
        if device != "cpu":
            torch.cuda.synchronize()
        return time.perf_counter()

    return now


def peak_gib(device):
    """Peak memory of this process so far and, on a GPU, of the GPU."""
    import torch

    peaks = {
        "rss": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20,
    }
    if device != "cpu":
        peaks["gpu"] = torch.cuda.max_memory_allocated() / 2**30
    return peaks


def spare_the_machine():
    """Lets too large an allocation fail, before the system ends processes."""
    with contextlib.suppress(OSError, ValueError, IndexError):
        lines = Path("/proc/meminfo").read_text().splitlines()
        free = [line for line in lines if line.startswith("MemAvailable")]
        limit = int(0.85 * 1024 * int(free[0].split()[1]))
        resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))


def out_of_memory(error):
    """Whether an error is that."""
    import torch

    return isinstance(error, (MemoryError, torch.OutOfMemoryError)) or (
        "allocate memory" in str(error)
    )


def device_limit(device, precision, seconds=1.0):
    """GFLOP/s of a large matrix product: what the device can do at best."""
    import torch

    dtype = {"fp32": torch.float32, "bf16": torch.bfloat16}.get(
        precision, torch.float16
    )
    size = 2048 if device == "cpu" else 8192
    a, b = torch.randn(2, size, size, device=device).to(dtype)
    now, found = seconds_on(device), []
    begun = now()
    while now() - begun < seconds or len(found) < 3:
        start = now()
        a @ b
        found.append(2e-9 * size**3 / (now() - start))
    return max(found)


def machine(device):
    """The processor, the threads and the versions, in a line."""
    import torch
    import transformers

    name = platform.processor() or platform.machine()
    with contextlib.suppress(OSError, IndexError):
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        names = [line for line in lines if line.startswith("model name")]
        name = names[0].split(":")[1].strip()
    name = f"{name}, {torch.get_num_threads()} threads"
    if device != "cpu":
        name = f"{torch.cuda.get_device_name()}, {name}"
    return (
        f"{name}, torch {torch.__version__}, "
        f"transformers {transformers.__version__}"
    )


def memory(peak):
    """GiB, and those of the GPU."""
    if peak is None:
        return None
    return " + ".join(f"{value:.2f}" for value in peak.values())


def spread(values):
    """The median, with the lowest and the highest value."""
    return {
        "median": statistics.median(values),
        "lowest": min(values),
        "highest": max(values),
    }


def markdown(header, rows):
    """A table.

    Example
    -------
    >>> print(markdown(["a", "b"], [["x", 1.0]]))
    | a | b |
    |---|---|
    | x | 1 |
    """
    lines = [header, ["---"] * len(header), *rows]
    text = [[shown(value) for value in line] for line in lines]
    text[1] = ["---"] * len(header)
    lines = ["| " + " | ".join(line) + " |" for line in text]
    lines[1] = "|" + "---|" * len(header)
    return "\n".join(lines)


def shown(value):
    """A number with three digits, at least; nothing for None."""
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:.3g}" if abs(value) < 100 else f"{value:.0f}"
    return str(value)
