"""Join the restored windows of a recording, set its loudness and write it.

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
from miipher2.inference.silence import mute_silence
from miipher2.inference.windows import CrossFade

BLOCK = 2**16  # samples per channel
IN_MEMORY = 2**22  # bytes per channel; a longer one is spooled to disk
# Limit of the gain that restores the input's loudness, 12 dB: an output that is
# much quieter than its input is the residue of noise, not speech.
MAX_LOUDNESS_GAIN = 10 ** (12 / 20)
WAV_LIMIT = 2**32 - 2**16  # maximum number of bytes of a plain WAV


class RestoredChannel:
    """Joins one channel, resamples it and spools it until its gain is known.

    Arguments
    ---------
    recording : miipher2.inference.recording.Recording
        Measured.
    index : int
        Index of the channel.
    restorer : miipher2.inference.restorer.Restorer
        Has ``plan``, ``hop_length`` and ``sample_rate``.
    sample_rate : int
        Hz of the output.
    spool : file
        An empty binary file, open for writing and reading.
    """

    def __init__(self, recording, index, restorer, sample_rate, spool):
        self.channel = recording.channels[index]
        self.input_loudness = recording.loudness[index]
        self.length = round(recording.frames * sample_rate / recording.rate)
        self.plan, self.input_rate = restorer.plan, recording.sample_rate
        rate, hop_length = restorer.sample_rate, restorer.hop_length
        if self.channel.silent:  # it bypasses the model
            rate, hop_length = self.input_rate, self.plan.hop_length
        self.cross_fade = CrossFade(self.plan, hop_length)
        self.resampled = resampler(rate, sample_rate)
        self.loudness = Loudness(rate)
        self.true_peak = TruePeak(sample_rate)
        self.peak = None
        self.spool = spool
        self.written = 0
        self.complete = False

    def add(self, window, wav):
        """Add the next window.

        Arguments
        ---------
        window : miipher2.inference.windows.Window
            The input window.
        wav : numpy.ndarray
            The restored window, ``(time,)`` float32.
        """
        if not self.channel.silent:
            wav = mute_silence(
                wav, window.samples, self.plan.hop_length, self.input_rate
            )
        joined = self.cross_fade.join(wav, window.start, window.next_start)
        self.complete = window.next_start is None
        self.loudness.add(joined)
        self._write(self.resampled(joined, last=self.complete))
        if self.complete:
            self._write(np.zeros(self.length - self.written, dtype=np.float32))
            self.peak = self.true_peak.value()

    def _write(self, samples):
        samples = samples[: self.length - self.written]
        self.true_peak.add(samples)
        self.spool.write(samples.astype("<f4").tobytes())
        self.written += len(samples)

    def blocks(self):
        """Read the spooled samples.

        Yields
        ------
        numpy.ndarray
            ``(time,)`` float32.
        """
        self.spool.seek(0)
        while data := self.spool.read(4 * BLOCK):
            yield np.frombuffer(data, dtype="<f4")

    def gain(self, loudness):
        """Return the factor that restores the loudness of the input.

        Arguments
        ---------
        loudness : str or float
            ``off``: return 1.

        Returns
        -------
        float
            The peak is not limited.
        """
        if self.channel.silent or loudness == "off":
            return 1.0
        output_loudness = self.loudness.value()
        if math.isinf(output_loudness) or math.isinf(self.input_loudness):
            return 1 / self.channel.gain  # too quiet to have a loudness
        gain = 10 ** ((self.input_loudness - output_loudness) / 20)
        return min(gain, MAX_LOUDNESS_GAIN / self.channel.gain)


def scaled_blocks(channels, gains):
    """Read the blocks of several channels and apply their gains.

    Arguments
    ---------
    channels : list of RestoredChannel
        Complete.
    gains : list of float
        One per channel.

    Yields
    ------
    numpy.ndarray
        ``(time, channels)`` float32.
    """
    gains = np.float32(gains)
    for blocks in zip(*(c.blocks() for c in channels), strict=True):
        yield np.stack(blocks, axis=1) * gains


def final_gains(channels, loudness, sample_rate):
    """Return the gains for a loudness and a true peak below -1 dB.

    Arguments
    ---------
    channels : list of RestoredChannel
        Complete.
    loudness : str or float
        ``input``: that of the input, per channel; a number: LUFS of all
        channels together; ``off``: that of the model's output.
    sample_rate : int
        Hz.

    Returns
    -------
    list of float
        One per channel.
    """
    gains = [channel.gain(loudness) for channel in channels]
    if not isinstance(loudness, str):
        meter = Loudness(sample_rate)
        for block in scaled_blocks(channels, gains):
            meter.add(block)
        if not math.isinf(meter.value()):
            change = 10 ** ((loudness - meter.value()) / 20)
            gains = [gain * change for gain in gains]
    peak = max(
        gain * channel.peak
        for gain, channel in zip(gains, channels, strict=True)
    )
    return [gain * min(1.0, CEILING / max(peak, CEILING)) for gain in gains]


class RestoredRecording:
    """Collects the windows of a recording and writes the complete file.

    Arguments
    ---------
    path : Path
        The output; its suffix is the format. Missing folders are created.
    recording : miipher2.inference.recording.Recording
        Measured.
    restorer : miipher2.inference.restorer.Restorer
        Has ``plan``, ``hop_length`` and ``sample_rate``.
    sample_rate : int
        Hz of the output.
    loudness : str or float
        See ``final_gains``.

    Raises
    ------
    UserError
        If the format is unknown or the folder cannot be created.
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
            # An unnamed file on the output's disk, freed with the process
            spool = tempfile.SpooledTemporaryFile(IN_MEMORY, dir=path.parent)
            self.channels[channel] = RestoredChannel(
                recording, index, restorer, sample_rate, spool
            )

    @property
    def silent(self):
        """Whether no channel contains speech."""
        return all(channel.silent for channel in self.channels)

    def add(self, window, wav):
        """Add a window; write the file after the last one.

        Arguments
        ---------
        window : miipher2.inference.windows.Window
            The input window. Those of a channel are added in order.
        wav : numpy.ndarray
            The restored window, ``(time,)`` float32.

        Returns
        -------
        bool
            Whether the file has been written.

        Raises
        ------
        UserError
            If it cannot be written. No partial file remains.
        """
        try:
            self.channels[window.channel].add(window, wav)
            if not all(c.complete for c in self.channels.values()):
                return False
            self._write()
            return True
        except (OSError, soundfile.SoundFileError) as error:
            raise _failure(self.path, error) from None

    def close(self):
        """Delete the spooled samples."""
        for channel in self.channels.values():
            channel.spool.close()

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
            ) as writer,
        ):
            for block in scaled_blocks(channels, gains):
                writer.write(block)


def _failure(path, error):
    reason = getattr(error, "strerror", None) or str(error)
    return UserError(f"{path}: cannot be written: {reason}")
