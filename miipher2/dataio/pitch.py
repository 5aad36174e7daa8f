"""The pitch of clean speech, which a harmonic vocoder is taught with.

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
UNKNOWN = 120.0  # Hz, where a clip has no voice at all


class PitchTracks:
    """Pitch tracks of recordings, made once each and kept in a folder.

    SwiftF0 hears them (package swift-f0): a small network, right to a few
    cents on clean speech, about 100 times faster than real time on one core.

    Arguments
    ---------
    folder : str or Path
        Where tracks are kept; a file for each recording.
    frame_seconds : float
        From one value to the next.
    lowest, highest : float
        Hz.

    Example
    -------
    >>> import soundfile  # doctest: +SKIP
    >>> tracks = PitchTracks("results/pitch")  # doctest: +SKIP
    >>> tracks("speech.wav", start=0.5, frames=100).shape  # doctest: +SKIP
    torch.Size([100, 2])
    """

    def __init__(self, folder, frame_seconds=0.01, lowest=60.0, highest=500.0):
        self.folder = Path(folder)
        self.frame_seconds = frame_seconds
        self.lowest = lowest
        self.highest = highest
        self.detector = None  # made in the worker that needs it

    def __call__(self, path, start, frames):
        """Gives the pitch of a part of a recording.

        Arguments
        ---------
        path : str or Path
            The recording.
        start : float
            Seconds into it.
        frames : int
            How many values.

        Returns
        -------
        torch.Tensor
            ``(frames, 2)``: Hz, interpolated where there is no voice, and 1
            where there is voice, else 0.
        """
        times, hz, voiced = self.track(path)
        wanted = start + (np.arange(frames) + 0.5) * self.frame_seconds
        if not voiced.any():
            values = np.full(frames, UNKNOWN), np.zeros(frames)
        else:
            log_hz = np.interp(wanted, times[voiced], np.log(hz[voiced]))
            nearest = np.interp(wanted, times, voiced.astype(float)) > 0.5
            values = np.exp(log_hz), nearest
        return torch.from_numpy(np.stack(values, axis=-1)).float()

    def track(self, path):
        """The whole recording's track, from the folder if it is there.

        Arguments
        ---------
        path : str or Path
            The recording.

        Returns
        -------
        tuple of numpy.ndarray
            Seconds, Hz, and whether there is voice, one value a frame.
        """
        file = os.stat(path)
        name = f"{os.path.abspath(path)} {file.st_size} {file.st_mtime_ns}"
        name = digest(name)[:20]
        kept = self.folder / f"{name}.npy"
        if not kept.exists():
            track = self._detect(path)
            # several loader workers may write the same track
            with atomic_write(kept, writer=str(os.getpid())) as file:
                np.save(file, track)
        times, hz, confidence = np.load(kept)
        return times, hz, confidence > 0.5

    def _detect(self, path):
        if self.detector is None:
            try:
                from swift_f0 import SwiftF0
            except ImportError:
                raise UserError(
                    "training a harmonic vocoder needs the package swift-f0: "
                    "pip install miipher2[pitch]"
                ) from None
            self.detector = SwiftF0(threads=1)
        found = self.detector.detect(
            read_audio(path, RATE).numpy(), RATE, self.lowest, self.highest
        )
        return np.stack([found.timestamps, found.pitch_hz, found.confidence])
