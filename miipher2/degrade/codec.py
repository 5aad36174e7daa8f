"""Encoding and decoding in memory with speech and music codecs.

Authors
 * The miipher2 authors 2026
"""

import dataclasses
import functools
import io
from collections.abc import Callable

import numpy as np
import soundfile
import soxr
from scipy import signal
from speechbrain.utils.logger import get_logger

from miipher2.degrade.base import Degradation, fit, pick
from miipher2.errors import UserError

try:
    import av
except ImportError:
    av = None

logger = get_logger(__name__)

# Number of zeros after the test signal in ``delay``. It exceeds the delay of
# every codec in samples.
FLUSH = 4096


def _soundfile(samples, rate, container, subtype, **settings):
    """Encode and decode with a codec of libsndfile."""
    file = io.BytesIO()
    soundfile.write(
        file, samples, rate, format=container, subtype=subtype, **settings
    )
    file.seek(0)
    return soundfile.read(file, dtype="float32")[0]


def _mp3(samples, rate, kbps):
    # libsndfile maps compression levels from 0 to 1 (exclusive) linearly to
    # bit rates from the highest to the lowest of the MPEG version.
    highest, lowest = (320, 32) if rate >= 32000 else (160, 8)
    if rate < 16000:
        highest = 64
    # LAME rounds to the nearest bit rate of the standard.
    level = (highest - kbps) / (highest - lowest)
    return _soundfile(
        samples,
        rate,
        "MP3",
        "MPEG_LAYER_III",
        compression_level=min(max(level, 0.0), 0.999),
        bitrate_mode="CONSTANT",
    )


def _vorbis(samples, rate, quality):
    # libsndfile maps compression levels from 0 to 1 to qualities from 10 to 0.
    level = 1 - quality / 10
    return _soundfile(samples, rate, "OGG", "VORBIS", compression_level=level)


def _opus(samples, rate, kbps):
    # libsndfile maps compression levels from 0 to 1 linearly to bit rates from
    # 256 to 6 kbit/s.
    level = min(max((256 - kbps) / 250, 0.0), 1.0)
    return _soundfile(samples, rate, "OGG", "OPUS", compression_level=level)


def _pcm(subtype):
    return lambda samples, rate, kbps: _soundfile(samples, rate, "WAV", subtype)


def _pyav(encoder, decoder, **options):
    """Return a function that encodes and decodes with FFmpeg's codecs."""

    def round_trip(samples, rate, kbps):
        encode = av.CodecContext.create(encoder, "w")
        encode.sample_rate = rate
        encode.layout = "mono"
        encode.format = encode.codec.audio_formats[0].name
        encode.bit_rate = round(1000 * kbps)
        encode.options = options
        encode.open()
        decode = av.CodecContext.create(decoder, "r")
        decode.sample_rate = rate
        decode.layout = "mono"
        decode.extradata = encode.extradata
        if encode.format.name == "s16":
            samples = np.rint(np.clip(samples, -1, 1) * 32767).astype(np.int16)
        frame = encode.frame_size
        samples = np.pad(samples, (0, -len(samples) % frame))
        packets = []
        for start in range(0, len(samples), frame):
            chunk = av.AudioFrame.from_ndarray(
                samples[None, start : start + frame],
                format=encode.format.name,
                layout="mono",
            )
            chunk.sample_rate = rate
            chunk.pts = start
            packets += encode.encode(chunk)
        packets += encode.encode(None)
        frames = [out for packet in packets for out in decode.decode(packet)]
        frames += decode.decode(None)
        decoded = np.concatenate([out.to_ndarray()[0] for out in frames])
        if decoded.dtype == np.int16:
            decoded = decoded.astype(np.float32) / 32768
        # Opus is always decoded at 48 kHz.
        return soxr.resample(decoded, frames[0].sample_rate, rate)

    return round_trip


@dataclasses.dataclass(frozen=True)
class Coder:
    """A codec, its sample rates and the unit of its bit rate or quality.

    Arguments
    ---------
    round_trip : callable
        Maps (samples, rate, setting) to decoded samples at the same rate. The
        setting is a bit rate or a quality.
    rates : tuple of int
        Supported sample rates in Hz, ascending.
    unit : str
        Unit of the setting: ``kbps`` (kbit/s) or ``quality``.
    encoder : str
        Name of the required FFmpeg encoder; empty if the codec is always
        available.
    """

    round_trip: Callable
    rates: tuple
    unit: str = "kbps"
    encoder: str = ""

    def missing(self):
        """Return whether a required encoder is missing."""
        return bool(self.encoder) and not _has_encoder(self.encoder)


def _has_encoder(name):
    """Return whether PyAV is installed and its FFmpeg has the encoder."""
    if av is None:
        return False
    try:
        av.Codec(name, "w")
    except ValueError:  # av.codec.codec.UnknownCodecError
        return False
    return True


