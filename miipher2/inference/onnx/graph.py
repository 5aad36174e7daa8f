"""Conversion of a complete model to one ONNX graph.

Authors
 * The miipher2 authors 2026
"""

import contextlib
import copy
import logging
import warnings

import torch
from torch import nn

from miipher2.errors import UserError
from miipher2.inference.onnx.inputs import Resampler, encoder_input
from miipher2.inference.onnx.vocoders import RealHarmonic, exportable

OPSET = 20
# Frames of the window that is traced. The graph accepts other lengths, too.
TRACED_FRAMES = 100


class Graph(nn.Module):
    """A module that restores a window with real-valued tensors only.

    Arguments
    ---------
    restorer : miipher2.inference.restorer.Restorer
        The model, on the CPU. Its modules are copied.

    Attributes
    ----------
    inputs : dict
        Example value of each input, by name.
    outputs : list of str
        Names of the outputs.
    """

    def __init__(self, restorer):
        super().__init__()
        modules = copy.deepcopy(restorer.mods)
        self.backbone = modules.cleaner.adapted_model
        self.vocoder = exportable(modules.generator, restorer.plan.overlap)
        self.presence = (
            modules.speech_presence if "speech_presence" in modules else None
        )
        rates = restorer.input_rate, modules.cleaner.sample_rate
        self.resample = Resampler(*rates) if rates[0] != rates[1] else None
        self.prepare = encoder_input(self.backbone.front_end)
        frames = min(TRACED_FRAMES, restorer.plan.window)
        samples = frames * restorer.input_hop
        self.inputs = {"waveform": 0.1 * torch.randn(1, samples)}
        self.outputs = ["restored"]
        if isinstance(self.vocoder, RealHarmonic):
            self.inputs |= {
                "start": torch.tensor([1]),
                "next_start": torch.tensor([2]),
                "phase": torch.tensor([0.5], dtype=torch.float64),
            }
            self.outputs.append("next_phase")
        if self.presence is not None:
            self.outputs.append("presence")

    def forward(self, waveform, start=None, next_start=None, phase=None):
        """Restore a window; see ``RealHarmonic.forward``."""
        speech = waveform
        if self.resample is not None:
            speech = self.resample(waveform)
        front_end, model = self.backbone.front_end, self.backbone.model
        hidden = front_end.stem(model, self.prepare(speech), 0)
        features = self.backbone.encode(hidden)
        state = (start, next_start, phase) if phase is not None else ()
        outputs = self.vocoder(features, waveform, *state)
        if self.presence is not None:
            outputs = (*outputs, self.presence(features))
        return outputs


def to_onnx(restorer):
    """Convert a model to ONNX.

    Arguments
    ---------
    restorer : miipher2.inference.restorer.Restorer
        The model, on the CPU in single precision.

    Returns
    -------
    onnx.ModelProto
        A graph for windows of 2 to ``restorer.plan.window`` frames.

    Raises
    ------
    UserError
        If the model cannot be converted.
    """
    graph = Graph(restorer).eval()
    frames = torch.export.Dim("frames", min=2, max=restorer.plan.window)
    shapes = [{1: restorer.input_hop * frames}]
    shapes += [None] * (len(graph.inputs) - 1)
    try:
        with torch.no_grad(), _no_warnings():
            program = torch.onnx.export(
                graph,
                tuple(graph.inputs.values()),
                input_names=list(graph.inputs),
                output_names=graph.outputs,
                dynamic_shapes=tuple(shapes),
                opset_version=OPSET,
                dynamo=True,
                verbose=False,
            )
    except torch.onnx.errors.OnnxExporterError as error:
        reason = str(error.__cause__ or error).strip().partition("\n")[0]
        raise UserError(
            f"a model with {type(restorer.mods.generator).__name__} and "
            f"{restorer.mods.cleaner.adapted_model.model_type} cannot be "
            f"converted to ONNX ({reason})"
        ) from None
    return program.model_proto


@contextlib.contextmanager
def _no_warnings():
    """Suppress warnings from the exporter, which users cannot act on."""
    disabled = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(disabled)
