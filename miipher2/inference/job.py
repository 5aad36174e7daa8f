"""One recording from its file to its restored file, and the row about it.

Authors
 * The miipher2 authors 2026
"""

import dataclasses
import os
import time
from collections import deque
from pathlib import Path

import numpy as np

from miipher2.dataio.decoding import NoAudioStream
from miipher2.errors import UserError
from miipher2.inference.items import Row, now
from miipher2.inference.recording import Recording
from miipher2.inference.writing import RestoredRecording


@dataclasses.dataclass(frozen=True)
class Settings:
    """How outputs are to be.

    Arguments
    ---------
    sample_rate : int
        Hz.
    channels : str
        ``each``: every channel for itself; ``mono``: their mean.
    loudness : str or float
        ``input``: as loud as the input; a number: LUFS; ``off``: as the model
        speaks.

    Example
    -------
    >>> print(Settings(16000, loudness=-23.0))
    16000 Hz, channels each, loudness -23.0
    """

    sample_rate: int
    channels: str = "each"
    loudness: str | float = "input"

    def __str__(self):
        return (
            f"{self.sample_rate} Hz, channels {self.channels}, loudness "
            f"{self.loudness}"
        )


class Job:
    """Restores one item; the engine stands between its two sides.

    Arguments
    ---------
    item : miipher2.inference.items.Item
        What to restore.
    folder : str or Path
        The output folder.
    restorer : miipher2.inference.restorer.Restorer
        The model.
    settings : Settings
        How the output is to be.
    stop : threading.Event
        Once it is set, reading ends.

    Attributes
    ----------
    row : miipher2.inference.items.Row
        What became of it, once it is over.
    """

    def __init__(self, item, folder, restorer, settings, stop=None):
        self.item = item
        self.path = Path(folder, item.output)
        self.restorer = restorer
        self.settings = settings
        self.recording = Recording(
            item.input, restorer.input_rate, settings.channels, stop
        )
        self.restored = None
        self.row = Row(
            item.ID,
            os.path.abspath(item.input),
            item.output,
            model=restorer.identity,
            settings=str(settings),
        )
        self.started = time.monotonic()
        # for the pipeline: what waits to be written, and who is at it
        self.pieces, self.busy, self.over = deque(), False, False

    def measure(self):
        """Reads the recording for the first time.

        Raises
        ------
        UserError
            If it cannot be read, or cannot be written anyway.
        """
        recording, row = self.recording, self.row
        recording.measure()
        row.seconds, row.input_rate = recording.seconds, recording.rate
        row.channels = len(recording.channels)
        row.reason = recording.note
        self.restored = RestoredRecording(
            self.path,
            recording,
            self.restorer,
            self.settings.sample_rate,
            self.settings.loudness,
        )

    def windows(self):
        """Reads the recording, once it is measured.

        Yields
        ------
        miipher2.inference.windows.Window
            Owned by this job.

        Raises
        ------
        UserError
            If it cannot be read any more.
        """
        yield from self.recording.windows(self.restorer.plan, owner=self)

    def seconds(self, window):
        """Duration of what a window adds to those before it."""
        samples = len(window.samples)
        if window.next_start is not None:
            frames = window.next_start - window.start
            samples = frames * self.restorer.plan.hop_length
        return samples / self.restorer.input_rate / self.row.channels

    def add(self, window, wav):
        """Takes a restored window.

        Arguments
        ---------
        window : miipher2.inference.windows.Window
            Those of a channel in order.
        wav : numpy.ndarray
            ``(time,)`` float32.

        Returns
        -------
        bool
            Whether it was the last one: the output is there.

        Raises
        ------
        UserError
            If it cannot be written, or the model has given no sound.
        """
        if not np.isfinite(wav).all():
            raise UserError(
                f"{self.item.input}: the model gave NaN or infinite samples; "
                "try --precision fp32"
            )
        if not self.restored.add(window, wav):
            return False
        self.row.status = "silent" if self.restored.silent else "done"
        self.row.output_rate = self.settings.sample_rate
        self.row.bytes = self.path.stat().st_size
        self.end()
        return True

    def fail(self, error):
        """Ends without an output.

        Arguments
        ---------
        error : UserError
            Why.
        """
        skipped = isinstance(error, NoAudioStream)
        self.row.status = "skipped" if skipped else "failed"
        reason = str(error).removeprefix(f"{self.item.input}: ")
        self.row.reason = reason.removeprefix(f"{self.path}: ")
        self.end()

    def end(self):
        """Lets go of what was collected and closes the row."""
        if self.restored is not None:
            self.restored.close()
        self.over = True
        self.row.seconds_spent = round(time.monotonic() - self.started, 3)
        self.row.finished = now()
