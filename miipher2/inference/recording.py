"""Reading of recordings: measurement first, then cutting into windows.

Authors
 * The miipher2 authors 2026
"""

import math
import threading

import numpy as np

from miipher2.dataio.decoding import AudioStream, open_audio, resampler
from miipher2.dataio.sound_file import UNFINISHED
from miipher2.dataio.speech_level import SpeechLevel
from miipher2.errors import UserError
from miipher2.inference.windows import Channel, Window

RATES = (1000, 384000)  # Hz; other rates indicate a corrupt header
MAX_CHANNELS = 8
# Files up to this duration, summed over channels, are read only once.
CACHE_SECONDS = 60.0


class Stopped(Exception):
    """Raised while reading if the run has been stopped."""


class Recording:
    """A recording, resampled to the model's input rate.

    The file is read in blocks. A long file is read twice, because the gain for
    the model's input is known only after the first pass.

    Arguments
    ---------
    path : str or Path
        A file in any supported format, see ``miipher2.dataio.decoding``.
    sample_rate : int
        The model's input rate in Hz.
    channels : str
        ``each``: restore every channel; ``mono``: restore the mean of all
        channels.
    stop : threading.Event
        Once this event is set, reading raises ``Stopped``.
    input_level : dict
        Arguments of ``SpeechLevel.gain``. None for the default values.

    Attributes
    ----------
    rate : int
        Sample rate of the file in Hz.
    frames : int
        Samples per channel in the file.
    samples : int
        Samples per channel at the model's input rate.
    subtype : str
        Sample format of the file, see ``AudioStream``.
    channels : list of Channel
        The channels to restore, set by ``measure``.
    note : str
        A warning about the file, for example that it is truncated. Empty if
        there is no warning.

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

    def __init__(
        self, path, sample_rate, channels="each", stop=None, input_level=None
    ):
        self.path = path
        self.sample_rate = sample_rate
        self.mono = channels == "mono"
        self.stop = stop or threading.Event()
        self.input_level = input_level or {}
        self.frames = self.samples = 0
        self.cache = []
        self.subtype = self.note = ""

    @classmethod
    def from_samples(cls, wav, sample_rate, input_level=None, rate=None):
        """Create a measured recording from samples in memory.

        Arguments
        ---------
        wav : numpy.ndarray
            ``(time,)`` float32.
        sample_rate : int
            The model's input rate in Hz.
        input_level : dict
            See the class.
        rate : int
            Sample rate of ``wav`` in Hz. None for ``sample_rate``.

        Returns
        -------
        Recording
            A recording that is already measured.
        """
        recording = cls("the clip", sample_rate, input_level=input_level)
        audio = AudioStream(rate or sample_rate, 1, [wav[:, None]])
        recording._measure(audio, math.inf)
        return recording

    @property
    def seconds(self):
        """Duration of the file in seconds."""
        return self.frames / self.rate

    def measure(self):
        """Measure the duration and the speech levels of the recording.

        Raises
        ------
        UserError
            If the file cannot be read, is empty, contains samples that are not
            finite, or has an unsupported sample rate or too many channels.
        """
        with open_audio(self.path) as audio:
            self._check(audio)
            self._measure(audio, CACHE_SECONDS)
            length, truncated = audio.header_length, audio.truncated
            unfinished, self.subtype = audio.unfinished, audio.subtype
        if length is not None and self.frames < length:
            self.note = (
                f"ends after {self.seconds:.3f} s; its header "
                f"specifies {length / self.rate:.3f} s"
            )
        elif unfinished:
            self.note = UNFINISHED
        elif truncated:
            self.note = (
                f"ends after {self.seconds:.3f} s; the file is truncated"
            )

    def _check(self, audio):
        if not RATES[0] <= audio.rate <= RATES[1]:
            raise UserError(
                f"{self.path}: a sample rate of {audio.rate} Hz; expected "
                f"{RATES[0]} to {RATES[1]}"
            )
        if audio.channels > MAX_CHANNELS and not self.mono:
            raise UserError(
                f"{self.path}: {audio.channels} channels; expected at most "
                f"{MAX_CHANNELS}; use --channels mono to restore their mean"
            )

    def _measure(self, audio, cache_seconds):
        self.rate = audio.rate
        count = 1 if self.mono else audio.channels
        levels = [SpeechLevel(self.sample_rate) for _ in range(count)]
        limit = cache_seconds * self.sample_rate / count
        for block in self._blocks(audio):
            for level, samples in zip(levels, block.T, strict=True):
                level.add(samples)
            self.samples += len(block)
            if self.samples <= limit:
                self.cache.append(block)
        if self.samples > limit:
            self.cache = []
        if not self.frames:
            raise UserError(f"{self.path}: contains no samples")
        self.channels = [
            Channel(level.gain(**self.input_level), level.is_silence())
            for level in levels
        ]

    def _blocks(self, audio):
        """Yield blocks ``(time, channels)`` at the model's input rate."""
        channels = 1 if self.mono else audio.channels
        resample = resampler(audio.rate, self.sample_rate, channels)
        self.frames = 0
        for block in audio.blocks:
            if self.stop.is_set():
                raise Stopped
            if not np.isfinite(block).all():
                raise UserError(
                    f"{self.path}: contains samples that are NaN or infinite"
                )
            self.frames += len(block)
            if self.mono:
                block = block.mean(axis=1, keepdims=True)
            yield resample(block)
        if self.frames:
            yield resample(block[:0], last=True)

    def windows(self, plan, owner):
        """Cut the measured recording into windows.

        Arguments
        ---------
        plan : miipher2.inference.windows.WindowPlan
            Window length and overlap.
        owner : object
            Stored in each window.

        Yields
        ------
        Window
            The windows of all channels at the first position, then at the next
            position, and so on.

        Raises
        ------
        UserError
            If the file can no longer be read or its length has changed.
        """
        if self.cache:
            yield from self._cut(self.cache, plan, owner)
            return
        with open_audio(self.path) as audio:
            frames = self.frames
            yield from self._cut(self._blocks(audio), plan, owner)
            if self.frames != frames:
                raise UserError(f"{self.path}: changed while it was read")

    def _cut(self, blocks, plan, owner):
        starts = plan.starts(self.samples)
        start, next_start = next(starts), next(starts, None)
        size = plan.frames(self.samples) * plan.hop_length
        buffered, first, end = [], 0, 0  # blocks with samples [first, end)
        for block in blocks:
            buffered.append(block)
            end += len(block)
            while end >= min(self.samples, start * plan.hop_length + size):
                buffer = np.concatenate(buffered)
                segment = buffer[start * plan.hop_length - first :][:size]
                for channel, samples in zip(
                    self.channels, segment.T, strict=True
                ):
                    samples = np.ascontiguousarray(samples)
                    yield Window(owner, channel, samples, start, next_start)
                if next_start is None:
                    return
                start, next_start = next_start, next(starts, None)
                buffered = [buffer[start * plan.hop_length - first :]]
                first = start * plan.hop_length