TELEPHONE = (8000,)
MPEG = (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000)
OPUS = (8000, 12000, 16000, 24000, 48000)
AMR = "libopencore_amrnb"
# MP3 and Opus use the faster library: soundfile for MP3, PyAV for Opus. In
# PyAV, Opus runs at complexity 5, as in WebRTC on mobile phones.
CODERS = {
    "mp3": Coder(_mp3, MPEG),
    "vorbis": Coder(_vorbis, MPEG, unit="quality"),
    "opus": Coder(_opus, OPUS),
    "aac": Coder(_pyav("aac", "aac"), MPEG, encoder="aac"),
    "alaw": Coder(_pcm("ALAW"), TELEPHONE),
    "mulaw": Coder(_pcm("ULAW"), TELEPHONE),
    "gsm": Coder(_pcm("GSM610"), TELEPHONE),
    "amr_nb": Coder(_pyav(AMR, "amrnb"), TELEPHONE, encoder=AMR),
    "g722": Coder(_pyav("g722", "g722"), (16000,), encoder="g722"),
}
if _has_encoder("libopus"):
    CODERS["opus"] = Coder(
        _pyav("libopus", "libopus", application="voip", compression_level="5"),
        OPUS,
    )


@functools.cache
def delay(name, setting, rate):
    """Measure a codec's delay.

    The delay depends on the build of the libraries and, for MP3, on the bit
    rate. It is therefore measured, once per setting and process, by
    cross-correlating a noisy chirp of 0.5 s with its decoded version.

    Arguments
    ---------
    name : str
        One of ``CODERS``.
    setting : float
        Bit rate in kbit/s, or quality.
    rate : int
        The codec's sample rate in Hz.

    Returns
    -------
    samples : int
        The delay in samples, 0 or more.

    Example
    -------
    >>> delay("mulaw", 64, 8000)
    0
    """
    time = np.arange(rate // 2) / rate
    probe = 0.3 * signal.chirp(time, 150.0, 0.5, 0.4 * min(rate, 8000))
    probe += 0.02 * np.random.default_rng(0).standard_normal(len(time))
    probe = np.pad(probe, (rate // 10, FLUSH)).astype(np.float32)
    decoded = fit(CODERS[name].round_trip(probe, rate, setting), len(probe))
    match = signal.correlate(decoded, probe, mode="full", method="fft")
    return max(0, int(np.argmax(match)) - (len(probe) - 1))


def transcode(samples, sample_rate, name, setting):
    """Encode and decode a clip; align the result with the input.

    Arguments
    ---------
    samples : numpy.ndarray
        float32 of shape (time,).
    sample_rate : int
        Sample rate in Hz. If the codec does not support it, the next higher
        supported rate is used or, if there is none, the highest.
    name : str
        One of ``CODERS``.
    setting : float
        Bit rate in kbit/s, or quality for Vorbis (0 to 10).

    Returns
    -------
    decoded : numpy.ndarray
        float32 of shape (time,).

    Example
    -------
    >>> ramp = np.linspace(-1, 1, 160, dtype=np.float32)
    >>> decoded = transcode(ramp, 8000, "alaw", 64)
    >>> bool(np.abs(decoded - ramp).max() < 0.03)
    True
    """
    coder = CODERS[name]
    rate = next((r for r in coder.rates if r >= sample_rate), coder.rates[-1])
    source = samples
    if rate != sample_rate:
        source = soxr.resample(source, sample_rate, rate)
    lag = delay(name, setting, rate)
    padded = np.pad(source, (0, lag))
    decoded = fit(coder.round_trip(padded, rate, setting)[lag:], len(source))
    if rate != sample_rate:
        decoded = soxr.resample(decoded, rate, sample_rate)
    return fit(decoded, len(samples))


class Codec(Degradation):
    """Encode and decode with a random codec at one of its bit rates.

    MP3, Vorbis, GSM 06.10, A-law and mu-law use soundfile. AAC, AMR-NB and
    G.722 use PyAV (``pip install 'av<19'``); codecs without an available
    encoder are left out, with a message in the log. Opus uses PyAV if possible,
    else soundfile.

    Arguments
    ---------
    codecs : dict of list of float
        Bit rates to choose from, in kbit/s, by codec: any of mp3, vorbis, opus,
        aac, alaw, mulaw, gsm, amr_nb and g722. For vorbis, qualities from 0
        (lowest) to 10. All codecs are equally likely.
    sample_rate : int
        Sample rate in Hz.

    Raises
    ------
    UserError
        If a codec is unknown, or if no codec has an installed encoder.

    Example
    -------
    >>> import torch
    >>> from miipher2.degrade.base import generator
    >>> telephone = Codec(codecs={"alaw": [64]})
    >>> decoded, drawn = telephone(torch.zeros(16000), generator(0))
    >>> drawn
    {'codec': 'alaw', 'kbps': 64}
    """

    def __init__(self, codecs, sample_rate=16000):
        for name in codecs:
            if name not in CODERS:
                raise UserError(
                    f"unknown codec {name!r}; choose from {', '.join(CODERS)}"
                )
        absent = [name for name in codecs if CODERS[name].missing()]
        if absent:
            note = (
                f"{', '.join(absent)}: these codecs need PyAV with their "
                "encoders; pip install 'av<19'"
            )
            if len(absent) == len(codecs):
                raise UserError(note)
            logger.info("Codecs left out: %s", note)
        self.codecs = {
            name: settings
            for name, settings in codecs.items()
            if name not in absent
        }
        self.sample_rate = sample_rate

    def degrade(self, samples, rng):
        """Encode and decode; see ``Degradation.degrade``."""
        name = pick(rng, list(self.codecs))
        setting = pick(rng, self.codecs[name])
        decoded = transcode(samples, self.sample_rate, name, setting)
        return decoded, {"codec": name, CODERS[name].unit: setting}
