"""One recording on its way out: joined, brought to its level, written.

Authors
 * The miipher2 authors 2026
"""

import math
import tempfile

import numpy as np
import soundfile

from miipher2.dataio.atomic import atomic_write
from miipher2.dataio.decoding import resampler
from miipher2.dataio.formats import output_format
from miipher2.errors import UserError
from miipher2.inference.loudness import CEILING, Loudness, TruePeak
from miipher2.inference.silence import hush
from miipher2.inference.windows import Seams

BLOCK = 2**16  # samples a channel
IN_MEMORY = 2**22  # bytes of a channel that wait in memory to be written
# More than what noise takes of the input's loudness: if hardly anything is left
# of a recording, it is not speech that should be as loud as the recording was.
MOST_RAISED = 10 ** (12 / 20)
WAV_LIMIT = 2**32 - 2**16  # bytes that a plain wav can have


class RestoredChannel:
    """One channel, joined, at the output's rate, waiting for its gain.

    Arguments
    ---------
    recording : miipher2.inference.recording.Recording
        Measured.
    index : int
        Which of its channels.
    restorer : miipher2.inference.restorer.Restorer
        Has ``plan``, ``hop_length`` and ``sample_rate``.
    sample_rate : int
        Hz of the output.
    spool : file
        Where the samples wait: empty, binary, to write and to read.
    """

    def __init__(self, recording, index, restorer, sample_rate, spool):
        self.channel = recording.channels[index]
        self.input_loudness = recording.loudness[index]
        self.length = round(recording.frames * sample_rate / recording.rate)
        self.plan, self.input_rate = restorer.plan, recording.sample_rate
        rate, hop_length = restorer.sample_rate, restorer.hop_length
        if self.channel.silent:  # it has not been through the model
            rate, hop_length = self.input_rate, self.plan.hop_length
        self.seams = Seams(self.plan, hop_length)
        self.resampled = resampler(rate, sample_rate)
        self.loudness = Loudness(rate)
        self.true_peak = TruePeak(sample_rate)
        self.peak = None
        self.spool = spool
        self.written = 0
        self.complete = False

    def add(self, window, wav):
        """Takes the next window.

        Arguments
        ---------
        window : miipher2.inference.windows.Window
            Where it belongs.
        wav : numpy.ndarray
            ``(time,)`` float32.
        """
        if not self.channel.silent:
            wav = hush(
                wav, window.samples, self.plan.hop_length, self.input_rate
            )
        joined = self.seams.join(wav, window.start, window.next_start)
        self.complete = window.next_start is None
        self.loudness.add(joined)
        self._keep(self.resampled(joined, last=self.complete))
        if self.complete:
            self._keep(np.zeros(self.length - self.written, dtype=np.float32))
            self.peak = self.true_peak.value()

    def _keep(self, samples):
        samples = samples[: self.length - self.written]
        self.true_peak.add(samples)
        self.spool.write(samples.astype("<f4").tobytes())
        self.written += len(samples)

    def blocks(self):
        """All samples from the start.

        Yields
        ------
        numpy.ndarray
            ``(time,)`` float32.
        """
        self.spool.seek(0)
        while data := self.spool.read(4 * BLOCK):
            yield np.frombuffer(data, dtype="<f4")

    def gain(self, loudness):
        """Factor that brings it to its level.

        Arguments
        ---------
        loudness : str or float
            ``off``: none; else that of the input.

        Returns
        -------
        float
            Without regard for the peak.
        """
        if self.channel.silent or loudness == "off":
            return 1.0
        made = self.loudness.value()
        if math.isinf(made) or math.isinf(self.input_loudness):
            return 1 / self.channel.gain  # nothing to compare
        gain = 10 ** ((self.input_loudness - made) / 20)
        return min(gain, MOST_RAISED / self.channel.gain)


