"""Restoring speech with a trained model.

Authors
 * The miipher2 authors 2026
"""

from pathlib import Path

import soundfile
import torch
from huggingface_hub import snapshot_download
from huggingface_hub.errors import HfHubHTTPError, HFValidationError
from speechbrain.inference.interfaces import Pretrained
from speechbrain.utils.fetching import LocalStrategy

from miipher2.audio import active_level, level_gain, resample, write_audio
from miipher2.errors import UserError

SILENCE = 10 ** (-80 / 20)  # quieter than this, a recording has no speech


class Restorer(Pretrained):
    """Restores degraded speech: features, cleaned, spoken again.

    The speech level of the input comes back, silence stays silence, and the
    output is as long as the input, to the sample.

    Arguments
    ---------
    *args, **kwargs
        As ``speechbrain.inference.interfaces.Pretrained`` takes them; made by
        ``from_hparams``.

    Example
    -------
    >>> restorer = Restorer.from_hparams("results/vocoder/1234/model")  # doctest: +SKIP
    >>> restorer.restore_file("noisy.wav", "restored.wav")  # doctest: +SKIP
    """

    HPARAMS_NEEDED = ["window_seconds", "overlap_seconds"]
    MODULES_NEEDED = ["cleaner", "generator"]

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.mods.generator.prepare_inference()
        self.input_rate = self.mods.cleaner.sample_rate
        self.sample_rate = self.mods.generator.sample_rate

    @classmethod
    def from_hparams(cls, source, **kwargs):
        """Loads a model.

        Arguments
        ---------
        source : str
            A folder that training has written (``output_folder/model``), or a
            repository of such files on the Hugging Face hub.
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
            If there is no such model, or it is not a whole one.
        """
        folder = Path(source)
        if not folder.is_dir():
            try:
                folder = Path(snapshot_download(str(source)))
            except (HfHubHTTPError, HFValidationError, OSError) as error:
                reason = str(error).strip().splitlines()[0]
                raise UserError(
                    f"{source}: neither a folder nor a repository on the hub "
                    f"({reason})"
                ) from None
        if not (folder / "hyperparams.yaml").is_file():
            raise UserError(
                f"{folder}: not a restoration model: no hyperparams.yaml; "
                "expected the folder 'model' in the output_folder of stage 2 "
                "(python train.py hparams/vocoder.yaml ...)"
            )
        overrides = {"model_folder": str(folder), **kwargs.pop("overrides", {})}
        return super().from_hparams(
            str(folder),
            overrides=overrides,
            local_strategy=LocalStrategy.NO_LINK,
            **kwargs,
        )

    @torch.inference_mode()
    def restore_batch(self, wavs, lengths=None):
        """Restores clips that fit into memory.

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
        wavs = wavs.detach().cpu()
        lengths = torch.ones(batch) if lengths is None else lengths.cpu()
        samples = (lengths * time).round().long().tolist()
        levelled = torch.zeros(batch, time)
        for row, wav, count in zip(levelled, wavs, samples, strict=True):
            row[:count] = wav[:count] * level_gain(wav[:count], self.input_rate)
        spoken = self._speak(levelled, lengths)
        restored = torch.zeros_like(spoken)
        for row, wav, made, count in zip(
            restored, wavs, spoken, samples, strict=True
        ):
            end = self._output_samples(count)
            row[:end] = self._relevelled(made[:end], wav[:count])
        return restored

    def forward(self, wavs, lengths=None):
        """The same as ``restore_batch``."""
        return self.restore_batch(wavs, lengths)

    @torch.inference_mode()
    def restore(self, wav):
        """Restores one recording of any length, in windows.

        Arguments
        ---------
        wav : torch.Tensor
            ``(time,)`` at ``input_rate``, 16 kHz.

        Returns
        -------
        torch.Tensor
            ``(round(time * sample_rate / input_rate),)`` at ``sample_rate``.
        """
        wav = wav.detach().cpu()
        if not len(wav):
            return torch.zeros(0)
        levelled = wav * level_gain(wav, self.input_rate)
        hop = self.mods.cleaner.hop_length
        hop_out = self.mods.generator.hop_length
        window, overlap = (
            max(1, round(seconds * self.input_rate / hop)) * hop
            for seconds in (
                self.hparams.window_seconds,
                self.hparams.overlap_seconds,
            )
        )
        total = self._output_samples(len(wav))
        spoken = torch.zeros(total)
        fade = torch.linspace(0, 1, overlap // hop * hop_out)
        for start in range(0, max(1, len(wav) - overlap), window - overlap):
            made = self._speak(levelled[None, start : start + window])[0]
            at = start // hop * hop_out
            if start > 0:  # linear, as both sides say the same
                made[: len(fade)] *= fade
                spoken[at : at + len(fade)] *= 1 - fade
            end = min(total, at + len(made))
            spoken[at:end] += made[: end - at]
        return self._relevelled(spoken, wav)

    def restore_file(self, path, output=None, sample_rate=None):
        """Restores a file; each channel for itself.

        Arguments
        ---------
        path : str or Path
            A file in a format that soundfile reads.
        output : str or Path
            Where to write, in the format of its suffix; None: nowhere. It
            appears whole or not at all.
        sample_rate : int
            Hz of the output; None: the model's.

        Returns
        -------
        torch.Tensor
            ``(channels, time)``: as long as the input, at ``sample_rate``.

        Raises
        ------
        UserError
            If the file cannot be read, is empty or holds NaN, or the output's
            format is not known.
        """
        output_rate = sample_rate or self.sample_rate
        try:
            samples, rate = soundfile.read(str(path), always_2d=True)
        except (soundfile.LibsndfileError, OSError) as error:
            raise UserError(
                f"{path}: cannot be read as sound: {error}"
            ) from None
        if not len(samples):
            raise UserError(f"{path}: holds no samples")
        channels = torch.from_numpy(resample(samples, rate, self.input_rate)).T
        if not torch.isfinite(channels).all():
            raise UserError(f"{path}: holds samples that are NaN or infinite")
        restored = torch.stack([self.restore(c.float()) for c in channels])
        restored = resample(restored.T.numpy(), self.sample_rate, output_rate)
        length = round(len(samples) * output_rate / rate)
        restored = torch.from_numpy(restored).T[:, :length]
        restored = torch.nn.functional.pad(
            restored, (0, length - restored.shape[1])
        )
        if output is not None:
            write_audio(output, restored, output_rate)
        return restored

    def _speak(self, wavs, lengths=None):
        """Cleans and speaks; input at the trained level, on the CPU."""
        wavs = wavs.to(self.device)
        if lengths is not None:
            lengths = lengths.to(self.device)
        with self.inference_ctx:
            features = self.mods.cleaner(wavs, lengths)
            spoken = self.mods.generator(features)
        return spoken[:, : self._output_samples(wavs.shape[1])].float().cpu()

    def _output_samples(self, samples):
        return round(samples * self.sample_rate / self.input_rate)

    def _relevelled(self, spoken, wav):
        """Brings speech back to the level it had; lets silence be."""
        level = active_level(wav, self.input_rate)
        made = active_level(spoken, self.sample_rate)
        if level < SILENCE or made == 0:
            return torch.zeros_like(spoken)
        peak = float(spoken.abs().max())
        return spoken * min(level / made, 0.99 / peak)
