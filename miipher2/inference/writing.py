"""Joining of restored windows, adjustment of the loudness, and writing.

Authors
 * The miipher2 authors 2026
"""

import math
import tempfile

import numpy as np
import soundfile

from miipher2.dataio.atomic import atomic_write
from miipher2.dataio.decoding import resampler
from miipher2.dataio.formats import output_format, output_subtype
from miipher2.errors import UserError
from miipher2.inference.limiter import limit
from miipher2.inference.loudness import CEILING, Loudness, TruePeak
from miipher2.inference.silence import apply_gain, mute_silence
from miipher2.inference.speech_gate import RESIDUE, speech_gate
from miipher2.inference.windows import CrossFade

BLOCK = 2**16  # samples per channel
IN_MEMORY = 2**22  # bytes per channel; longer channels are spooled to disk
# Maximum gain, 12 dB, for restoring the input's loudness, after the gain of the
# model's input is undone. An output that is much quieter than its input is
# residual noise, which must stay quiet.
MAX_LOUDNESS_GAIN = 10 ** (12 / 20)
# The limiter is used if the peaks would be too high at the requested loudness.
LIMIT = 10 ** (-1.2 / 20)  # below CEILING: limited peaks can exceed LIMIT
MAX_REDUCTION_DB = 12.0  # maximum gain reduction by the limiter
# Maximum number of passes in the search for the gain of the limiter's input
LOUDNESS_PASSES = 5
# In LU: error below which the search ends, and error above which it is noted
LOUDNESS_ERROR = 0.1, 0.5
WAV_LIMIT = 2**32 - 2**16  # maximum size of a plain WAV file in bytes
SAMPLE_BYTES = {"PCM_16": 2, "PCM_24": 3, "FLOAT": 4}


class RestoredChannel:
    """A restored channel, joined from its windows, resampled and spooled.

    The output is attenuated where a speech detector finds no speech. The gain
    that restores loudness is computed from the speech, after the last window.

    Arguments
    ---------
    recording : miipher2.inference.recording.Recording
        A recording whose ``measure`` method has been called.
    index : int
        Index of the channel in the recording.
    restorer : miipher2.inference.restorer.Restorer
        The model.
    sample_rate : int
        Sample rate of the output in Hz.
    spool : file
        An empty binary file, open for writing and reading.

    Attributes
    ----------
    speech_found : bool
        Whether any window so far contains speech.
    """

    def __init__(self, recording, index, restorer, sample_rate, spool):
        self.channel = recording.channels[index]
        self.length = round(recording.frames * sample_rate / recording.rate)
        self.plan, self.input_rate = restorer.plan, recording.sample_rate
        rate, hop_length = restorer.sample_rate, restorer.hop_length
        if self.channel.silent:  # the channel bypasses the model
            rate, hop_length = self.input_rate, self.plan.hop_length
        self.cross_fade = CrossFade(self.plan, hop_length)
        self.resampled = resampler(rate, sample_rate)
        # Cross-fades and loudness meters for speech in the output and the input
        self.meters = [
            (CrossFade(self.plan, hop_length), Loudness(rate)),
            (
                CrossFade(self.plan, self.plan.hop_length),
                Loudness(self.input_rate),
            ),
        ]
        self.speech_found = False
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
        position = window.start, window.next_start
        if not self.channel.silent:
            wav = mute_silence(
                wav, window.samples, self.plan.hop_length, self.input_rate
            )
            gate = np.ones(1)
            if window.presence is not None:
                gate = speech_gate(window.presence)
            self.speech_found = self.speech_found or bool(gate.any())
            for (cross_fade, meter), samples in zip(
                self.meters, (wav, window.samples), strict=True
            ):
                speech = apply_gain(samples, gate)
                meter.add(cross_fade.join(speech, *position))
            wav = apply_gain(wav, 1 - (1 - RESIDUE) * (1 - gate))
        joined = self.cross_fade.join(wav, *position)
        self.complete = window.next_start is None
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

    @property
    def input_gain(self):
        """Gain of the model's input; 1 if the channel bypasses the model."""
        return 1.0 if self.channel.silent else self.channel.gain

    def gain(self):
        """Return the gain that restores the loudness of the input's speech.

        Peaks are limited later, by ``final_blocks``.
        """
        output_loudness, input_loudness = (
            meter.value() for _, meter in self.meters
        )
        if math.isinf(output_loudness) or math.isinf(input_loudness):
            return 1 / self.input_gain  # no speech, or too quiet to measure
        gain = 10 ** ((input_loudness - output_loudness) / 20)
        return min(gain, MAX_LOUDNESS_GAIN / self.input_gain)