def scaled_blocks(channels, gains):
    """Blocks of several channels with their gains.

    Arguments
    ---------
    channels : list of RestoredChannel
        Complete.
    gains : list of float
        One for each.

    Yields
    ------
    numpy.ndarray
        ``(time, channels)`` float32.
    """
    gains = np.float32(gains)
    for blocks in zip(*(one.blocks() for one in channels), strict=True):
        yield np.stack(blocks, axis=1) * gains


def final_gains(channels, loudness, sample_rate):
    """Gains that bring a recording to its level, its true peak below -1 dB.

    Arguments
    ---------
    channels : list of RestoredChannel
        Complete.
    loudness : str or float
        ``input``: each channel as loud as it was; a number: LUFS of them
        together; ``off``: as the model speaks.
    sample_rate : int
        Hz.

    Returns
    -------
    list of float
        One for each channel.
    """
    gains = [one.gain(loudness) for one in channels]
    if not isinstance(loudness, str):
        made = Loudness(sample_rate)
        for block in scaled_blocks(channels, gains):
            made.add(block)
        if not math.isinf(made.value()):
            change = 10 ** ((loudness - made.value()) / 20)
            gains = [gain * change for gain in gains]
    peak = max(
        gain * one.peak for gain, one in zip(gains, channels, strict=True)
    )
    return [gain * min(1.0, CEILING / max(peak, CEILING)) for gain in gains]


class RestoredRecording:
    """Collects the windows of a recording and writes it when it is complete.

    Arguments
    ---------
    path : Path
        The file, in the format of its suffix; its folder is made.
    recording : miipher2.inference.recording.Recording
        Measured.
    restorer : miipher2.inference.restorer.Restorer
        Has ``plan``, ``hop_length`` and ``sample_rate``.
    sample_rate : int
        Hz of the output.
    loudness : str or float
        As ``final_gains`` takes it.

    Raises
    ------
    UserError
        If there is no such format or its folder cannot be made.
    """

    def __init__(self, path, recording, restorer, sample_rate, loudness):
        self.path = path
        self.format = output_format(path)
        self.sample_rate = sample_rate
        self.loudness = loudness
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise _failure(path, error) from None
        self.channels = {}
        for index, channel in enumerate(recording.channels):
            # Long ones wait in a file without a name, which vanishes with the
            # process, on the disk that has to have room for them anyway.
            spool = tempfile.SpooledTemporaryFile(IN_MEMORY, dir=path.parent)
            self.channels[channel] = RestoredChannel(
                recording, index, restorer, sample_rate, spool
            )

    @property
    def silent(self):
        """Whether no channel holds speech."""
        return all(channel.silent for channel in self.channels)

    def add(self, window, wav):
        """Takes a window; those of a channel come in order.

        Arguments
        ---------
        window : miipher2.inference.windows.Window
            Where it belongs.
        wav : numpy.ndarray
            ``(time,)`` float32.

        Returns
        -------
        bool
            Whether it was the last one and the file has been written.

        Raises
        ------
        UserError
            If it cannot be written; nothing is left of it.
        """
        try:
            self.channels[window.channel].add(window, wav)
            if not all(one.complete for one in self.channels.values()):
                return False
            self._write()
            return True
        except (OSError, soundfile.SoundFileError) as error:
            raise _failure(self.path, error) from None

    def close(self):
        """Lets go of what was collected."""
        for one in self.channels.values():
            one.spool.close()

    def _write(self):
        channels = list(self.channels.values())
        loudness = "off" if self.silent else self.loudness
        gains = final_gains(channels, loudness, self.sample_rate)
        size = 2 * len(channels) * channels[0].length
        too_long = self.format == "WAV" and size > WAV_LIMIT
        with (
            atomic_write(self.path) as file,
            soundfile.SoundFile(
                file,
                "w",
                self.sample_rate,
                len(channels),
                format="RF64" if too_long else self.format,
            ) as sound,
        ):
            for block in scaled_blocks(channels, gains):
                sound.write(block)


def _failure(path, error):
    reason = getattr(error, "strerror", None) or str(error)
    return UserError(f"{path}: cannot be written: {reason}")
