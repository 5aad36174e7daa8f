"""Conversion of tensors and arrays passed to the Python interface.

Authors
 * The miipher2 authors 2026
"""

from typing import Any

import numpy as np
import torch

from miipher2.errors import UserError


def as_clip(wav: Any) -> np.ndarray:
    """Convert a clip to float32.

    Arguments
    ---------
    wav : torch.Tensor or numpy.ndarray
        ``(time,)`` or ``(1, time)``: floating point with a full scale of 1, or
        int16.

    Returns
    -------
    numpy.ndarray
        ``(time,)`` float32.

    Raises
    ------
    UserError
        If the type or shape of ``wav`` is not supported.

    Example
    -------
    >>> as_clip(np.array([[0, -16384]], dtype=np.int16)).tolist()
    [0.0, -0.5]
    """
    samples = _as_samples(wav, "wav")
    if samples.ndim == 2 and len(samples) == 1:
        samples = samples[0]
    if samples.ndim != 1:
        raise UserError(
            f"wav: expected (time,) or (1, time), found {samples.shape}; "
            "restore_batch() takes (batch, time)"
        )
    return samples


def as_batch(wavs: Any) -> np.ndarray:
    """Convert a batch ``(batch, time)`` to float32; see ``as_clip``."""
    samples = _as_samples(wavs, "wavs")
    if samples.ndim != 2:
        raise UserError(
            f"wavs: expected (batch, time), found {samples.shape}; restore() "
            "takes one clip"
        )
    return samples


def _as_samples(wavs, name):
    """Convert samples of any shape to float32; errors contain ``name``."""
    if isinstance(wavs, torch.Tensor):
        wavs = wavs.detach().cpu()
        if wavs.is_floating_point():
            wavs = wavs.float()  # NumPy has no bfloat16
        wavs = wavs.numpy()
    if not isinstance(wavs, np.ndarray):
        raise UserError(
            f"{name}: expected a tensor or a numpy array, found "
            f"{type(wavs).__name__}"
        )
    if wavs.dtype == np.int16:
        return wavs.astype(np.float32) / 2**15
    if not np.issubdtype(wavs.dtype, np.floating):
        raise UserError(
            f"{name}: expected floating point with a full scale of 1, or "
            f"int16, found {wavs.dtype}; divide the samples by their full scale"
        )
    return wavs.astype(np.float32)


def lengths_in_samples(lengths: Any, batch: int, time: int) -> list[int]:
    """Convert relative lengths to numbers of samples.

    Arguments
    ---------
    lengths : torch.Tensor, numpy.ndarray, list or None
        Relative lengths ``(batch,)`` in (0, 1]. None if there is no padding.
    batch : int
        Number of clips.
    time : int
        Length of the padded clips, in samples.

    Returns
    -------
    list of int
        Length of each clip, in samples.

    Raises
    ------
    UserError
        If the number of lengths is not ``batch`` or a length is not in (0, 1].

    Example
    -------
    >>> lengths_in_samples([1.0, 0.5], batch=2, time=16000)
    [16000, 8000]
    """
    if lengths is None:
        return [time] * batch
    lengths = torch.as_tensor(lengths).detach().cpu().double()
    if lengths.shape != (batch,):
        raise UserError(
            f"lengths: expected one length for each of {batch} clips, found "
            f"the shape {tuple(lengths.shape)}"
        )
    if not ((lengths > 0) & (lengths <= 1)).all():
        raise UserError(
            "lengths: expected relative lengths above 0 and at most 1, found "
            f"{lengths.tolist()}; divide sample counts by wavs.shape[1]"
        )
    return (lengths * time).round().long().tolist()
