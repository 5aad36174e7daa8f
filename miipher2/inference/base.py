"""Base class for restorers: restoration of clips and files.

Authors
 * The miipher2 authors 2026
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from miipher2.dataio.output_names import check_overwriting
from miipher2.inference.arguments import check_rate
from miipher2.inference.arrays import as_batch, as_clip, lengths_in_samples
from miipher2.inference.batching import Engine
from miipher2.inference.clips import restore_clips
from miipher2.inference.items import Item, Row
from miipher2.inference.job import Job, Settings
from miipher2.inference.recording import RATES


class BaseRestorer:
    """Base class for models that restore clips and files in windows.

    Subclasses implement ``restore_windows``, which is documented in
    ``Restorer``, and set the following attributes.

    Attributes
    ----------
    input_rate : int
        Sample rate of the input waveforms in Hz.
    input_hop : int
        Input samples per frame.
    sample_rate : int
        Sample rate of the restored waveforms in Hz.
    hop_length : int
        Output samples per frame.
    device : str
        Device that runs the model.
    identity : str
        Hash of the model's files.
    plan : miipher2.inference.windows.WindowPlan
        Window length and overlap.
    input_level : dict
        Arguments of ``SpeechLevel.gain``, which scales the model's input.
    """

    input_rate: int
    input_hop: int
    sample_rate: int
    hop_length: int
    identity: str

    def output_samples(self, samples: int) -> int:
        """Return the number of output samples for a number of input samples."""
        return round(samples * self.sample_rate / self.input_rate)

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
            ``(batch, time)``: floating point with a full scale of 1, or int16.
        lengths : torch.Tensor or numpy.ndarray
            Relative lengths ``(batch,)`` in (0, 1]. None if there is no
            padding.
        sample_rate : int
            Sample rate of ``wavs`` in Hz. None for ``input_rate``.

        Returns
        -------
        torch.Tensor
            ``(batch, round(time * self.sample_rate / sample_rate))`` at
            ``self.sample_rate``, zero-padded, on the CPU.

        Raises
        ------
        UserError
            If an argument is invalid or a sample is not finite.
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

    def restore(
        self, wav: torch.Tensor | np.ndarray, sample_rate: int | None = None
    ) -> torch.Tensor:
        """Restore one clip of any length.

        Arguments
        ---------
        wav : torch.Tensor or numpy.ndarray
            ``(time,)`` or ``(1, time)``: floating point with a full scale of 1,
            or int16.
        sample_rate : int
            Sample rate of ``wav`` in Hz. None for ``input_rate``.

        Returns
        -------
        torch.Tensor
            ``(round(time * self.sample_rate / sample_rate),)`` at
            ``self.sample_rate``, on the CPU.

        Raises
        ------
        UserError
            If an argument is invalid or a sample is not finite.
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
        """Restore a file of any length.

        Arguments
        ---------
        path : str or Path
            The file, in any format that soundfile reads. With PyAV, also m4a,
            aac, webm and video files.
        output : str or Path
            The wav, flac or ogg file to write. It is written atomically.
        sample_rate : int
            Sample rate of the output in Hz. None for the model's output rate.
        channels : str
            ``each``: restore every channel; ``mono``: restore the mean of all
            channels.
        loudness : str or float
            ``input``: the loudness of the input; a number: this loudness in
            LUFS; ``off``: the loudness of the model's output. The true peak is
            below -1 dB; ogg encoding can raise it.
        batch_seconds : float
            Seconds of audio per batch. None for the device's default.
        progress : callable
            Called for each restored window with the seconds and the fraction of
            the recording that the window adds.
        subtype : str
            Sample format: ``PCM_16`` or ``PCM_24`` for wav and flac, or
            ``FLOAT`` for wav. None to keep the resolution of the input as far
            as these formats allow, with at least 16 bits.

        Returns
        -------
        miipher2.inference.items.Row
            The result, including its ``status`` and ``seconds``.

        Raises
        ------
        UserError
            If an argument is invalid, if the file cannot be read, is empty or
            contains NaN or infinity, or if the output cannot be written.
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
