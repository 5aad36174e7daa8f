"""Excerpts of recordings for a web page: audio and spectrograms in base64.

An evaluated file has up to three recordings, called sides: ``input``,
``restored`` and ``clean``.

Authors
 * The miipher2 authors 2026
"""

import base64
import io
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from miipher2.dataio.audio import read_audio
from miipher2.dataio.decoding import open_audio
from miipher2.dataio.spectrogram import spectrogram, spectrogram_png
from miipher2.errors import UserError

MAX_SECONDS = 10.0
MAX_RATE = 24000  # Hz
ROWS, COLUMNS = 128, 400  # pixels of a spectrogram
BASE64 = 4 / 3  # size of base64 text relative to the encoded bytes


def excerpts(
    paths: Mapping[str, str | Path], max_bytes: float = math.inf
) -> dict[str, Any]:
    """Return up to 10 s from the beginning of each side of a file.

    Audio is mixed to mono, resampled to the highest sample rate of the sides
    but at most 24 kHz, and encoded as FLAC. All spectrograms of a file have the
    same time, frequency and level scales.

    Arguments
    ---------
    paths : dict
        Path by side.
    max_bytes : float
        Maximum size of the base64 audio of all sides together. Excerpts are
        shortened to fit.

    Returns
    -------
    dict
        ``seconds`` is the length of the longest excerpt, ``max_khz`` is the
        highest frequency of the spectrograms in kHz, rounded down, and
        ``sides`` has a dict for each side. This dict contains ``audio`` and
        ``image`` in base64 or, if the recording cannot be used, the reason as
        ``missing``.

    Example
    -------
    >>> path = getfixture("tmp_path") / "a.wav"
    >>> soundfile.write(path, np.zeros(48000), 16000)
    >>> found = excerpts({"input": path, "restored": "none.wav"})
    >>> found["seconds"], found["max_khz"], *found["sides"]["input"]
    (3.0, 8, 'audio', 'image')
    >>> found["sides"]["restored"]["missing"]
    'none.wav: no such file; looked for ...'
    """
    rate = _common_rate(paths)
    wavs, sides = {}, {}
    for side, path in paths.items():
        sides[side] = {"missing": "an empty file"}
        try:
            wav = read_audio(path, rate, seconds=MAX_SECONDS).clamp(-1, 1)
        except UserError as error:
            sides[side] = {"missing": str(error)}
            continue
        if len(wav):
            wavs[side] = wav.numpy()
    wavs, audio = _encode(wavs, rate, max_bytes / BASE64)
    for side, image in _images(wavs, rate).items():
        sides[side] = {
            "audio": _text(audio[side]),
            "image": _text(image),
        }
    time = max(map(len, wavs.values()), default=0)
    return {"seconds": time / rate, "max_khz": rate // 2000, "sides": sides}


def _text(content: bytes) -> str:
    return base64.b64encode(content).decode("ascii")


def _common_rate(paths: Mapping[str, str | Path]) -> int:
    """Return the highest sample rate of the files, at most 24 kHz."""
    rates = []
    for path in paths.values():
        try:
            with open_audio(path) as audio:
                rates.append(audio.rate)
        except UserError:
            continue  # read_audio reports the error
    return min(MAX_RATE, max(rates, default=MAX_RATE))


def _encode(
    wavs: Mapping[str, np.ndarray], rate: int, max_bytes: float
) -> tuple[dict[str, np.ndarray], dict[str, bytes]]:
    """Shorten waveforms until their FLAC files fit in ``max_bytes``."""
    seconds = MAX_SECONDS
    while True:
        short = {s: wav[: round(seconds * rate)] for s, wav in wavs.items()}
        files = {side: _flac(wav, rate) for side, wav in short.items()}
        size = sum(map(len, files.values()))
        if size <= max_bytes:
            return short, files
        seconds *= 0.95 * max_bytes / size


def _flac(wav: np.ndarray, rate: int) -> bytes:
    file = io.BytesIO()
    soundfile.write(file, wav, rate, format="FLAC", subtype="PCM_16")
    return file.getvalue()


def _images(wavs: Mapping[str, np.ndarray], rate: int) -> dict[str, bytes]:
    """Return spectrograms with common time, frequency and level scales."""
    time = max(map(len, wavs.values()), default=0)
    levels = {
        side: spectrogram(
            np.pad(wav, (0, time - len(wav))), rate, rate / 2, ROWS, COLUMNS
        )
        for side, wav in wavs.items()
    }
    loudest = max((float(v.max()) for v in levels.values()), default=0.0)
    return {s: spectrogram_png(v, loudest) for s, v in levels.items()}
