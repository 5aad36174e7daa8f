"""Inference interface of a trained restoration model.

Authors
 * The miipher2 authors 2026
"""

from __future__ import annotations

import pickle
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from speechbrain.inference.interfaces import Pretrained
from speechbrain.utils.autocast import AMPConfig, TorchAutocast
from speechbrain.utils.fetching import LocalStrategy

from miipher2.dataio.hparams import yaml_errors
from miipher2.dataio.output_names import check_overwriting
from miipher2.errors import UserError
from miipher2.inference.arguments import check_rate
from miipher2.inference.arrays import as_batch, as_clip, lengths_in_samples
from miipher2.inference.batching import Engine
from miipher2.inference.clips import restore_clips
from miipher2.inference.features import repeat_last_frame, resample_windows
from miipher2.inference.items import Item, Row
from miipher2.inference.job import Job, Settings
from miipher2.inference.model_folder import (
    HYPERPARAMS,
    find_model,
    model_identity,
    update_names,
)
from miipher2.inference.precision import cast_weights
from miipher2.inference.recording import RATES
from miipher2.inference.trust import check_yaml
from miipher2.inference.windows import Window, WindowPlan


class Restorer(Pretrained):
    """Restores degraded speech with a trained model.

    The features of a frozen speech encoder are cleaned by adapters, and a
    vocoder synthesises speech from them. The output has the same duration (to
    the sample) and loudness as the input, and is silent where the input is.
    Long recordings are restored in windows, so memory does not depend on the
    duration. A model with a speech detector attenuates the output by 30 dB where
    it finds no speech.

    Threads may share a Restorer. It cannot be pickled, and a process that was
    forked after torch had used its threads hangs: start processes with
    ``multiprocessing.get_context("spawn")`` and load the model in each.

    Arguments
    ---------
    *args : tuple
    **kwargs : dict
        See ``speechbrain.inference.interfaces.Pretrained``. Use
        ``from_hparams`` to load a model.

    Attributes
    ----------
    input_rate : int
        Hz of the input waveforms: that of the vocoder if it needs the
        recording, else that of the backbone.
    input_hop : int
        Input samples per frame.
    sample_rate : int
        Hz of the restored waveforms.
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
            a model of this package or a repository on the Hugging Face hub.
            None: the default model of this package.
        trust_model : bool
            Whether the model's YAML may run any code. Otherwise it may name
            modules of miipher2, speechbrain, torch, torchaudio and
            transformers only.
        **kwargs : dict
            Arguments of ``Pretrained.from_hparams``, for example
            ``run_opts={"device": "cuda", "precision": "bf16"}``.

        Returns
        -------
        Restorer

        Raises
        ------
        UserError
            If there is no such model, it is incomplete or corrupt, or it names
            code that is not trusted.
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
                f"{folder}: a file of weights contains objects other than "
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
            # On a CPU batches hold one window, so windows may differ in length.
            even=str(self.device).startswith("cpu"),
        )

    @property
    def input_level(self) -> dict[str, float]:
        """Arguments of ``SpeechLevel.gain`` for the model's input."""
        return vars(self.hparams).get("input_level", {})

    def output_samples(self, samples: int) -> int:
        """Return the length of the output for a number of input samples."""
        return round(samples * self.sample_rate / self.input_rate)

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
            ``(batch, time)`` at ``input_rate`` and the model's input level.
        lengths : torch.Tensor
            Relative lengths ``(batch,)``. None: no padding.
        windows : list of miipher2.inference.windows.Window
            The windows in the first rows; those of a channel are in order.
            Further rows are padding of the batch.
        states : dict
            Channel -> state of the vocoder, see ``Vocoder.synthesise``.

        Returns
        -------
        wavs : torch.Tensor
            ``(batch, frames * hop_length)`` float32, on the device.
        presence : torch.Tensor
            Log-odds of speech ``(batch, frames)``, on the device. None: the
            model does not detect speech.
        states : dict
            The states after these windows.
        """
        # ``inference_ctx`` is one object, which threads must not share.
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
                [(one.channel, one.start, one.next_start) for one in windows],
                states,
                self.plan.overlap,
            )
            presence = None
            if "speech_presence" in self.mods:
                presence = self.mods.speech_presence(features)
        return restored.float(), presence, states

    def restore_batch(
        self,
        wavs: torch.Tensor | np.ndarray,
        lengths: torch.Tensor | np.ndarray | None = None,
        sample_rate: int | None = None,
    ) -> torch.Tensor:
        """Restore a batch of clips of any length.

        Arguments
        ---------
        wavs : torch.Tensor or numpy.ndarray
            ``(batch, time)``: floating point with full scale at 1, or int16.
        lengths : torch.Tensor or numpy.ndarray
            Relative lengths ``(batch,)`` in (0, 1]. None: no padding.
        sample_rate : int
            Hz of ``wavs``. None: ``input_rate``.

        Returns
        -------
        torch.Tensor
            ``(batch, round(time * self.sample_rate / sample_rate))`` at
            ``self.sample_rate``, zero-padded, on the CPU.

        Raises
        ------
        UserError
            If an argument is invalid or samples are not finite.
        """
        samples = as_batch(wavs)
        rate = self.input_rate if sample_rate is None else sample_rate
        check_rate("sample_rate", rate, *RATES)
        counts = lengths_in_samples(lengths, *samples.shape)
        clips = [
            clip[:count] for clip, count in zip(samples, counts, strict=True)
        ]
        time = round(samples.shape[1] * self.sample_rate / rate)
        restored = torch.zeros(len(clips), time)
        for row, wav in zip(
            restored, restore_clips(self, clips, rate), strict=True
        ):
            row[: len(wav)] = torch.from_numpy(wav)
        return restored

    def forward(
        self,
        wavs: torch.Tensor | np.ndarray,
        lengths: torch.Tensor | np.ndarray | None = None,
        sample_rate: int | None = None,
    ) -> torch.Tensor:
        """Restore a batch of clips, see ``restore_batch``."""
        return self.restore_batch(wavs, lengths, sample_rate)

    def restore(
        self, wav: torch.Tensor | np.ndarray, sample_rate: int | None = None
    ) -> torch.Tensor:
        """Restore one clip of any length.

        Arguments
        ---------
        wav : torch.Tensor or numpy.ndarray
            ``(time,)`` or ``(1, time)``: floating point with full scale at 1,
            or int16.
        sample_rate : int
            Hz of ``wav``. None: ``input_rate``.

        Returns
        -------
        torch.Tensor
            ``(round(time * self.sample_rate / sample_rate),)`` at
            ``self.sample_rate``, on the CPU.
        """
        samples = as_clip(wav)
        return self.restore_batch(samples[None], sample_rate=sample_rate)[0]

    def restore_file(
        self,
        path: str | Path,
        output: str | Path,
        sample_rate: int | None = None,
        channels: str = "each",
        loudness: str | float = "input",
        batch_seconds: float | None = None,
        progress: Callable[[float, float], None] | None = None,
        subtype: str | None = None,
    ) -> Row:
        """Restore a file of any length and format.

        Arguments
        ---------
        path : str or Path
            Any format of soundfile and, with PyAV, m4a, aac, webm and videos.
        output : str or Path
            The file to write: wav, flac or ogg. It is written atomically.
        sample_rate : int
            Hz of the output. None: that of the model.
        channels : str
            ``each``: restore every channel; ``mono``: restore their mean.
        loudness : str or float
            ``input``: that of the input; a number: LUFS; ``off``: that of the
            model's output. The true peak is always below -1 dB.
        batch_seconds : float
            Seconds of audio per batch. None: the default of the device.
        progress : callable
            Called with the seconds of audio of each restored window, and with
            their share of the recording.
        subtype : str
            ``PCM_16``, ``PCM_24`` or, in wav only, ``FLOAT``. None: that of
            the input where the format allows it, at least ``PCM_16``.

        Returns
        -------
        miipher2.inference.items.Row
            The result: ``status``, ``seconds``, ``channels``, ...

        Raises
        ------
        UserError
            If an argument is invalid, the file cannot be read, is empty or
            contains NaN, or the output cannot be written.
        """
        path, output = Path(path), Path(output)
        check_overwriting([(path, output)])
        job = Job(
            Item(path.name, path, output.name, size=0),
            output.parent,
            self,
            Settings(
                self.sample_rate if sample_rate is None else sample_rate,
                channels,
                loudness,
                subtype,
            ),
        )
        try:
            job.measure()
            total_seconds = job.row.seconds * job.row.channels
            engine = Engine(self, batch_seconds, total_seconds)
            for window, wav in engine.run(job.windows()):
                job.add(window, wav)
                if progress is not None:
                    seconds = job.seconds(window)
                    progress(seconds, seconds / job.row.seconds)
        finally:
            job.end()
        return job.row
