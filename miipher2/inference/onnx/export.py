"""Export of a model to an ONNX file, checked against PyTorch.

Authors
 * The miipher2 authors 2026
"""

import json
import math
from pathlib import Path

import numpy as np
import torch
from torchaudio.transforms import MelSpectrogram

from miipher2 import __version__
from miipher2.dataio.atomic import atomic_write
from miipher2.errors import UserError
from miipher2.inference.model_folder import DEFAULT
from miipher2.inference.onnx.restorer import PREFIX, OnnxRestorer
from miipher2.inference.restorer import Restorer
from miipher2.inference.windows import Channel, Window

MAX_BYTES = 2**31 - 1  # maximum size of a protocol buffer in bytes
CHECK_FRAMES = 150, 100  # frames of two consecutive windows
N_FFT, N_MELS = 1024, 80
# Maximum mean difference between the outputs of onnxruntime and PyTorch. Mel
# spectra are compared, because a small change in pitch shifts the phase from
# then on.
MAX_DIFFERENCE_DB = {"fp32": 0.1, "int8": 2.0}


def export_onnx(source, output, weights="fp32", trust_model=False):
    """Write a model as an ONNX file.

    Arguments
    ---------
    source : str or Path
        The model, see ``Restorer.from_hparams``.
    output : str or Path
        The file to write; it must not exist.
    weights : str
        ``fp32`` or ``int8``.
    trust_model : bool
        See ``Restorer.from_hparams``.

    Returns
    -------
    str
        A summary of the file and the command that uses it.

    Raises
    ------
    UserError
        If the file exists or does not end in .onnx, a package is missing, the
        model cannot be exported, or the outputs of onnxruntime and PyTorch
        differ too much.
    """
    output = Path(output)
    _check_path(output)
    try:
        import onnxruntime  # noqa: F401
        import onnxscript  # noqa: F401

        from miipher2.inference.onnx.weights import quantise
    except ImportError as error:
        raise UserError(
            f"export-onnx needs {error.name}: pip install onnx onnxruntime "
            "onnxscript"
        ) from None
    from miipher2.inference.onnx.graph import to_onnx

    restorer = Restorer.from_hparams(
        source, trust_model, run_opts={"device": "cpu", "precision": "fp32"}
    )
    model = to_onnx(restorer)
    if weights == "int8":
        quantise(model)
    _set_metadata(model, restorer, source, weights)
    size = model.ByteSize()
    if size > MAX_BYTES:
        hint = "" if weights == "int8" else "--weights int8 or "
        raise UserError(
            f"{source}: the ONNX file would be {size / 1e9:.1f} GB; expected "
            f"at most 2.1 GB; use {hint}a smaller encoder"
        )
    content = model.SerializeToString()
    difference = mel_difference(
        *map(check_output, (restorer, OnnxRestorer(content))),
        restorer.sample_rate,
    )
    if not difference <= MAX_DIFFERENCE_DB[weights]:
        raise UserError(
            f"{source}: with {weights} weights, onnxruntime's output differs "
            f"from PyTorch's by {difference:.2f} dB; expected at most "
            f"{MAX_DIFFERENCE_DB[weights]} dB"
        )
    with atomic_write(output) as file:
        file.write(content)
    return (
        f"{output}: {size / 1e6:.0f} MB, {weights} weights; differs from "
        f"PyTorch by {difference:.2f} dB. Restore with: miipher2 restore INPUT "
        f"OUTPUT --model {output}"
    )


def check_output(restorer):
    """Return the output of a model for two consecutive windows.

    Arguments
    ---------
    restorer : miipher2.inference.base.BaseRestorer
        The model.

    Returns
    -------
    torch.Tensor
        The restored windows, concatenated ``(time,)``.
    """
    wav = _test_signal(sum(CHECK_FRAMES) * restorer.input_hop, restorer)
    channel, states, outputs = Channel(gain=1.0), {}, []
    starts = 0, CHECK_FRAMES[0], None
    for index, frames in enumerate(CHECK_FRAMES):
        start, next_start = starts[index : index + 2]
        part = wav[start * restorer.input_hop :][: frames * restorer.input_hop]
        window = Window(None, channel, part, start, next_start)
        output, _, states = restorer.restore_windows(
            torch.from_numpy(part)[None], None, [window], states
        )
        outputs.append(output[0])
    return torch.cat(outputs)


def mel_difference(expected, found, sample_rate):
    """Return the mean difference between the mel spectra of two waveforms.

    Levels are clamped at 60 dB below the maximum of ``expected``, so that very
    quiet bands do not count.

    Arguments
    ---------
    expected, found : torch.Tensor
        ``(time,)``.
    sample_rate : int
        Sample rate in Hz.

    Returns
    -------
    float
        Difference in dB; infinite if any sample is not finite.

    Example
    -------
    >>> wav = torch.rand(16000)
    >>> round(mel_difference(wav, 2 * wav, 16000), 2)
    6.02
    """
    mel = MelSpectrogram(
        sample_rate, N_FFT, f_max=sample_rate / 2, n_mels=N_MELS
    )(torch.stack([expected, found]))
    first, second = 10 * mel.clamp(min=1e-6 * float(mel[0].max())).log10()
    difference = float((first - second).abs().mean())
    return difference if math.isfinite(difference) else math.inf


def _test_signal(samples, restorer):
    """Return noisy syllables with a gliding pitch, ``(samples,)``."""
    time = np.arange(samples) / restorer.input_rate
    phase = 2 * np.pi * (150 * time + 10 * np.sin(3 * time))
    wav = sum(np.sin(k * phase) / k for k in range(1, 20))
    wav *= np.clip(np.sin(6 * np.pi * time), 0, None)
    wav += 0.05 * np.random.default_rng(0).standard_normal(samples)
    return (0.05 * wav / wav.std()).astype(np.float32)


def _set_metadata(model, restorer, source, weights):
    """Store the metadata for restoration; remove references to source code."""
    from onnx.helper import set_model_props

    values = {
        "version": __version__,
        "model": Path(source or DEFAULT).name,
        "weights": weights,
        "input_rate": restorer.input_rate,
        "input_hop": restorer.input_hop,
        "sample_rate": restorer.sample_rate,
        "hop_length": restorer.hop_length,
        "window": restorer.plan.window,
        "overlap": restorer.plan.overlap,
        "input_level": json.dumps(restorer.input_level),
    }
    graph = model.graph
    for item in (*graph.node, *graph.value_info, *graph.initializer, graph):
        del item.metadata_props[:]
    del model.functions[:]
    set_model_props(
        model, {f"{PREFIX}{key}": str(value) for key, value in values.items()}
    )


def _check_path(output):
    """Raise a ``UserError`` unless the name is valid and not in use."""
    if output.suffix != ".onnx":
        raise UserError(f"{output}: expected a name that ends in .onnx")
    if output.exists():
        raise UserError(
            f"{output}: exists; choose a different name, or remove it"
        )
