"""Checks of restored recordings: scoring, rejection and fallback.

Authors
 * The miipher2 authors 2026
"""

import json

import numpy as np
import soundfile

from miipher2.dataio.decoding import open_audio, resampler
from miipher2.inference.writing import write_error


class Check:
    """Base class for checks of restored recordings.

    Subclasses implement ``score``, ``reasons``, ``is_complete`` and ``write``.
    A check must be picklable, because it runs in the process that writes the
    output.

    Arguments
    ---------
    fallback : str
        ``input``: replace a rejected recording with the input, converted to the
        sample rate and format of the output; ``none``: delete it. None: keep
        it.
    """

    def __init__(self, fallback=None):
        self.fallback = fallback

    def score(self, source, path):
        """Score a restored recording. This method must be thread-safe.

        Arguments
        ---------
        source, path : Path
            The input file and the restored file.

        Returns
        -------
        dict
            Scores (numbers) and notes (text) by name.
        """
        raise NotImplementedError

    def reasons(self, scores):
        """Return the reasons to reject a recording with the given scores."""
        raise NotImplementedError

    def is_complete(self, scores):
        """Return whether the check can be applied without scoring again."""
        raise NotImplementedError

    def write(self, folder, rows, writer=""):
        """Write the lists of kept and rejected recordings of a finished run.

        Arguments
        ---------
        folder : str or Path
            The output folder.
        rows : list of miipher2.inference.items.Row
            One row per recording of the run.
        writer : str
            Name of the calling process, unique among concurrent writers.

        Returns
        -------
        str
            A summary for the log, in one line.
        """
        raise NotImplementedError

    def apply(self, job):
        """Score a written output; apply the fallback if it is rejected.

        Arguments
        ---------
        job : miipher2.inference.job.Job
            A job whose output has been written. Its row receives the scores
            and, if the output is replaced or deleted, the status
            ``rejected``.
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
        """Add the fallback to the settings of a rejected output.

        Arguments
        ---------
        settings : str
            The settings without a fallback.
        row : miipher2.inference.items.Row
            The row of the recording, with scores.

        Returns
        -------
        str
            The settings, with the fallback appended if the recording is
            rejected.
        """
        if self.fallback and self.reasons(json.loads(row.scores)):
            return f"{settings}, fallback {self.fallback}"
        return settings

    def has_scores(self, row):
        """Return whether a row already contains all scores of this check."""
        return bool(row.scores) and self.is_complete(json.loads(row.scores))


def input_blocks(recording, sample_rate, length):
    """Read an input recording at the sample rate of its output.

    Arguments
    ---------
    recording : miipher2.inference.recording.Recording
        A recording whose ``measure`` method has been called.
    sample_rate : int
        Sample rate of the output in Hz.
    length : int
        Number of output samples per channel.

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
