"""Random segments of clips, for training a vocoder.

Authors
 * The miipher2 authors 2026
"""

import torch
from torch.nn.functional import pad


def segment_starts(cuts, frames, size):
    """Return the first frames of random segments.

    Arguments
    ---------
    cuts : iterable of float
        Random numbers in [0, 1), one per clip.
    frames : torch.Tensor
        Frames of each clip without padding ``(batch,)``.
    size : int
        Frames of a segment. A shorter clip is used from its start.

    Returns
    -------
    list of int

    Example
    -------
    >>> segment_starts([0.5, 0.5], torch.tensor([29.0, 4.0]), size=10)
    [10, 0]
    """
    return [
        int(float(cut) * (max(0, int(count) - size) + 1))
        for cut, count in zip(cuts, frames.tolist(), strict=True)
    ]


def crop_segments(clips, starts, size, step=1):
    """Crop clips to segments, zero-padded beyond their end.

    Arguments
    ---------
    clips : torch.Tensor
        ``(batch, time, ...)``.
    starts : list of int
        First frame of each segment.
    size : int
        Frames of a segment.
    step : int
        Values per frame.

    Returns
    -------
    torch.Tensor
        ``(batch, size * step, ...)``.

    Example
    -------
    >>> crop_segments(torch.arange(8).reshape(2, 4), [0, 3], size=2)
    tensor([[0, 1],
            [7, 0]])
    """
    segments = []
    for clip, start in zip(clips, starts, strict=True):
        part = clip[start * step : (start + size) * step]
        missing = size * step - len(part)
        segments.append(pad(part, (0, 0) * (part.dim() - 1) + (0, missing)))
    return torch.stack(segments)