def scaled_blocks(channels, gains):
    """Read the blocks of several channels and apply their gains.

    Arguments
    ---------
    channels : list of RestoredChannel
        Channels to which all windows have been added.
    gains : list of float
        Gain of each channel.

    Yields
    ------
    numpy.ndarray
        ``(time, channels)`` float32.
    """
    gains = np.float32(gains)
    for blocks in zip(*(c.blocks() for c in channels), strict=True):
        yield np.stack(blocks, axis=1) * gains


def final_blocks(channels, loudness, sample_rate):
    """Set the loudness and keep the true peak below -1 dB.

    Arguments
    ---------
    channels : list of RestoredChannel
        Channels to which all windows have been added.
    loudness : str or float
        ``input``: each channel keeps the loudness of its input. A number:
        loudness of the recording in LUFS, with a limiter if needed. ``off``:
        loudness of the model's output, with the original balance of the
        channels. A recording without speech is never amplified.
    sample_rate : int
        Sample rate in Hz.

    Returns
    -------
    blocks : iterable of numpy.ndarray
        ``(time, channels)`` float32.
    note : str
        Why the requested loudness was not reached, or empty.
    """
    gains = [channel.gain() for channel in channels]
    speech = [channel for channel in channels if channel.speech_found]
    if loudness == "off":
        # The loudest channel has the smallest input gain and is not changed.
        level = min((channel.input_gain for channel in speech), default=1.0)
        gains = [level / channel.input_gain for channel in channels]
    elif loudness != "input" and speech:
        measured = _measure(scaled_blocks(channels, gains), sample_rate)[0]
        if not math.isinf(measured):
            change = 10 ** ((loudness - measured) / 20)
            gains = [gain * change for gain in gains]
            if _peak(channels, gains) > CEILING:
                return _limited_blocks(channels, gains, loudness, sample_rate)
    scale = min(1.0, CEILING / max(_peak(channels, gains), CEILING))
    return scaled_blocks(channels, [gain * scale for gain in gains]), ""


def _peak(channels, gains):
    return max(
        gain * channel.peak
        for gain, channel in zip(gains, channels, strict=True)
    )


def _measure(blocks, sample_rate):
    """Return the loudness and the true peak of a recording's blocks."""
    meter, peaks = Loudness(sample_rate), []
    for block in blocks:
        meter.add(block)
        peaks = peaks or [TruePeak(sample_rate) for _ in block.T]
        for peak, samples in zip(peaks, block.T, strict=True):
            peak.add(np.ascontiguousarray(samples))
    return meter.value(), max((peak.value() for peak in peaks), default=0.0)


def _limited_blocks(channels, gains, loudness, sample_rate):
    """Set the loudness with a limiter; return the blocks and a note."""
    gains = np.array(gains)
    highest = LIMIT * 10 ** (MAX_REDUCTION_DB / 20) / _peak(channels, gains)
    change = min(1.0, highest)

    def blocks(scale=1.0):
        scaled = scaled_blocks(channels, change * gains)
        for block in limit(scaled, sample_rate, LIMIT):
            yield block * np.float32(scale)

    for remaining in reversed(range(LOUDNESS_PASSES)):
        reached, peak = _measure(blocks(), sample_rate)
        missing = loudness - reached
        limited = missing > 0 and change == highest
        if abs(missing) < LOUDNESS_ERROR[0] or limited or not remaining:
            break
        change = min(change * 10 ** (missing / 20), highest)
    note = ""
    if abs(missing) > LOUDNESS_ERROR[1]:
        note = f"{reached:.1f} LUFS instead of {loudness:g}"
        if limited:
            most = f"more than {MAX_REDUCTION_DB:g} dB of limiting"
            note += f", which would need {most}"
    return blocks(min(1.0, CEILING / peak)), note


