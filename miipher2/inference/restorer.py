"""Inference interface of a trained restoration model.

Authors
 * The miipher2 authors 2026
"""

from __future__ import annotations

import pickle
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from speechbrain.inference.interfaces import Pretrained
from speechbrain.utils.autocast import AMPConfig, TorchAutocast
from speechbrain.utils.fetching import LocalStrategy

from miipher2.dataio.hparams import yaml_errors
from miipher2.errors import UserError
from miipher2.inference.base import BaseRestorer
from miipher2.inference.features import repeat_last_frame, resample_windows
from miipher2.inference.model_folder import (
    HYPERPARAMS,
    find_model,
    model_identity,
    update_names,
)
from miipher2.inference.precision import cast_weights
from miipher2.inference.trust import check_yaml
from miipher2.inference.windows import Window, WindowPlan


class Restorer(BaseRestorer, Pretrained):
    """A trained model that restores degraded speech.

    The features of a frozen speech encoder, the backbone, are cleaned by
    adapters, and a vocoder synthesises speech from them. The output has the
    same duration and, by default, about the same loudness as the input, and is
    muted where the input is silent for at least 0.3 s. Files are restored in
    windows, so memory use does not depend on their duration. A model with a
    speech detector attenuates the output by 30 dB where it detects no speech.

    Threads can share a Restorer, but it cannot be pickled. A process that is
    forked after torch has started threads can hang, so start processes with
    ``multiprocessing.get_context("spawn")`` and load the model in each process.

    Arguments
    ---------
    *args : tuple
    **kwargs : dict
        See ``speechbrain.inference.interfaces.Pretrained``. Use
        ``from_hparams`` to load a model.

    Attributes
    ----------
    input_rate : int
        Sample rate of the input waveforms in Hz: the vocoder's rate if the
        vocoder also uses the recording, otherwise the backbone's rate.
    input_hop : int
        Input samples per frame.
    sample_rate : int
        Sample rate of the restored waveforms in Hz.
    hop_length : int
        Output samples per frame.
    identity : str
        Hash of the model's files.

    Example
    -------
    >>> restorer = Restorer.from_hparams("model")  # doctest: +SKIP
    >>> restorer.restore_file("noisy.wav", "restored.wav")  # doctest: +SKIP
    """

    HPARAMS_NEEDED = ["window_seconds", "overlap_seconds"]
    MODULES_NEEDED = ["cleaner", "generator"]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.mods.cleaner.prepare_inference()
        self.mods.generator.prepare_inference()
        cast_weights(self.mods, self.precision)
        generator, cleaner = self.mods.generator, self.mods.cleaner
        self.sample_rate: int = generator.sample_rate
        self.hop_length: int = generator.hop_length
        reader = generator if generator.needs_recording else cleaner
        self.input_rate: int = reader.sample_rate
        self.input_hop: int = reader.hop_length
        self.identity = ""

    @classmethod
    def from_hparams(
        cls,
        source: str | Path | None = None,
        trust_model: bool = False,
        **kwargs: Any,
    ) -> Restorer:
        """Load a model.

        Arguments
        ---------
        source : str or Path
            A folder written by training (``output_folder/model``), the name of
            a bundled model or a repository on the Hugging Face hub. None for
            the default model.
        trust_model : bool
            Whether the model's YAML may run arbitrary code. If False, it may
            contain only what ``miipher2.inference.trust.check_yaml`` allows,
            such as PyTorch modules and model configs from miipher2,
            speechbrain, torch, torchaudio and transformers.
        **kwargs : dict
            Arguments of ``Pretrained.from_hparams``, for example
            ``run_opts={"device": "cuda", "precision": "bf16"}``.

        Returns
        -------
        Restorer
            The model, ready for inference.

        Raises
        ------
        UserError
            If the model does not exist, is incomplete or corrupt, or uses code
            that is not trusted.
        """
        folder = find_model(source)
        path = folder / HYPERPARAMS
        overrides = {"model_folder": str(folder), **kwargs.pop("overrides", {})}
        with yaml_errors(path):
            original = path.read_text("utf-8")
        text = update_names(original)
        if not trust_model:
            check_yaml(path, overrides, text)
        kwargs |= {
            "overrides": overrides,
            "local_strategy": LocalStrategy.NO_LINK,
        }
        try:
            if text == original:
                restorer = super().from_hparams(str(folder), **kwargs)
            else:
                with tempfile.TemporaryDirectory() as updated:
                    Path(updated, HYPERPARAMS).write_text(text, "utf-8")
                    restorer = super().from_hparams(updated, **kwargs)
        except pickle.UnpicklingError as error:
            reason = str(error).strip().splitlines()[0]
            raise UserError(
                f"{folder}: a weight file contains objects other than "
                f"tensors; such files are not loaded ({reason})"
            ) from None
        restorer.identity = model_identity(folder)
        return restorer

    @property
    def plan(self) -> WindowPlan:
        """Window length and overlap."""
        return WindowPlan.from_seconds(
            self.hparams.window_seconds,
            self.hparams.overlap_seconds,
            self.input_rate,
            self.input_hop,
            # Evenly divided windows save computation, but their length differs
            # between recordings. On a CPU, each batch holds one window by
            # default, so the lengths may differ.
            even=str(self.device).startswith("cpu"),
        )

    @property
    def input_level(self) -> dict[str, float]:
        """Arguments of ``SpeechLevel.gain``, which scales the model's input."""
        return vars(self.hparams).get("input_level", {})

    @torch.inference_mode()
    def restore_windows(
        self,
        wavs: torch.Tensor,
        lengths: torch.Tensor | None = None,
        windows: Sequence[Window] = (),
        states: dict | None = None,
    ) -> tuple[torch.Tensor, torch.Tensor | None, dict]:
        """Run the model on a batch of windows.

        Arguments
        ---------
        wavs : torch.Tensor
            ``(batch, time)`` at ``input_rate``, at the model's input level.
        lengths : torch.Tensor
            Relative lengths ``(batch,)``. None if there is no padding.
        windows : list of miipher2.inference.windows.Window
            The windows in the first rows of ``wavs``. The windows of a channel
            are in order. Other rows are padding.
        states : dict
            Vocoder states by channel, see ``Vocoder.synthesise``.

        Returns
        -------
        wavs : torch.Tensor
            ``(batch, frames * hop_length)`` float32, on the device.
        presence : torch.Tensor
            Log-odds of speech ``(batch, frames)``, on the device. None if the
            model has no speech detector.
        states : dict
            Vocoder states after these windows.
        """
        # A new context, because threads must not share ``inference_ctx``
        with TorchAutocast(
            self.device_type, dtype=AMPConfig.from_name(self.precision).dtype
        ):
            wavs = wavs.to(self.device, non_blocking=wavs.is_pinned())
            features = self.mods.cleaner(
                resample_windows(
                    wavs, self.input_rate, self.mods.cleaner.sample_rate
                ),
                lengths,
            )
            if lengths is not None:
                samples = (lengths * wavs.shape[1]).round()
                frames = (samples / self.input_hop).ceil().long()
                features = repeat_last_frame(features, frames)
            restored, states = self.mods.generator.synthesise(
                features,
                wavs,
                [(w.channel, w.start, w.next_start) for w in windows],
                states,
                self.plan.overlap,
            )
            presence = None
            if "speech_presence" in self.mods:
                presence = self.mods.speech_presence(features)
        return restored.float(), presence, states

    def forward(
        self,
        wavs: torch.Tensor | np.ndarray,
        lengths: torch.Tensor | np.ndarray | None = None,
        sample_rate: int | None = None,
    ) -> torch.Tensor:
        """Restore a batch of clips, see ``restore_batch``."""
        return self.restore_batch(wavs, lengths, sample_rate)
