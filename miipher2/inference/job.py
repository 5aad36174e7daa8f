"""Restoration of one file, and its result as a row of the manifest.

Authors
 * The miipher2 authors 2026
"""

import dataclasses
import time
from collections import deque
from pathlib import Path

import numpy as np

from miipher2.dataio.decoding import NoAudioStream
from miipher2.errors import UserError
from miipher2.inference.arguments import (
    OUTPUT_RATES,
    check_channels,
    check_loudness,
    check_rate,
    check_subtype,
)
from miipher2.inference.check import Check
from miipher2.inference.items import Row, now
from miipher2.inference.recording import Recording
from miipher2.inference.writing import RestoredRecording


@dataclasses.dataclass(frozen=True)
class Settings:
    """Settings of the output files.

    Arguments
    ---------
    sample_rate : int
        Sample rate in Hz.
    channels : str
        ``each``: restore every channel; ``mono``: restore the mean of all
        channels.
    loudness : str or float
        ``input``: the loudness of the input; a number: this loudness in LUFS;
        ``off``: the loudness of the model's output.
    subtype : str
        Sample format, see ``miipher2.dataio.formats.output_subtype``.
    check : miipher2.inference.check.Check
        Check of each written output. None for no check.

    Raises
    ------
    UserError
        If a setting is invalid.

    Example
    -------
    >>> print(Settings(16000, loudness=-23.0))
    16000 Hz, channels each, loudness -23.0
    """

    sample_rate: int
    channels: str = "each"
    loudness: str | float = "input"
    subtype: str | None = None
    check: Check | None = None

    def __post_init__(self):
        check_rate("sample_rate", self.sample_rate, *OUTPUT_RATES)
        check_channels(self.channels)
        check_loudness(self.loudness)
        check_subtype(self.subtype)

    def __str__(self):
        text = (
            f"{self.sample_rate} Hz, channels {self.channels}, loudness "
            f"{self.loudness}"
        )
        # The default subtype is omitted, as in manifests of earlier versions.
        return f"{text}, {self.subtype}" if self.subtype else text


class Job:
    """The restoration of one recording, from reading to writing.

    An ``Engine`` restores the windows that a job reads and later writes.

    Arguments
    ---------
    item : miipher2.inference.items.Item
        The recording.
    folder : str or Path
        The output folder.
    restorer : miipher2.inference.restorer.Restorer
        The model.
    settings : Settings
        Settings of the output.
    stop : threading.Event
        Once this event is set, reading raises ``Stopped``.

    Attributes
    ----------
    row : miipher2.inference.items.Row
        The result, complete after ``end``.
    """

    def __init__(self, item, folder, restorer, settings, stop=None):
        self.item = item
        self.path = Path(folder, item.output)
        self.restorer = restorer
        self.settings = settings
        self.recording = Recording(
            item.input,
            restorer.input_rate,
            settings.channels,
            stop,
            restorer.input_level,
        )
        self.restored = None
        self.row = Row.of(item, model=restorer.identity, settings=str(settings))
        self.started = time.monotonic()
        # Used by the pipeline: restored windows to write, whether a thread is
        # writing them, and whether the job has ended
        self.chunks, self.writing, self.ended = deque(), False, False

    def measure(self):
        """Measure the duration and the speech levels of the recording.

        Raises
        ------
        UserError
            If the recording cannot be read or the output cannot be created.
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
            self.settings,
        )

    def windows(self):
        """Cut the measured recording into windows.

        Yields
        ------
        miipher2.inference.windows.Window
            A window with this job as ``owner``.

        Raises
        ------
        UserError
            If the file can no longer be read or has changed.
        """
        yield from self.recording.windows(self.restorer.plan, owner=self)

    def seconds(self, window):
        """Return the duration of a window without its overlap with the next.

        The duration is divided by the number of channels.
        """
        samples = len(window.samples)
        if window.next_start is not None:
            frames = window.next_start - window.start
            samples = frames * self.restorer.plan.hop_length
        return samples / self.restorer.input_rate / self.row.channels

    def add(self, window, wav):
        """Add a restored window; end the job after the last window.

        Arguments
        ---------
        window : miipher2.inference.windows.Window
            The window. The windows of a channel must be added in order.
        wav : numpy.ndarray
            ``(time,)`` float32.

        Returns
        -------
        bool
            Whether the output has been written.

        Raises
        ------
        UserError
            If the output cannot be written or a sample is not finite.
        """
        if not np.isfinite(wav).all():
            raise UserError(
                f"{self.item.input}: the model returned NaN or infinite "
                "samples; try --precision fp32"
            )
        if not self.restored.add(window, wav):
            return False
        self.row.status = "silent" if self.restored.silent else "done"
        notes = (self.row.reason, self.restored.note)
        self.row.reason = "; ".join(filter(None, notes))
        self.row.output_rate = self.settings.sample_rate
        self.row.bytes = self.path.stat().st_size
        if self.settings.check is not None:
            self.settings.check.apply(self)
        self.end()
        return True

    def fail(self, error):
        """End the job without an output.

        Arguments
        ---------
        error : UserError
            The reason.
        """
        skipped = isinstance(error, NoAudioStream)
        self.row.status = "skipped" if skipped else "failed"
        reason = str(error).removeprefix(f"{self.item.input}: ")
        self.row.reason = reason.removeprefix(f"{self.path}: ")
        self.end()

    def end(self):
        """Delete temporary samples and complete the row."""
        if self.restored is not None:
            self.restored.close()
        self.ended = True
        self.row.seconds_spent = round(time.monotonic() - self.started, 3)
        self.row.finished = now()
