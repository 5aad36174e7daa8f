"""Overlapping windows of a recording: positions and cross-fade.

Positions are counted in frames of the backbone, so the frames of a window are
aligned with the frames of the complete recording.

Authors
 * The miipher2 authors 2026
"""

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from miipher2.errors import UserError


@dataclass(frozen=True)
class WindowPlan:
    """Positions of overlapping windows of equal length.

    At the edge of a window, the model lacks context on one side. The quarter of
    the overlap next to the edge is therefore discarded, and the windows are
    cross-faded over the middle half of the overlap. The last window can overlap
    more, so that all windows have the same length. Its cross-fade has the usual
    position and length, and the rest of the previous window is discarded.

    Arguments
    ---------
    window : int
        Frames per window.
    overlap : int
        Minimum number of frames shared by neighbouring windows, less than half
        of ``window``.
    hop_length : int
        Input samples per frame.
    even : bool
        Whether to shorten the windows of a recording until all overlaps are
        about equal, which saves computation. If False, windows have ``window``
        frames, unless the recording is shorter.

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

    @classmethod
    def from_seconds(
        cls, window_seconds, overlap_seconds, sample_rate, hop_length, even
    ):
        """Create a plan from durations in seconds.

        Arguments
        ---------
        window_seconds, overlap_seconds : float
            Durations, rounded to frames, with a minimum of one frame.
        sample_rate : int
            Sample rate of the input in Hz.
        hop_length : int
            Input samples per frame.
        even : bool
            Whether to make all overlaps of a recording about equal.

        Returns
        -------
        WindowPlan
            The plan, in frames.

        Raises
        ------
        UserError
            If the overlap is not less than half of the window.
        """
        window, overlap = (
            max(1, round(seconds * sample_rate / hop_length))
            for seconds in (window_seconds, overlap_seconds)
        )
        if 2 * overlap >= window:
            raise UserError(
                f"overlap_seconds: expected less than half of window_seconds "
                f"({window_seconds}), found {overlap_seconds}"
            )
        return cls(window, overlap, hop_length, even)

    @property
    def samples(self):
        """Maximum number of input samples per window."""
        return self.window * self.hop_length

    @property
    def unused(self):
        """Number of frames discarded at the edge of a window."""
        return self.overlap // 4

    @property
    def fade(self):
        """Length of a cross-fade in frames."""
        return self.overlap - 2 * self.unused

    def frames(self, samples):
        """Return the number of frames per window of a recording.

        Arguments
        ---------
        samples : int
            Length of the recording in samples at the input rate.

        Returns
        -------
        int
            Number of frames, at most ``window``; ``window`` for recordings that
            are not longer.
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
        """Yield the first frame of each window of a recording.

        Arguments
        ---------
        samples : int
            Length of the recording in samples at the input rate.

        Yields
        ------
        int
            Index of the frame in the recording.
        """
        frames = math.ceil(samples / self.hop_length)
        window, start = self.frames(samples), 0
        while start + window < frames:
            yield start
            start += window - self.overlap
        yield max(0, frames - window)


@dataclass(eq=False)
class Channel:
    """A channel of a recording. Channels are compared by identity.

    Arguments
    ---------
    gain : float
        Factor that scales the speech to the model's input level.
    silent : bool
        Whether the channel is silent and therefore bypasses the model.
    """

    gain: float
    silent: bool = False


class Window(NamedTuple):
    """A window of a channel.

    Arguments
    ---------
    owner : object
        Object that identifies the recording to the caller, such as a ``Job``.
    channel : Channel
        The channel, whose windows are processed in order.
    samples : numpy.ndarray
        ``(time,)`` float32 at the model's input rate, before the channel's
        gain is applied.
    start : int
        First frame of the window.
    next_start : int
        First frame of the channel's next window. None for the last window.
    presence : numpy.ndarray
        Log-odds of speech ``(frames,)``, set by ``Engine``. None before
        restoration and if the model has no speech detector.
    """

    owner: object
    channel: Channel
    samples: np.ndarray
    start: int
    next_start: int | None
    presence: np.ndarray | None = None


class CrossFade:
    """Linear cross-fade that joins the restored windows of one channel.

    Neighbouring windows have nearly the same waveform in their overlap, so
    equal-power gains would raise the level by up to 3 dB.

    Arguments
    ---------
    plan : WindowPlan
        The plan used to cut the windows.
    hop_length : int
        Output samples per frame.

    Example
    -------
    >>> plan = WindowPlan(window=100, overlap=20, hop_length=320)
    >>> cross_fade, starts = CrossFade(plan, hop_length=2), [0, 80, 150]
    >>> tone = np.sin(np.arange(500))
    >>> joined = [
    ...     cross_fade.join(tone[2 * start :][:200], start, next_start)
    ...     for start, next_start in zip(starts, starts[1:] + [None])
    ... ]
    >>> bool(np.allclose(np.concatenate(joined), tone))
    True
    """

    def __init__(self, plan, hop_length):
        self.unused = plan.unused * hop_length
        self.hop_length = hop_length
        steps = np.arange(plan.fade * hop_length, dtype=np.float32) + 0.5
        self.fade_in = steps / max(1, len(steps))
        self.fade_out = 1 - self.fade_in
        self.tail = None  # samples of the previous window to fade out

    def join(self, wav, start, next_start):
        """Append a window.

        Arguments
        ---------
        wav : numpy.ndarray
            The restored window ``(time,)``.
        start : int
            First frame of the window.
        next_start : int
            First frame of the next window. None for the last window.

        Returns
        -------
        numpy.ndarray
            The next samples of the joined waveform.
        """
        first = 0
        if self.tail is not None:
            first = self.unused
            fade = slice(first, first + len(self.fade_in))
            wav = wav.copy()
            wav[fade] = wav[fade] * self.fade_in + self.tail * self.fade_out
        if next_start is None:
            return wav[first:]
        end = (next_start - start) * self.hop_length + self.unused
        self.tail = wav[end : end + len(self.fade_in)].copy()
        return wav[first:end]
