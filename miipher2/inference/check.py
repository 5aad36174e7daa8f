"""Checks of restored recordings: scores, reasons for rejection and fallback.

Authors
 * The miipher2 authors 2026
"""

import json

import numpy as np
import soundfile

from miipher2.dataio.decoding import open_audio, resampler
from miipher2.inference.writing import write_error


class Check:
    """Base class of checks, which run in the process that writes the output.

    Subclasses implement ``score``, ``reasons``, ``is_complete`` and ``write``.
    They must be picklable.

    Arguments
    ---------
    fallback : str
        Replacement of a rejected recording. ``input``: the input, at the rate
        and in the format of the output; ``none``: no file; None: the restored
        recording is kept.
    """

    def __init__(self, fallback=None):
        self.fallback = fallback

    def score(self, source, path):
        """Score a restored recording; called from several threads.

        Arguments
        ---------
        source, path : Path
            The input and the output.

        Returns
        -------
        dict
            Scores, as numbers, and notes, as text.
        """
        raise NotImplementedError

    def reasons(self, scores):
        """Return the reasons to reject a recording with these scores."""
        raise NotImplementedError

    def is_complete(self, scores):
        """Return whether the scores have all metrics of this check."""
        raise NotImplementedError

    def write(self, folder, rows, writer=""):
        """Write the lists of kept and rejected recordings of a finished run.

        Arguments
        ---------
        folder : str or Path
            The output folder.
        rows : list of miipher2.inference.items.Row
            One row for each recording of the run.
        writer : str
            Name that is unique among processes that may write at the same time.

        Returns
        -------
        str
            One line for the log.
        """
        raise NotImplementedError

    def apply(self, job):
        """Score a written output; replace it if it is rejected.

        Arguments
        ---------
        job : miipher2.inference.job.Job
            The finished job. The scores are added to its row, whose status
            becomes ``rejected`` if the output is replaced.
        """
        row = job.row
        scores = self.score(job.item.input, job.path)
        row.scores = json.dumps(scores)
        reasons = self.reasons(scores)
        if not reasons or self.fallback is None:
            return
        row.bytes = 0
        try:
            if self.fallback == "input":
                restored = job.restored
                restored.write_blocks(
                    input_blocks(
                        job.recording, restored.sample_rate, restored.length
                    )
                )
                row.bytes = job.path.stat().st_size
            else:
                job.path.unlink()
        except (OSError, soundfile.SoundFileError) as error:
            raise write_error(job.path, error) from None
        row.status = "rejected"
        row.reason = "; ".join(filter(None, [row.reason, *reasons]))
        row.settings = self.settings(row.settings, row)

    def settings(self, settings, row):
        """Return the settings of an output after this check.

        Arguments
        ---------
        settings : str
            Settings of a kept recording.
        row : miipher2.inference.items.Row
            The row of the recording, with scores.

        Returns
        -------
        str
            The settings; with the fallback if the recording is rejected.
        """
        if self.fallback and self.reasons(json.loads(row.scores)):
            return f"{settings}, fallback {self.fallback}"
        return settings

    def has_scores(self, row):
        """Return whether a recording was scored by an earlier run."""
        return bool(row.scores) and self.is_complete(json.loads(row.scores))


def input_blocks(recording, sample_rate, length):
    """Read an input at the rate of its output.

    Arguments
    ---------
    recording : miipher2.inference.recording.Recording
        A measured recording.
    sample_rate : int
        Sample rate of the output in Hz.
    length : int
        Number of samples per channel to return.

    Yields
    ------
    numpy.ndarray
        ``(time, channels)`` float32.

    Raises
    ------
    UserError
        If the input can no longer be read.
    """
    channels = len(recording.channels)
    with open_audio(recording.path) as audio:
        resampled = resampler(audio.rate, sample_rate, channels)
        for block in audio.blocks:
            if recording.mono:
                block = block.mean(axis=1, keepdims=True)
            block = resampled(block)[:length]
            length -= len(block)
            yield block
    rest = resampled(np.zeros((0, channels), np.float32), last=True)[:length]
    yield np.pad(rest, [(0, length - len(rest)), (0, 0)])
