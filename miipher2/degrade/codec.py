"""Real speech and music codecs, in memory.

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

# What an encoder may hold back, in samples: longer than any delay below.
FLUSH = 4096


def _soundfile(samples, rate, container, subtype, **settings):
    """Through a codec of libsndfile; returns what the file holds."""
    file = io.BytesIO()
    soundfile.write(
        file, samples, rate, format=container, subtype=subtype, **settings
    )
    file.seek(0)
    return soundfile.read(file, dtype="float32")[0]


def _mp3(samples, rate, kbps):
    # libsndfile goes linearly from the highest bit rate of the MPEG version
    # to the lowest as its compression level goes from 0 to 1 (exclusive).
    highest, lowest = (320, 32) if rate >= 32000 else (160, 8)
    if rate < 16000:
        highest = 64
    # LAME takes the nearest bit rate that the standard knows.
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
    # libsndfile's compression level 0 to 1 is the quality 10 to 0.
    level = 1 - quality / 10
    return _soundfile(samples, rate, "OGG", "VORBIS", compression_level=level)


def _opus(samples, rate, kbps):
    # libsndfile goes linearly from 256 to 6 kbit/s.
    level = min(max((256 - kbps) / 250, 0.0), 1.0)
    return _soundfile(samples, rate, "OGG", "OPUS", compression_level=level)


def _pcm(subtype):
    return lambda samples, rate, kbps: _soundfile(samples, rate, "WAV", subtype)


def _pyav(encoder, decoder, **options):
    """Through codecs of FFmpeg, packet by packet, without a container."""

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
            piece = av.AudioFrame.from_ndarray(
                samples[None, start : start + frame],
                format=encode.format.name,
                layout="mono",
            )
            piece.sample_rate = rate
            piece.pts = start
            packets += encode.encode(piece)
        packets += encode.encode(None)
        frames = [out for packet in packets for out in decode.decode(packet)]
        frames += decode.decode(None)
        heard = np.concatenate([out.to_ndarray()[0] for out in frames])
        if heard.dtype == np.int16:
            heard = heard.astype(np.float32) / 32768
        # Opus is always decoded at 48 kHz.
        return soxr.resample(heard, frames[0].sample_rate, rate)

    return round_trip


@dataclasses.dataclass(frozen=True)
class Coder:
    """A codec: how it is called, at which rates, in what units.

    Arguments
    ---------
    round_trip : callable
        From (samples, rate, setting) to decoded samples at the same rate.
    rates : tuple of int
        Sample rates that it works at, in Hz, rising.
    unit : str
        Of the setting: kbps (kbit/s) or quality.
    encoder : str
        FFmpeg's encoder that PyAV has to bring; empty for soundfile's codecs.
    """

    round_trip: Callable
    rates: tuple
    unit: str = "kbps"
    encoder: str = ""

    def missing(self):
        """Whether this installation cannot encode it."""
        return bool(self.encoder) and not _has_encoder(self.encoder)


def _has_encoder(name):
    """Whether PyAV is installed and its FFmpeg has this encoder."""
    return av is not None and name in av.codecs_available


TELEPHONE = (8000,)
MPEG = (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000)
OPUS = (8000, 12000, 16000, 24000, 48000)
AMR = "libopencore_amrnb"
# Of the codecs that both libraries have, soundfile is the faster one for MP3 and
# PyAV for Opus, even at full effort; here it is the effort of mobile telephones
# (docs/degrade.md has the figures). A-law and mu-law take next to nothing.
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
    """By how many samples a codec's output is late.

    It is measured, once a process, with half a second of a chirp in noise
    rather than kept in a table: it depends on the build of the libraries, and
    for MP3 on the bit rate.

    Arguments
    ---------
    name : str
        One of ``CODERS``.
    setting : float
        Bit rate in kbit/s, or quality.
    rate : int
        Sample rate that the codec works at, in Hz.

    Returns
    -------
    samples : int
        The delay at ``rate``, 0 or more.

    Example
    -------
    >>> delay("mulaw", 64, 8000)
    0
    """
    time = np.arange(rate // 2) / rate
    probe = 0.3 * signal.chirp(time, 150.0, 0.5, 0.4 * min(rate, 8000))
    probe += 0.02 * np.random.default_rng(0).standard_normal(len(time))
    probe = np.pad(probe, (rate // 10, FLUSH)).astype(np.float32)
    heard = fit(CODERS[name].round_trip(probe, rate, setting), len(probe))
    match = signal.correlate(heard, probe, mode="full", method="fft")
    return max(0, int(np.argmax(match)) - (len(probe) - 1))


def transcode(samples, sample_rate, name, setting):
    """Encodes and decodes; the result is in time with the input.

    Arguments
    ---------
    samples : numpy.ndarray
        float32 of shape (time,).
    sample_rate : int
        In Hz. A codec that cannot work at it works at the next higher rate
        that it knows, or else at its highest one.
    name : str
        One of ``CODERS``.
    setting : float
        Bit rate in kbit/s, or quality for Vorbis (0 to 10).

    Returns
    -------
    heard : numpy.ndarray
        float32 of shape (time,).

    Example
    -------
    >>> ramp = np.linspace(-1, 1, 160, dtype=np.float32)
    >>> heard = transcode(ramp, 8000, "alaw", 64)
    >>> bool(np.abs(heard - ramp).max() < 0.03)
    True
    """
    coder = CODERS[name]
    rate = next((r for r in coder.rates if r >= sample_rate), coder.rates[-1])
    sent = samples
    if rate != sample_rate:
        sent = soxr.resample(sent, sample_rate, rate)
    late = delay(name, setting, rate)
    sent = np.pad(sent, (0, late))
    heard = fit(coder.round_trip(sent, rate, setting)[late:], len(sent) - late)
    if rate != sample_rate:
        heard = soxr.resample(heard, rate, sample_rate)
    return fit(heard, len(samples))


class Codec(Degradation):
    """One of several codecs, at one of its bit rates.

    MP3, Vorbis, GSM 06.10, A-law and mu-law come from soundfile; AAC, AMR-NB
    and G.722 from PyAV (``pip install miipher2[codecs]``) and are left out with
    a note where it is not installed. Opus comes from PyAV or else soundfile.

    Arguments
    ---------
    codecs : dict of list of float
        For each of mp3, vorbis, opus, aac, alaw, mulaw, gsm, amr_nb and g722
        the bit rates to choose from, in kbit/s; for vorbis the quality, 0 (about
        30 kbit/s at 16 kHz) to 10. Each codec is as likely as the others.
    sample_rate : int
        In Hz.

    Raises
    ------
    UserError
        If a codec is not known, or if all that are asked for need PyAV and it
        is not installed.

    Example
    -------
    >>> import torch
    >>> from miipher2.degrade.base import generator
    >>> telephone = Codec(codecs={"alaw": [64]})
    >>> heard, drawn = telephone(torch.zeros(16000), generator(0))
    >>> drawn
    {'codec': 'alaw', 'kbps': 64}
    """

    def __init__(self, codecs, sample_rate=16000):
        for name in codecs:
            if name not in CODERS:
                raise UserError(
                    f"codec {name!r}: give some of {', '.join(CODERS)}"
                )
        absent = [name for name in codecs if CODERS[name].missing()]
        if absent:
            note = (
                f"{', '.join(absent)}: PyAV with these encoders is not "
                "installed; pip install miipher2[codecs]"
            )
            if len(absent) == len(codecs):
                raise UserError(note)
            logger.info("Codecs left out: %s", note)
        self.codecs = {n: s for n, s in codecs.items() if n not in absent}
        self.sample_rate = sample_rate

    def degrade(self, samples, rng):
        """Encodes and decodes; see ``Degradation.degrade``."""
        name = pick(rng, list(self.codecs))
        setting = pick(rng, self.codecs[name])
        heard = transcode(samples, self.sample_rate, name, setting)
        return heard, {"codec": name, CODERS[name].unit: setting}
