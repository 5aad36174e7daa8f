"""Pitch of clean speech, a training target for the harmonic vocoder.

Authors
 * The miipher2 authors 2026
"""

import os
from pathlib import Path

import numpy as np
import torch

from miipher2.dataio.atomic import atomic_write
from miipher2.dataio.audio import read_audio
from miipher2.dataio.digest import digest
from miipher2.errors import UserError

RATE = 16000
DEFAULT_HZ = 120.0  # pitch of recordings without any voiced frame


class PitchTracks:
    """Pitch tracks of recordings, cached in a folder.

    SwiftF0 (the ``swift-f0`` package) computes the tracks. This small network
    is accurate to a few cents on clean speech and runs much faster than real
    time on one core.

    Arguments
    ---------
    folder : str or Path
        The cache, with one file per recording and pitch range.
    frame_seconds : float
        Hop length in seconds.
    lowest, highest : float
        Range of the pitch in Hz.

    Example
    -------
    >>> tracks = PitchTracks("results/pitch")  # doctest: +SKIP
    >>> tracks("speech.wav", start=0.5, frames=100).shape  # doctest: +SKIP
    torch.Size([100, 2])
    """

    def __init__(self, folder, frame_seconds=0.01, lowest=60.0, highest=500.0):
        self.folder = Path(folder)
        self.frame_seconds = frame_seconds
        self.lowest = lowest
        self.highest = highest
        self.detector = None  # loaded by each worker on first use

    def __call__(self, path, start, frames):
        """Return the pitch of a segment of a recording.

        Arguments
        ---------
        path : str or Path
            The recording.
        start : float
            Start of the segment in seconds.
        frames : int
            Number of frames.

        Returns
        -------
        torch.Tensor
            ``(frames, 2)``: the pitch in Hz, interpolated over unvoiced frames,
            and a flag that is 1 in voiced and 0 in unvoiced frames.
        """
        times, hz, voiced = self.track(path)
        centres = start + (np.arange(frames) + 0.5) * self.frame_seconds
        if not voiced.any():
            values = np.full(frames, DEFAULT_HZ), np.zeros(frames)
        else:
            log_hz = np.interp(centres, times[voiced], np.log(hz[voiced]))
            nearest = np.interp(centres, times, voiced.astype(float)) > 0.5
            values = np.exp(log_hz), nearest
        return torch.from_numpy(np.stack(values, axis=-1)).float()

    def track(self, path):
        """Return the pitch track of a recording, from the cache if possible.

        Arguments
        ---------
        path : str or Path
            The recording.

        Returns
        -------
        tuple of numpy.ndarray
            Time in seconds, pitch in Hz and a voiced flag, one per frame.
        """
        file = os.stat(path)
        name = (
            f"{os.path.abspath(path)} {file.st_size} {file.st_mtime_ns} "
            f"{self.lowest} {self.highest}"
        )
        cached = self.folder / f"{digest(name)[:20]}.npy"
        if not cached.exists():
            track = self._detect(path)
            # Several data-loading workers may write the same track.
            with atomic_write(cached, writer=str(os.getpid())) as file:
                np.save(file, track)
        times, hz, confidence = np.load(cached)
        return times, hz, confidence > 0.5

    def _detect(self, path):
        if self.detector is None:
            try:
                from swift_f0 import SwiftF0
            except ImportError:
                raise UserError(
                    "training a harmonic vocoder needs the swift-f0 package: "
                    "pip install swift-f0"
                ) from None
            self.detector = SwiftF0(threads=1)
        track = self.detector.detect(
            read_audio(path, RATE).numpy(), RATE, self.lowest, self.highest
        )
        return np.stack([track.timestamps, track.pitch_hz, track.confidence])