class RestoredRecording:
    """A restored recording, written once all windows have been added.

    Arguments
    ---------
    path : Path
        The output file. Its suffix determines the format. Missing folders are
        created.
    recording : miipher2.inference.recording.Recording
        A recording whose ``measure`` method has been called.
    restorer : miipher2.inference.restorer.Restorer
        The model.
    settings : miipher2.inference.job.Settings
        Settings of the output.

    Attributes
    ----------
    note : str
        A remark on the written output, or empty.

    Raises
    ------
    UserError
        If the format is not supported or does not support the sample
        format, or if the folder cannot be created.
    """

    def __init__(self, path, recording, restorer, settings):
        self.path = path
        self.format = output_format(path)
        self.subtype = output_subtype(
            self.format, settings.subtype, recording.subtype
        )
        self.sample_rate = settings.sample_rate
        self.loudness = settings.loudness
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise write_error(path, error) from None
        self.note = ""
        self.channels = {}
        for index, channel in enumerate(recording.channels):
            # Spooled to an unnamed file in the output folder
            spool = tempfile.SpooledTemporaryFile(IN_MEMORY, dir=path.parent)
            self.channels[channel] = RestoredChannel(
                recording, index, restorer, self.sample_rate, spool
            )

    @property
    def length(self):
        """Number of output samples per channel."""
        return next(iter(self.channels.values())).length

    @property
    def silent(self):
        """Whether all channels are silent."""
        return all(channel.silent for channel in self.channels)

    def add(self, window, wav):
        """Add a window; write the file after the last window.

        Arguments
        ---------
        window : miipher2.inference.windows.Window
            The input window. The windows of a channel must be added in order.
        wav : numpy.ndarray
            The restored window, ``(time,)`` float32.

        Returns
        -------
        bool
            Whether the file has been written.

        Raises
        ------
        UserError
            If the file cannot be written. No partial file remains.
        """
        try:
            self.channels[window.channel].add(window, wav)
            if not all(c.complete for c in self.channels.values()):
                return False
            self._write()
            return True
        except (OSError, soundfile.SoundFileError) as error:
            raise write_error(self.path, error) from None

    def close(self):
        """Delete the spooled samples."""
        for channel in self.channels.values():
            channel.spool.close()

    def _write(self):
        channels = list(self.channels.values())
        blocks, self.note = final_blocks(
            channels, self.loudness, self.sample_rate
        )
        if not self.silent and not any(c.speech_found for c in channels):
            self.note = "no speech found"
        self.write_blocks(blocks)

    def write_blocks(self, blocks):
        """Write float32 blocks ``(time, channels)`` to the output file."""
        too_long = False
        if self.format == "WAV":
            samples = len(self.channels) * self.length
            too_long = SAMPLE_BYTES[self.subtype] * samples > WAV_LIMIT
        with atomic_write(self.path) as file:
            with soundfile.SoundFile(
                file,
                "w",
                self.sample_rate,
                len(self.channels),
                self.subtype,
                format="RF64" if too_long else self.format,
            ) as writer:
                for block in blocks:
                    writer.write(block)
            if self.subtype == "FLOAT":
                _clear_time(file)


def _clear_time(file):
    """Clear the timestamp that libsndfile writes to the PEAK chunk.

    Repeated restorations of a recording then give identical files.
    """
    file.seek(0)
    position = file.read(512).find(b"PEAK")
    if position >= 0:
        file.seek(position + 12)
        file.write(bytes(4))


def write_error(path, error):
    """Return a ``UserError`` for a file that cannot be written."""
    reason = getattr(error, "strerror", None) or str(error)
    return UserError(f"{path}: cannot be written: {reason}")
