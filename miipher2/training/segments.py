"""Random segments of clips, for training a vocoder.

Authors
 * The miipher2 authors 2026
"""

import torch
from speechbrain.dataio.dataio import length_to_mask
from torch.nn.functional import pad


def segment_starts(cuts, frames, size):
    """Return the start frames of random segments.

    Arguments
    ---------
    cuts : iterable of float
        Random numbers in [0, 1), one per clip.
    frames : torch.Tensor
        Number of frames of each clip ``(batch,)``, without padding.
    size : int
        Number of frames per segment. In a shorter clip, the segment starts at
        the first frame.

    Returns
    -------
    list of int
        First frame of each segment.

    Example
    -------
    >>> segment_starts([0.5, 0.5], torch.tensor([29.0, 4.0]), size=10)
    [10, 0]
    """
    return [
        int(float(cut) * (max(0, int(count) - size) + 1))
        for cut, count in zip(cuts, frames.tolist(), strict=True)
    ]


def clip_mask(lengths, wavs):
    """Return a mask that excludes the padding of waveforms.

    Arguments
    ---------
    lengths : torch.Tensor
        Relative lengths ``(batch,)``.
    wavs : torch.Tensor
        ``(batch, time)``.

    Returns
    -------
    torch.Tensor
        Mask with the shape and dtype of ``wavs``: 1 in a clip, 0 after its end.

    Example
    -------
    >>> clip_mask(torch.tensor([0.5, 1.0]), torch.zeros(2, 4))
    tensor([[1., 1., 0., 0.],
            [1., 1., 1., 1.]])
    """
    time = wavs.shape[1]
    return length_to_mask((lengths * time).round(), max_len=time).to(wavs)


def crop_segments(clips, starts, size, step=1):
    """Crop segments from clips; pad with zeros after the end of a clip.

    Arguments
    ---------
    clips : torch.Tensor
        ``(batch, time, ...)``.
    starts : list of int
        First frame of each segment.
    size : int
        Number of frames per segment.
    step : int
        Number of values per frame.

    Returns
    -------
    torch.Tensor
        Segments ``(batch, size * step, ...)``.

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
