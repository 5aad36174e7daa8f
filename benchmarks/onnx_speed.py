"""Compare ONNX files with PyTorch models in speed, size and output.

    python benchmarks/onnx_speed.py --folder FOLDER > table.md

Restores one window of speech repeatedly on one thread, alternating between
PyTorch in fp32, PyTorch in the fastest precision of the CPU, and ONNX Runtime
with fp32 and with int8 weights. The speed is measured in CPU time, on which
other programs have little effect. The column "difference" is the mean absolute
difference in dB between the mel spectra of a system's output and the first
system's output. ONNX files that do not exist in the folder are exported first.

Prints a Markdown table.

Authors
 * The miipher2 authors 2026
"""

import argparse
import statistics
import time
from pathlib import Path

import soundfile
import timing
import torch

from miipher2.dataio.decoding import resampler
from miipher2.inference.model_folder import find_model, pretrained_models
from miipher2.inference.onnx.export import export_onnx, mel_difference
from miipher2.inference.onnx.restorer import OnnxRestorer
from miipher2.inference.precision import best_precision
from miipher2.inference.restorer import Restorer

ROOT = Path(__file__).resolve().parents[1]
SPEECH = ROOT / "examples" / "noisy" / "valid_001.flac"
WEIGHTS = "fp32", "int8"


def systems(model, folder):
    """Load the systems that run a model.

    Arguments
    ---------
    model : str
        Name of a bundled model.
    folder : Path
        Folder of the ONNX files.

    Returns
    -------
    dict
        (restorer, size of its files in MB), by name of the system.
    """
    files = [
        path
        for path in find_model(model).rglob("*.safetensors")
        if path.name != "discriminator.safetensors"
    ]
    size = sum(path.stat().st_size for path in files) / 1e6
    found = {}
    for precision in dict.fromkeys(["fp32", best_precision("cpu")]):
        options = {"device": "cpu", "precision": precision}
        restorer = Restorer.from_hparams(model, run_opts=options)
        found[f"PyTorch, {precision}"] = restorer, size
    for weights in WEIGHTS:
        path = folder / f"{model}-{weights}.onnx"
        if not path.exists():
            export_onnx(model, path, weights)
        size = path.stat().st_size / 1e6
        found[f"ONNX, {weights} weights"] = OnnxRestorer(path, 1), size
    return found


def speech(restorer, seconds):
    """Return ``seconds`` of a repeated recording, as ``(1, time)``."""
    wav, rate = soundfile.read(SPEECH, dtype="float32")
    wav = resampler(rate, restorer.input_rate)(wav, last=True)
    frames = round(seconds * restorer.input_rate / restorer.input_hop)
    samples = frames * restorer.input_hop
    return torch.from_numpy(wav).repeat(1 + samples // len(wav))[None, :samples]


def measure(model, folder, seconds, repeats):
    """Measure the systems of a model; return rows of the table."""
    found = systems(model, folder)
    spent, outputs = {name: [] for name in found}, {}
    for repeat in range(repeats + 1):
        for name, (restorer, _) in found.items():
            wavs = speech(restorer, seconds)
            start = time.process_time()
            outputs[name] = restorer.restore_windows(wavs)[0][0]
            if repeat:  # the first run is a warm-up
                spent[name].append(time.process_time() - start)
    reference = next(iter(found))
    rows = []
    for name, (restorer, size) in found.items():
        spent_seconds = statistics.median(spent[name])
        ratio = statistics.median(spent[reference]) / spent_seconds
        difference = mel_difference(
            outputs[reference], outputs[name], restorer.sample_rate
        )
        rows.append(
            [model, name, size, seconds / spent_seconds, ratio, difference]
        )
    return rows


def main():
    """Parse the command line, measure the models and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--models", nargs="+", default=pretrained_models())
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--repeats", type=int, default=5)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    rows = []
    for model in arguments.models:
        rows += measure(
            model, arguments.folder, arguments.seconds, arguments.repeats
        )
    print(timing.describe_machine("cpu"), end="\n\n")
    header = ["model", "system", "MB", "x real time", "ratio", "difference, dB"]
    print(timing.markdown(header, rows))


if __name__ == "__main__":
    main()
