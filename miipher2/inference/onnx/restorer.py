"""Inference interface of a model in an ONNX file.

Authors
 * The miipher2 authors 2026
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from miipher2.errors import UserError
from miipher2.inference.base import BaseRestorer
from miipher2.inference.windows import Window, WindowPlan

# Prefix of metadata keys
PREFIX = "miipher2."


class OnnxRestorer(BaseRestorer):
    """A model that restores degraded speech with onnxruntime, on the CPU.

    Like ``Restorer``, it restores clips, batches and files, but it builds no
    PyTorch modules. Threads can share an object of this class.

    Arguments
    ---------
    source : str, Path or bytes
        A file written by ``miipher2 export-onnx``, or its content.
    threads : int
        Number of threads for onnxruntime. None for as many as PyTorch uses.

    Attributes
    ----------
    device : str
        Always ``cpu``.
    precision : str
        Precision of the weights, ``fp32`` or ``int8``.
    window, overlap : int
        Maximum number of frames per window, and minimum number of frames shared
        by neighbouring windows.

    Raises
    ------
    UserError
        If the file does not exist or was not written by ``miipher2
        export-onnx``, or if onnxruntime is not installed.

    Example
    -------
    >>> restorer = OnnxRestorer("model.onnx")  # doctest: +SKIP
    >>> restorer.restore_file("noisy.wav", "restored.wav")  # doctest: +SKIP
    """

    device = "cpu"

    def __init__(self, source: str | Path | bytes, threads: int | None = None):
        try:
            import onnxruntime
        except ImportError:
            raise UserError(
                "an ONNX model needs onnxruntime: pip install onnxruntime"
            ) from None
        name = "the model" if isinstance(source, bytes) else str(source)
        content = source
        if not isinstance(source, bytes):
            if not Path(source).is_file():
                raise UserError(f"{name}: no such file")
            content = Path(source).read_bytes()
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads or torch.get_num_threads()
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        try:
            self.session = onnxruntime.InferenceSession(
                content, options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # onnxruntime's exceptions are private
            reason = str(error).strip().partition("\n")[0]
            raise UserError(
                f"{name}: cannot be loaded by onnxruntime ({reason}); expected "
                "a file written by miipher2 export-onnx"
            ) from None
        self.identity = hashlib.sha256(content).hexdigest()[:12]
        self._read_metadata(name)
        self.outputs = [output.name for output in self.session.get_outputs()]
        self.has_state = "next_phase" in self.outputs

    def _read_metadata(self, name: str) -> None:
        """Set attributes from the metadata of the file."""
        metadata = self.session.get_modelmeta().custom_metadata_map
        try:
            values: dict[str, Any] = {
                key.removeprefix(PREFIX): value
                for key, value in metadata.items()
                if key.startswith(PREFIX)
            }
            self.input_rate = int(values["input_rate"])
            self.input_hop = int(values["input_hop"])
            self.sample_rate = int(values["sample_rate"])
            self.hop_length = int(values["hop_length"])
            self.window = int(values["window"])
            self.overlap = int(values["overlap"])
            self.precision = values["weights"]
            self.input_level = json.loads(values["input_level"])
        except (KeyError, ValueError) as error:
            reason = f"lacks {PREFIX}{error.args[0]}"
            if isinstance(error, ValueError):
                reason = f"is invalid ({error})"
            raise UserError(
                f"{name}: its metadata {reason}; expected a file written by "
                "miipher2 export-onnx"
            ) from None

    @property
    def plan(self) -> WindowPlan:
        """Window length and overlap."""
        return WindowPlan(self.window, self.overlap, self.input_hop, even=True)

    def restore_windows(
        self,
        wavs: torch.Tensor,
        lengths: torch.Tensor | None = None,
        windows: Sequence[Window] = (),
        states: dict | None = None,
    ) -> tuple[torch.Tensor, torch.Tensor | None, dict]:
        """Run the model on a batch of windows, one window at a time.

        Arguments
        ---------
        wavs, lengths, windows, states
            See ``Restorer.restore_windows``. The state of a channel is the
            phase of the vocoder's pulses, in cycles.

        Returns
        -------
        wavs, presence, states
            See ``Restorer.restore_windows``.
        """
        states = dict(states or {})
        frames = wavs.shape[1] // self.input_hop
        restored = torch.zeros(len(wavs), frames * self.hop_length)
        presence = torch.zeros(len(wavs), frames)
        for row, wav in enumerate(wavs.numpy()):
            if lengths is not None:
                wav = wav[: round(float(lengths[row]) * len(wav))]
            window = windows[row] if row < len(windows) else None
            results = self._run(wav, window, states)
            for name, tensor in (
                ("restored", restored),
                ("presence", presence),
            ):
                if name in results:
                    values = torch.from_numpy(results[name][0])
                    tensor[row, : len(values)] = values
        return (
            restored,
            presence if "presence" in self.outputs else None,
            states,
        )

    def _run(
        self, wav: np.ndarray, window: Window | None, states: dict
    ) -> dict[str, np.ndarray]:
        """Run the model on a window; update the state of its channel."""
        inputs = {"waveform": wav[None]}
        if self.has_state:
            start = next_start = 0
            phase = 0.0
            if window is not None:
                start = window.start
                next_start = (
                    start if window.next_start is None else window.next_start
                )
                phase = states.pop(window.channel, 0.0)
            inputs |= {
                "start": np.array([start]),
                "next_start": np.array([next_start]),
                "phase": np.array([phase]),
            }
        values = self.session.run(self.outputs, inputs)
        results = dict(zip(self.outputs, values, strict=True))
        if (
            self.has_state
            and window is not None
            and window.next_start is not None
        ):
            states[window.channel] = float(results["next_phase"][0])
        return results
