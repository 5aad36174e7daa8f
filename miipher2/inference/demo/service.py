"""Restoration and spectrograms for the demo page.

Authors
 * The miipher2 authors 2026
"""

import argparse
import math
import threading
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from miipher2.dataio.decoding import open_audio
from miipher2.dataio.spectrogram import spectrogram, spectrogram_png
from miipher2.dataio.wording import duration
from miipher2.errors import UserError
from miipher2.inference.corpus.sharding import load_restorer
from miipher2.inference.items import Row
from miipher2.inference.model_folder import pretrained_models

# The upload limit is the size of the longest recording in stereo, at 48 kHz and
# with 32 bits per sample.
BYTES_PER_SECOND = 48000 * 2 * 4


class Stopped(Exception):
    """Raised in a restoration when the server ends."""


class Models:
    """The models of the page. Each is loaded once, when it is first chosen.

    One recording is restored at a time.

    Arguments
    ---------
    given : str
        The first model, loaded immediately. None for the default model.
    trust_model : bool
        Whether the YAML of ``given`` may run any code.

    Attributes
    ----------
    names : list of str
        The given model and those of this package.

    Raises
    ------
    UserError
        If ``given`` cannot be loaded.

    Example
    -------
    >>> Models("compact").names
    ['compact', 'whisper24']
    """

    def __init__(self, given=None, trust_model=False):
        shipped = pretrained_models()
        self.given = given or shipped[0]
        self.names = list(dict.fromkeys([self.given, *shipped]))
        self._trust_model = trust_model
        self._loaded = {}
        self._in_use = threading.Lock()
        self._stop = threading.Event()
        self._load(self.given)

    def restore(self, name, path, folder, max_seconds, progress):
        """Restore a recording and draw the spectrograms of both sides.

        Arguments
        ---------
        name : str
            One of ``names``.
        path : str or Path
            The recording.
        folder : str or Path
            Folder in which the restored recording is written as a wav file.
        max_seconds : float
            Longer recordings are refused.
        progress : callable
            Called with the restored fraction of the recording, from 0 to 1.

        Returns
        -------
        Comparison
            The restored recording and both spectrograms.

        Raises
        ------
        UserError
            If the model cannot be loaded, or the recording is too long or
            cannot be read.
        Stopped
            If ``stop`` was called.
        """
        restored = 0.0

        def advance(_, share):
            nonlocal restored
            if self._stop.is_set():
                raise Stopped
            restored += share
            progress(min(1.0, restored))

        with self._in_use:
            advance(0.0, 0.0)
            wav, rate = read_mono(path, max_seconds)
            restorer = self._load(name)
            output = Path(folder, f"{Path(path).stem}_restored.wav")
            row = restorer.restore_file(path, output, progress=advance)
            return compare(wav, rate, output, row)

    def stop(self):
        """End the running restoration, if any, and refuse new ones."""
        self._stop.set()
        with self._in_use:
            pass

    def _load(self, name):
        """Return a model."""
        if name not in self.names:
            raise UserError(
                f"model {name}: expected one of {', '.join(self.names)}"
            )
        if name not in self._loaded:
            self._loaded[name] = load_restorer(
                argparse.Namespace(
                    model=name,
                    trust_model=self._trust_model and name == self.given,
                    device=None,
                    precision=None,
                )
            )
        return self._loaded[name]


@dataclass
class Comparison:
    """A recording before and after restoration.

    Arguments
    ---------
    path : Path
        The restored recording.
    row : miipher2.inference.items.Row
        The result of ``Restorer.restore_file``.
    max_hz : float
        The highest frequency of both spectrograms.
    before, after : bytes
        PNG images of the spectrograms, with the same colour scale.
    """

    path: Path
    row: Row
    max_hz: float
    before: bytes
    after: bytes


def compare(wav, sample_rate, output, row):
    """Draw the spectrograms of a recording before and after restoration.

    Arguments
    ---------
    wav : numpy.ndarray
        The recording, ``(time,)``.
    sample_rate : int
        Sample rate in Hz.
    output : Path
        The restored file.
    row : miipher2.inference.items.Row
        The result of ``Restorer.restore_file``.

    Returns
    -------
    Comparison
    """
    restored, restored_rate = read_mono(output)
    max_hz = max(sample_rate, restored_rate) / 2
    sides = [
        spectrogram(wav, sample_rate, max_hz),
        spectrogram(restored, restored_rate, max_hz),
    ]
    loudest = max(float(levels.max()) for levels in sides)
    before, after = (spectrogram_png(levels, loudest) for levels in sides)
    return Comparison(output, row, max_hz, before, after)


def read_mono(path, max_seconds=math.inf):
    """Read a recording of any format, mixed to mono, unless it is too long.

    Arguments
    ---------
    path : str or Path
        The file. Reading stops at ``max_seconds``.
    max_seconds : float
        Longest duration, in seconds.

    Returns
    -------
    wav : numpy.ndarray
        ``(time,)`` float32.
    sample_rate : int
        Hz.

    Raises
    ------
    UserError
        If the recording is longer than ``max_seconds`` or cannot be read.
    """
    blocks, frames = [np.zeros(0, np.float32)], 0
    with open_audio(path) as audio:
        for block in audio.blocks:
            frames += len(block)
            if frames > max_seconds * audio.rate:
                raise UserError(
                    f"{path}: longer than {duration(max_seconds)}, the limit "
                    "of this page; use miipher2 restore, which has none"
                )
            blocks.append(block.mean(axis=1))
        return np.concatenate(blocks), audio.rate


def max_megabytes(max_seconds):
    """Return the largest upload for a limit in seconds, in units of 2**20 bytes.

    Example
    -------
    >>> max_megabytes(300)
    110
    """
    return math.ceil(max_seconds * BYTES_PER_SECOND / 2**20)
