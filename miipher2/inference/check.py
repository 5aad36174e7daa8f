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
    """Base class of checks, which run in the process that wrote the file.

    Subclasses implement ``score``, ``reasons`` and ``write``, and can be
    pickled for other processes.

    Arguments
    ---------
    fallback : str
        Replacement of a rejected recording. ``input``: the input, at the rate
        and in the format of the output; ``none``: no file. None: keep it.
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
        """Write which recordings of a finished run are kept.

        Arguments
        ---------
        folder : str or Path
            The output folder.
        rows : list of miipher2.inference.items.Row
            All recordings in it.
        writer : str
            Distinguishes processes that may write at once.

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
            Its row gets the scores, and is ``rejected`` if the output is
            replaced.
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
        """Return the settings of an output that this check has passed.

        Arguments
        ---------
        settings : str
            Those of a recording that is kept.
        row : miipher2.inference.items.Row
            With scores.

        Returns
        -------
        str
            Names the fallback if the recording is rejected.
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
        Measured.
    sample_rate : int
        Hz.
    length : int
        Samples per channel to return.

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
