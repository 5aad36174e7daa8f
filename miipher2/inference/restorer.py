"""Restoring speech with a trained model.

Authors
 * The miipher2 authors 2026
"""

import io
import itertools
import pickle
from pathlib import Path

import numpy as np
import torch
from speechbrain.inference.interfaces import Pretrained
from speechbrain.utils.autocast import AMPConfig
from speechbrain.utils.fetching import LocalStrategy
from torch import nn
from torch.nn.utils.parametrize import is_parametrized

from miipher2.dataio.output_names import check_overwriting
from miipher2.errors import UserError
from miipher2.inference.batching import Engine
from miipher2.inference.items import Item
from miipher2.inference.job import Job, Settings
from miipher2.inference.model_folder import find_model, model_identity
from miipher2.inference.recording import Recording
from miipher2.inference.trust import check_yaml
from miipher2.inference.windows import WindowPlan
from miipher2.inference.writing import RestoredChannel, final_gains

# What autocast runs in the lower precision, whatever its weights are in.
CAST = (nn.Linear, nn.Conv1d, nn.ConvTranspose1d)


class Restorer(Pretrained):
    """Restores degraded speech: features, cleaned, spoken again.

    The loudness of the input comes back, silence stays silence, and the output
    is as long as the input, to the sample. Memory does not depend on how long
    that is.

    Arguments
    ---------
    *args, **kwargs
        As ``speechbrain.inference.interfaces.Pretrained`` takes them; made by
        ``from_hparams``.

    Example
    -------
    >>> restorer = Restorer.from_hparams("model")  # doctest: +SKIP
    >>> restorer.restore_file("noisy.wav", "restored.wav")  # doctest: +SKIP
    """

    HPARAMS_NEEDED = ["window_seconds", "overlap_seconds"]
    MODULES_NEEDED = ["cleaner", "generator"]

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.mods.cleaner.prepare_inference()
        self.mods.generator.prepare_inference()
        self._cast_weights()
        self.input_rate = self.mods.cleaner.sample_rate
        self.sample_rate = self.mods.generator.sample_rate
        self.hop_length = self.mods.generator.hop_length
        self.identity = ""

    def _cast_weights(self):
        """Does once what autocast would do with every window."""
        dtype = AMPConfig.from_name(self.precision).dtype
        if dtype == torch.float32:
            return
        for module in self.mods.modules():
            if isinstance(module, CAST) and not is_parametrized(module):
                for parameter in module.parameters(recurse=False):
                    parameter.data = parameter.data.to(dtype)

    @classmethod
    def from_hparams(cls, source=None, trust_model=False, **kwargs):
        """Loads a model.

        Arguments
        ---------
        source : str
            A folder that training has written (``output_folder/model``), or a
            repository of such files on the Hugging Face hub. None: the model
            that comes with this package.
        trust_model : bool
            Whether its YAML may name any code to run. Else it may name modules
            of miipher2, speechbrain, torch, torchaudio and transformers.
        **kwargs : dict
            ``run_opts={"device": "cuda", "precision": "bf16"}`` and what else
            ``Pretrained.from_hparams`` takes.

        Returns
        -------
        Restorer
            Ready to restore.

        Raises
        ------
        UserError
            If there is no such model, it is not a whole one, or it names
            foreign code.
        """
        folder = find_model(source)
        overrides = {"model_folder": str(folder), **kwargs.pop("overrides", {})}
        if not trust_model:
            check_yaml(folder / "hyperparams.yaml", overrides)
        try:
            restorer = super().from_hparams(
                str(folder),
                overrides=overrides,
                local_strategy=LocalStrategy.NO_LINK,
                **kwargs,
            )
        except pickle.UnpicklingError as error:
            reason = str(error).strip().splitlines()[0]
            raise UserError(
                f"{folder}: weights that are no plain tensors are not loaded "
                f"({reason})"
            ) from None
        restorer.identity = model_identity(folder)
        return restorer

    @property
    def plan(self):
        """How recordings are cut into windows."""
        hop_length = self.mods.cleaner.hop_length
        window, overlap = (
            max(1, round(seconds * self.input_rate / hop_length))
            for seconds in (
                self.hparams.window_seconds,
                self.hparams.overlap_seconds,
            )
        )
        if 2 * overlap >= window:
            raise UserError(
                f"overlap_seconds: {self.hparams.overlap_seconds} is not less "
                f"than half of window_seconds, {self.hparams.window_seconds}"
            )
        # without batches, windows need not be of one shape
        even = str(self.device).startswith("cpu")
        return WindowPlan(window, overlap, hop_length, even)

    def output_samples(self, samples):
        """How long a clip is at ``sample_rate`` that has so many samples."""
        return round(samples * self.sample_rate / self.input_rate)

    @torch.inference_mode()
    def restore_windows(self, wavs, lengths=None, windows=(), states=None):
        """Runs the model on a batch of windows.

        Arguments
        ---------
        wavs : torch.Tensor
            ``(batch, time)`` at ``input_rate`` and the level that the model is
            trained at.
        lengths : torch.Tensor
            Relative lengths ``(batch,)``; None: all are full.
        windows : list of miipher2.inference.windows.Window
            Where the rows are from; those of one channel are in order. What
            the batch has more repeats the first row.
        states : dict
            Channel -> state of the vocoder, see ``Vocoder.synthesise``.

        Returns
        -------
        wavs : torch.Tensor
            ``(batch, frames * hop_length)`` float32, on the device.
        states : dict
            The states after these windows.
        """
        with self.inference_ctx:
            wavs = wavs.to(self.device, non_blocking=wavs.is_pinned())
            features = self.mods.cleaner(wavs, lengths)
            if lengths is not None:
                features = self._hold_the_end(features, wavs, lengths)
            restored, states = self.mods.generator.synthesise(
                features,
                wavs,
                [(one.channel, one.start, one.next_start) for one in windows],
                states,
                self.plan.overlap,
            )
        return restored.float(), states

    def _hold_the_end(self, features, wavs, lengths):
        """Repeats the last frame of each row where there is padding.

        To a vocoder, the end of a clip then looks as if it stood alone.
        """
        samples = (lengths * wavs.shape[1]).round()
        last = (samples / self.mods.cleaner.hop_length).ceil().long() - 1
        last = last.clamp(min=0).to(features.device)
        frames = torch.arange(features.shape[1], device=features.device)
        index = torch.minimum(frames, last[:, None])[..., None]
        return features.gather(1, index.expand_as(features))

    def restore_batch(self, wavs, lengths=None):
        """Restores clips.

        Arguments
        ---------
        wavs : torch.Tensor
            ``(batch, time)`` at ``input_rate``, 16 kHz.
        lengths : torch.Tensor
            Relative lengths ``(batch,)``; None: all are full.

        Returns
        -------
        torch.Tensor
            ``(batch, round(time * sample_rate / input_rate))`` at
            ``sample_rate``, zero after the end of a clip.
        """
        batch, time = wavs.shape
        lengths = torch.ones(batch) if lengths is None else lengths.cpu()
        samples = (lengths * time).round().long().tolist()
        clips = [
            wav[:count].numpy().astype(np.float32)
            for wav, count in zip(wavs.detach().cpu(), samples, strict=True)
        ]
        restored = torch.zeros(batch, self.output_samples(time))
        for row, wav in zip(restored, self._restore_clips(clips), strict=True):
            row[: len(wav)] = torch.from_numpy(wav)
        return restored

    def forward(self, wavs, lengths=None):
        """The same as ``restore_batch``."""
        return self.restore_batch(wavs, lengths)

    def restore(self, wav):
        """Restores one clip of any length.

        Arguments
        ---------
        wav : torch.Tensor
            ``(time,)`` at ``input_rate``, 16 kHz.

        Returns
        -------
        torch.Tensor
            ``(round(time * sample_rate / input_rate),)`` at ``sample_rate``.
        """
        return self.restore_batch(wav[None])[0]

    def _restore_clips(self, clips):
        """Restores arrays ``(time,)``; gives arrays in the same order."""
        recordings = {
            index: Recording.of_samples(clip, self.input_rate)
            for index, clip in enumerate(clips)
            if len(clip)
        }
        restored = {
            index: RestoredChannel(
                recording, 0, self, self.sample_rate, io.BytesIO()
            )
            for index, recording in recordings.items()
        }
        windows = itertools.chain.from_iterable(
            recording.windows(self.plan, owner=index)
            for index, recording in recordings.items()
        )
        total_seconds = sum(map(len, clips)) / self.input_rate
        engine = Engine(self, total_seconds=total_seconds)
        for window, wav in engine.run(windows):
            restored[window.owner].add(window, wav)
        for index in range(len(clips)):
            if index not in restored:
                yield np.zeros(0, dtype=np.float32)
                continue
            (gain,) = final_gains([restored[index]], "input", self.sample_rate)
            yield gain * np.concatenate(list(restored[index].blocks()))

    def restore_file(
        self,
        path,
        output,
        sample_rate=None,
        channels="each",
        loudness="input",
        batch_seconds=None,
    ):
        """Restores a file of any length and format.

        Arguments
        ---------
        path : str or Path
            Whatever soundfile reads and, with PyAV, m4a, aac, webm and videos.
        output : str or Path
            Where to write: wav, flac or ogg by its suffix. It appears whole or
            not at all.
        sample_rate : int
            Hz of the output; None: the model's.
        channels : str
            ``each``: every channel for itself; ``mono``: their mean.
        loudness : str or float
            ``input``: as loud as the input; a number: LUFS; ``off``: as the
            model speaks. The true peak stays below -1 dB.
        batch_seconds : float
            Sound in a batch; None: by the device.

        Returns
        -------
        miipher2.inference.items.Row
            What became of it: ``status``, ``seconds``, ``channels``, ...

        Raises
        ------
        UserError
            If the file cannot be read, is empty or holds NaN, or the output
            cannot be written.
        """
        path, output = Path(path), Path(output)
        check_overwriting([(path, output)])
        job = Job(
            Item(path.name, path, output.name, size=0),
            output.parent,
            self,
            Settings(sample_rate or self.sample_rate, channels, loudness),
        )
        try:
            job.measure()
            total_seconds = job.row.seconds * job.row.channels
            engine = Engine(self, batch_seconds, total_seconds)
            for window, wav in engine.run(job.windows()):
                job.add(window, wav)
        finally:
            job.end()
        return job.row
