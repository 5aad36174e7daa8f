"""Pauses that are silent in the input are silent in the output.

Authors
 * The miipher2 authors 2026
"""

import numpy as np

from miipher2.dataio.speech_level import SILENCE_DB

PAUSE_SECONDS = 0.3  # shorter ones belong to the speech around them
MARGIN = 2  # frames of a pause that speech may ring on into


def hush(wav, samples, hop_length, sample_rate):
    """Mutes a restored window where the input has long been silent.

    Silence is what stays below -80 dB of full scale; a model may hum there.

    Arguments
    ---------
    wav : numpy.ndarray
        The restored window ``(time,)``.
    samples : numpy.ndarray
        The window as it was ``(time,)``.
    hop_length : int
        Samples of ``samples`` that a frame stands for.
    sample_rate : int
        Hz of ``samples``.

    Returns
    -------
    numpy.ndarray
        ``wav``, or a copy with fades of a frame into the pauses.

    Example
    -------
    >>> samples = np.ones(16000)
    >>> samples[4000:12000] = 0.0
    >>> wav = hush(np.ones(24000), samples, hop_length=320, sample_rate=16000)
    >>> int((wav == 0).sum() / 480), float(wav[0]), float(wav[-1])
    (19, 1.0, 1.0)
    """
    frames = -(-len(samples) // hop_length)
    padded = np.zeros(frames * hop_length, dtype=samples.dtype)
    padded[: len(samples)] = np.abs(samples)
    quiet = padded.reshape(frames, hop_length).max(axis=1) < 10 ** (
        SILENCE_DB / 20
    )
    edges = np.flatnonzero(np.diff(quiet, prepend=False, append=False))
    gain = np.ones(frames)
    for first, end in edges.reshape(-1, 2):
        if (end - first) * hop_length >= PAUSE_SECONDS * sample_rate:
            # up to the borders of a window: the next one goes on there
            first += MARGIN if first else 0
            end -= MARGIN if end < frames else 0
            gain[first:end] = 0.0
    if gain.all():
        return wav
    middles = (np.arange(frames) + 0.5) * len(wav) / frames
    return wav * np.interp(np.arange(len(wav)), middles, gain).astype(wav.dtype)
