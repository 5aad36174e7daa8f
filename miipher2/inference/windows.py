"""Windows of a recording: where they lie, and how they are joined again.

Positions are counted in the backbone's frames, so that every window's frames
are those of the whole recording.

Authors
 * The miipher2 authors 2026
"""

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np


@dataclass(frozen=True)
class WindowPlan:
    """Windows of one length that overlap.

    The last one reaches back as far as it takes to be whole. What lies near
    the border of a window has heard one side only, so the outer quarters of an
    overlap are not used; over the half between, one window fades into the
    next.

    Arguments
    ---------
    window : int
        Frames of a window.
    overlap : int
        Frames that neighbours share, less than half of ``window``.
    hop_length : int
        Samples that a frame stands for.
    even : bool
        Whether the windows of a recording are as short as its length lets
        them be, so that the last one need not reach back: what is heard twice
        is computed twice. Else all are of ``window``.

    Example
    -------
    >>> plan = WindowPlan(window=100, overlap=20, hop_length=320)
    >>> list(plan.starts(250 * 320))
    [0, 80, 150]
    >>> list(plan.starts(90 * 320))
    [0]
    >>> plan = WindowPlan(window=100, overlap=20, hop_length=320, even=True)
    >>> list(plan.starts(110 * 320)), plan.frames(110 * 320)
    ([0, 45], 65)
    """

    window: int
    overlap: int
    hop_length: int
    even: bool = False

    @property
    def samples(self):
        """Samples of a window, at most."""
        return self.window * self.hop_length

    @property
    def unused(self):
        """Frames that are left out at a border where windows meet."""
        return self.overlap // 4

    @property
    def fade(self):
        """Frames over which one window fades into the next."""
        return self.overlap - 2 * self.unused

    def frames(self, samples):
        """Frames of a window of a recording.

        Arguments
        ---------
        samples : int
            Length of the recording.

        Returns
        -------
        int
            At most ``window``.
        """
        frames = math.ceil(samples / self.hop_length)
        if not self.even or frames <= self.window:
            return self.window
        count = math.ceil(
            (frames - self.overlap) / (self.window - self.overlap)
        )
        even = math.ceil((frames - self.overlap) / count) + self.overlap
        return even if even > 2 * self.overlap else self.window

    def starts(self, samples):
        """First frames of the windows of a recording.

        Arguments
        ---------
        samples : int
            Length of the recording.

        Yields
        ------
        int
            In rising order.
        """
        frames = math.ceil(samples / self.hop_length)
        window, start = self.frames(samples), 0
        while start + window < frames:
            yield start
            start += window - self.overlap
        yield max(0, frames - window)


@dataclass(eq=False)
class Channel:
    """One channel of one recording while it is restored.

    Arguments
    ---------
    gain : float
        What brings its speech to the level that the model is trained at.
    silent : bool
        Whether it holds no speech: it is passed through.
    """

    gain: float
    silent: bool = False


class Window(NamedTuple):
    """A piece of a channel.

    Arguments
    ---------
    owner : object
        Who gets it back.
    channel : Channel
        Where it is from. The windows of a channel come and go in order.
    samples : numpy.ndarray
        ``(time,)`` float32 at the model's input rate, at its own level.
    start : int
        Its first frame.
    next_start : int
        First frame of the next window; None: this is the last one.
    """

    owner: object
    channel: Channel
    samples: np.ndarray
    start: int
    next_start: int


class Seams:
    """Joins the restored windows of one channel by linear cross-fades.

    Linear, as both sides say nearly the same: gains of equal power would make
    a bump of 3 dB.

    Arguments
    ---------
    plan : WindowPlan
        How the windows were cut.
    hop_length : int
        Samples that a frame has become.

    Example
    -------
    >>> plan = WindowPlan(window=100, overlap=20, hop_length=320)
    >>> seams, starts = Seams(plan, hop_length=2), [0, 80, 150]
    >>> tone = np.sin(np.arange(500))
    >>> joined = [
    ...     seams.join(tone[2 * start :][:200], start, next_start)
    ...     for start, next_start in zip(starts, starts[1:] + [None])
    ... ]
    >>> bool(np.allclose(np.concatenate(joined), tone))
    True
    """

    def __init__(self, plan, hop_length):
        self.unused = plan.unused * hop_length
        self.hop_length = hop_length
        steps = np.arange(plan.fade * hop_length, dtype=np.float32) + 0.5
        self.rise = steps / max(1, len(steps))
        self.before = None  # the last window, from the coming fade on

    def join(self, wav, start, next_start):
        """Adds a window.

        Arguments
        ---------
        wav : numpy.ndarray
            The restored window ``(time,)``.
        start : int
            Its first frame.
        next_start : int
            The next window's first frame; None: this is the last.

        Returns
        -------
        numpy.ndarray
            What no later window changes, from where the last call ended.
        """
        first = 0
        if self.before is not None:
            first = self.unused
            fade = slice(first, first + len(self.rise))
            wav = wav.copy()
            wav[fade] = wav[fade] * self.rise + self.before * (1 - self.rise)
        if next_start is None:
            return wav[first:]
        end = (next_start - start) * self.hop_length + self.unused
        self.before = wav[end : end + len(self.rise)].copy()
        return wav[first:end]
