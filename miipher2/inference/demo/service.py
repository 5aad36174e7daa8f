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

# The upload limit is the size of the longest permitted recording in stereo, at
# 48 kHz and with 32 bits per sample.
BYTES_PER_SECOND = 48000 * 2 * 4


class Stopped(Exception):
    """Raised during a restoration when the server stops."""


class Models:
    """The models that the page offers; all but ``selected`` load on first use.

    One recording is restored at a time.

    Arguments
    ---------
    selected : str
        The model that is initially selected and loaded immediately. None for
        the default model.
    trust_model : bool
        Whether the YAML of ``selected`` may run arbitrary code.

    Attributes
    ----------
    names : list of str
        The selected model, followed by the other bundled models.

    Raises
    ------
    UserError
        If the selected model cannot be loaded.

    Example
    -------
    >>> Models("compact").names
    ['compact', 'whisper24']
    """

    def __init__(self, selected=None, trust_model=False):
        bundled = pretrained_models()
        self.selected = selected or bundled[0]
        self.names = list(dict.fromkeys([self.selected, *bundled]))
        self._trust_model = trust_model
        self._loaded = {}
        self._in_use = threading.Lock()
        self._stop = threading.Event()
        self._load(self.selected)

    def restore(self, name, path, folder, max_seconds, progress):
        """Restore a recording and draw spectrograms of input and output.

        Arguments
        ---------
        name : str
            One of ``names``.
        path : str or Path
            The recording.
        folder : str or Path
            Folder to which the restored recording is written as a wav file.
        max_seconds : float
            Maximum duration of the recording in seconds.
        progress : callable
            Called with the restored fraction of the recording, from 0 to 1.

        Returns
        -------
        Comparison
            The restored recording and both spectrograms.

        Raises
        ------
        UserError
            If the model cannot be loaded, or the recording is too long, cannot
            be read or cannot be restored.
        Stopped
            If ``stop`` was called.
        """
        restored = 0.0

        def advance(_, fraction):
            nonlocal restored
            if self._stop.is_set():
                raise Stopped
            restored += fraction
            progress(min(1.0, restored))

        with self._in_use:
            advance(0.0, 0.0)
            wav, rate = read_mono(path, max_seconds)
            restorer = self._load(name)
            output = Path(folder, f"{Path(path).stem}_restored.wav")
            row = restorer.restore_file(path, output, progress=advance)
            return compare(wav, rate, output, row)

    def stop(self):
        """End the running restoration, if any, and reject new ones."""
        self._stop.set()
        with self._in_use:
            pass

    def _load(self, name):
        """Return a model, which is loaded on first use."""
        if name not in self.names:
            raise UserError(
                f"model {name}: expected one of {', '.join(self.names)}"
            )
        if name not in self._loaded:
            self._loaded[name] = load_restorer(
                argparse.Namespace(
                    model=name,
                    trust_model=self._trust_model and name == self.selected,
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
        The highest frequency in both spectrograms, in Hz.
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
        Sample rate of ``wav`` in Hz.
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
    spectrograms = [
        spectrogram(wav, sample_rate, max_hz),
        spectrogram(restored, restored_rate, max_hz),
    ]
    loudest = max(float(levels.max()) for levels in spectrograms)
    before, after = (spectrogram_png(s, loudest) for s in spectrograms)
    return Comparison(output, row, max_hz, before, after)


def read_mono(path, max_seconds=math.inf):
    """Read a recording as mono.

    Arguments
    ---------
    path : str or Path
        The file.
    max_seconds : float
        Maximum duration of the recording in seconds. A longer recording is not
        read to its end.

    Returns
    -------
    wav : numpy.ndarray
        ``(time,)`` float32.
    sample_rate : int
        Sample rate in Hz.

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
                    "of this page; use miipher2 restore, which has no limit"
                )
            blocks.append(block.mean(axis=1))
        return np.concatenate(blocks), audio.rate


def max_megabytes(max_seconds):
    """Return the maximum upload size in MiB for a maximum duration in seconds.

    Example
    -------
    >>> max_megabytes(300)
    110
    """
    return math.ceil(max_seconds * BYTES_PER_SECOND / 2**20)
