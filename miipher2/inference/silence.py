"""Muting of the output where the input is silent.

Authors
 * The miipher2 authors 2026
"""

import numpy as np

from miipher2.dataio.speech_level import SILENCE_DB

PAUSE_SECONDS = 0.3  # shorter pauses are not muted
MARGIN = 2  # frames that are not muted at each end of a pause


def mute_silence(wav, samples, hop_length, sample_rate):
    """Mute a restored window where its input is silent.

    Pauses of at least 0.3 s are muted if all samples are below -80 dBFS,
    because a model can synthesise noise in such pauses.

    Arguments
    ---------
    wav : numpy.ndarray
        The restored window ``(time,)``.
    samples : numpy.ndarray
        The input window ``(time,)``.
    hop_length : int
        Input samples per frame.
    sample_rate : int
        Sample rate of ``samples`` in Hz.

    Returns
    -------
    numpy.ndarray
        A muted copy with fades of one frame, or ``wav`` itself if nothing is
        muted.

    Example
    -------
    >>> samples = np.ones(16000)
    >>> samples[4000:12000] = 0.0
    >>> wav = mute_silence(np.ones(24000), samples, 320, 16000)
    >>> int((wav == 0).sum() / 480), float(wav[0]), float(wav[-1])
    (19, 1.0, 1.0)
    """
    frames = -(-len(samples) // hop_length)
    padded = np.zeros(frames * hop_length, dtype=samples.dtype)
    padded[: len(samples)] = np.abs(samples)
    silent = padded.reshape(frames, hop_length).max(axis=1) < 10 ** (
        SILENCE_DB / 20
    )
    edges = np.flatnonzero(np.diff(silent, prepend=False, append=False))
    gain = np.ones(frames)
    for first, end in edges.reshape(-1, 2):
        if (end - first) * hop_length >= PAUSE_SECONDS * sample_rate:
            # No margin at the edges of the window, because the pause can
            # continue in the neighbouring window
            first += MARGIN if first else 0
            end -= MARGIN if end < frames else 0
            gain[first:end] = 0.0
    return apply_gain(wav, gain)


def apply_gain(wav, gain):
    """Apply a gain that changes linearly between the centres of frames.

    Arguments
    ---------
    wav : numpy.ndarray
        A window ``(time,)``.
    gain : numpy.ndarray
        Gain of each frame ``(frames,)``.

    Returns
    -------
    numpy.ndarray
        The scaled window, or ``wav`` itself if the gain is 1 everywhere.

    Example
    -------
    >>> apply_gain(np.ones(6), np.array([1.0, 0.0, 1.0])).tolist()
    [1.0, 1.0, 0.5, 0.0, 0.5, 1.0]
    """
    if (gain == 1.0).all():
        return wav
    centres = (np.arange(len(gain)) + 0.5) * len(wav) / len(gain)
    samples = np.interp(np.arange(len(wav)), centres, gain)
    return wav * samples.astype(wav.dtype)
