"""One recording on its way in: measured first, then cut into windows.

Authors
 * The miipher2 authors 2026
"""

import threading

import numpy as np

from miipher2.dataio.decoding import AudioStream, open_audio, resampler
from miipher2.dataio.speech_level import SpeechLevel
from miipher2.errors import UserError
from miipher2.inference.loudness import Loudness
from miipher2.inference.windows import Channel, Window

RATES = (1000, 384000)  # Hz; other headers are damaged
MAX_CHANNELS = 8
# What is shorter is kept between the two passes, longer is read again.
KEPT_SECONDS = 60.0


class Stopped(Exception):
    """The run is over; what is being read does not matter any more."""


class Recording:
    """A recording at the model's rate.

    It is read twice, as the model wants speech at one level and the level is
    known at the end only.

    Arguments
    ---------
    path : str or Path
        A file of any format, see ``miipher2.dataio.decoding``.
    sample_rate : int
        Hz that the model wants.
    channels : str
        ``each``: every channel for itself; ``mono``: their mean.
    stop : threading.Event
        Once it is set, reading ends with ``Stopped``.

    Attributes
    ----------
    rate : int
        Hz of the file.
    frames : int
        Samples a channel in the file.
    samples : int
        Samples a channel at the model's rate.
    channels : list of Channel
        With the gain for the model.
    loudness : list of float
        LUFS of each channel.
    note : str
        What is odd about the file; empty if nothing is.

    Example
    -------
    >>> import soundfile
    >>> from miipher2.inference.windows import WindowPlan
    >>> path = getfixture("tmp_path") / "noise.wav"
    >>> noise = 0.1 * np.random.default_rng(0).standard_normal((80000, 2))
    >>> soundfile.write(path, noise, 8000)
    >>> recording = Recording(path, 16000)
    >>> recording.measure()
    >>> recording.rate, recording.samples, len(recording.channels)
    (8000, 160000, 2)
    >>> plan = WindowPlan(window=300, overlap=20, hop_length=320)
    >>> [window.start for window in recording.windows(plan, owner=None)]
    [0, 0, 200, 200]
    """

    def __init__(self, path, sample_rate, channels="each", stop=None):
        self.path = path
        self.sample_rate = sample_rate
        self.mono = channels == "mono"
        self.stop = stop or threading.Event()
        self.frames = self.samples = 0
        self.kept = []
        self.note = ""

    @classmethod
    def of_samples(cls, wav, sample_rate):
        """A recording that is in memory already.

        Arguments
        ---------
        wav : numpy.ndarray
            ``(time,)`` float32 at the model's rate.
        sample_rate : int
            Hz.

        Returns
        -------
        Recording
            Measured.
        """
        recording = cls("the clip", sample_rate)
        recording._measure(AudioStream(sample_rate, 1, [wav[:, None]]))
        recording.kept = [wav[:, None]]
        return recording

    @property
    def seconds(self):
        """Its duration."""
        return self.frames / self.rate

    def measure(self):
        """Reads it for the first time.

        Raises
        ------
        UserError
            If it cannot be read, holds nothing or something that is no
            sound.
        """
        with open_audio(self.path) as sound:
            self._check(sound)
            self._measure(sound)
            promised, cut_off = sound.header_length, sound.truncated
        if promised is not None and self.frames < promised:
            self.note = (
                f"ends after {self.seconds:.3f} s; its header promises "
                f"{promised / self.rate:.3f} s"
            )
        elif cut_off:
            self.note = f"ends after {self.seconds:.3f} s; its end is missing"

    def _check(self, sound):
        if not RATES[0] <= sound.rate <= RATES[1]:
            raise UserError(
                f"{self.path}: a sample rate of {sound.rate} Hz; expected "
                f"{RATES[0]} to {RATES[1]}"
            )
        if sound.channels > MAX_CHANNELS and not self.mono:
            raise UserError(
                f"{self.path}: {sound.channels} channels; expected at most "
                f"{MAX_CHANNELS}, or --channels mono for their mean"
            )

    def _measure(self, sound):
        self.rate = sound.rate
        count = 1 if self.mono else sound.channels
        levels = [SpeechLevel(self.sample_rate) for _ in range(count)]
        meters = [Loudness(self.sample_rate) for _ in range(count)]
        limit = KEPT_SECONDS * self.sample_rate / count
        for block in self._blocks(sound):
            for level, meter, samples in zip(
                levels, meters, block.T, strict=True
            ):
                level.add(samples)
                meter.add(samples)
            self.samples += len(block)
            if self.samples <= limit:
                self.kept.append(block)
        if self.samples > limit:
            self.kept = []
        if not self.frames:
            raise UserError(f"{self.path}: holds no samples")
        self.loudness = [meter.value() for meter in meters]
        self.channels = [
            Channel(level.gain(), level.is_silence()) for level in levels
        ]

    def _blocks(self, sound):
        """Blocks ``(time, channels)`` at the model's rate."""
        channels = 1 if self.mono else sound.channels
        resampled = resampler(sound.rate, self.sample_rate, channels)
        self.frames = 0
        for block in sound.blocks:
            if self.stop.is_set():
                raise Stopped
            if not np.isfinite(block).all():
                raise UserError(
                    f"{self.path}: holds samples that are NaN or infinite"
                )
            self.frames += len(block)
            if self.mono:
                block = block.mean(axis=1, keepdims=True)
            yield resampled(block)
        if self.frames:
            yield resampled(block[:0], last=True)

    def windows(self, plan, owner):
        """Reads it for the second time.

        Arguments
        ---------
        plan : miipher2.inference.windows.WindowPlan
            How to cut.
        owner : object
            Goes with every window.

        Yields
        ------
        Window
            For every stretch of time one for each channel.

        Raises
        ------
        UserError
            If it cannot be read any more, or is another one by now.
        """
        if self.kept:
            yield from self._cut(self.kept, plan, owner)
            return
        with open_audio(self.path) as sound:
            frames = self.frames
            yield from self._cut(self._blocks(sound), plan, owner)
            if self.frames != frames:
                raise UserError(f"{self.path}: changed while it was read")

    def _cut(self, blocks, plan, owner):
        starts = plan.starts(self.samples)
        start, next_start = next(starts), next(starts, None)
        size = plan.frames(self.samples) * plan.hop_length
        held, first, end = [], 0, 0  # blocks with samples [first, end)
        for block in blocks:
            held.append(block)
            end += len(block)
            while end >= min(self.samples, start * plan.hop_length + size):
                whole = np.concatenate(held)
                piece = whole[start * plan.hop_length - first :]
                for channel, samples in zip(
                    self.channels, piece[:size].T, strict=True
                ):
                    yield Window(
                        owner,
                        channel,
                        np.ascontiguousarray(samples),
                        start,
                        next_start,
                    )
                if next_start is None:
                    return
                start, next_start = next_start, next(starts, None)
                held = [whole[start * plan.hop_length - first :]]
                first = start * plan.hop_length
