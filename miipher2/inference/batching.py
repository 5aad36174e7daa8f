"""Windows of many recordings in batches of few shapes, through the model.

Authors
 * The miipher2 authors 2026
"""

import logging
import math
from collections import deque

import torch

from miipher2.errors import UserError
from miipher2.inference.windows import Window

logger = logging.getLogger("miipher2.inference")

# Short recordings are padded to the window, its half, quarter or eighth.
HALVINGS = 3
# Seconds of sound in a batch. None: one window at a time, as long as it is; on
# a CPU larger batches gain nothing, and padding costs what it is long.
BATCH_SECONDS = {"cpu": None, "cuda": 640.0}
# After so many full batches a batch that is not full waits no longer.
PATIENCE = 100


class Engine:
    """Restores windows: collects batches, runs the model, hands back sound.

    A window's sound does not depend on what else is in its batch: a batch is
    always full (places that are left over repeat its first window), there is
    one shape for whole windows and one for each length that short recordings
    are padded to, and rows do not see each other.

    Arguments
    ---------
    restorer : miipher2.inference.restorer.Restorer
        Has ``plan``, ``device``, ``input_rate``, ``restore_windows`` and
        ``output_samples``.
    batch_seconds : float
        Seconds of sound in a batch; None: by the device.
    total_seconds : float
        How much there is to restore at all: a batch need not be larger.

    Example
    -------
    >>> import types
    >>> import numpy as np
    >>> from miipher2.inference.windows import Channel, WindowPlan
    >>> echo = types.SimpleNamespace(
    ...     plan=WindowPlan(window=8, overlap=2, hop_length=320),
    ...     device="cpu",
    ...     input_rate=16000,
    ...     restore_windows=lambda wavs, *_: (wavs / 2, {}),
    ...     output_samples=lambda samples: samples,
    ... )
    >>> samples = np.ones(1000, dtype=np.float32)
    >>> windows = [Window("a.wav", Channel(gain=1.0), samples, 0, None)]
    >>> [(window, wav)] = Engine(echo).run(windows)
    >>> window.owner, wav.shape, float(wav[0])
    ('a.wav', (1000,), 0.5)
    """

    def __init__(self, restorer, batch_seconds=None, total_seconds=math.inf):
        self.restorer = restorer
        self.states = {}  # of the vocoder, by channel
        self.plan = restorer.plan
        device_type = str(restorer.device).partition(":")[0]
        if batch_seconds is None:
            batch_seconds = BATCH_SECONDS.get(device_type)
        self.batch_samples = None
        if batch_seconds is not None:
            seconds = min(batch_seconds, total_seconds)
            samples = int(seconds * restorer.input_rate)
            self.batch_samples = max(self.plan.samples, samples)
        self.patience = PATIENCE * self.rows(self.plan.samples)

    @property
    def ahead(self):
        """How many windows to keep ready: two batches and some more."""
        return 2 * self.rows(self.plan.samples) + 2

    def rows(self, samples):
        """How many windows of some length are in a batch.

        Arguments
        ---------
        samples : int
            The length that they are padded to.

        Returns
        -------
        int
            At least 1.
        """
        if self.batch_samples is None:
            return 1
        return max(1, self.batch_samples // samples)

    def run(self, windows):
        """Restores windows.

        Arguments
        ---------
        windows : iterable of Window
            Those of a channel in order.

        Yields
        ------
        window : Window
            As it was given, those of a channel in order.
        wav : numpy.ndarray
            ``(frames * hop,)`` or, for a shorter window, what it stands for;
            float32 at the model's output rate and at the model's level.
        """
        # The next batch is launched before the last one is fetched, so that a
        # GPU always has something to do.
        launched = deque()
        for batch in self._batches(windows):
            if isinstance(batch, Window):
                yield batch, batch.samples
                continue
            for part, wavs in self._launch(*batch):
                launched.append((part, *wavs))
                if len(launched) > 1:
                    yield from self._fetch(*launched.popleft())
        while launched:
            yield from self._fetch(*launched.popleft())

    def _batches(self, windows):
        """Full batches as they fill up, then the others; silence at once.

        A rare shape does not wait for ever, as its recordings do with it.
        """
        waiting = {}  # number of the first window, and all, by shape
        for number, window in enumerate(windows):
            if window.channel.silent:
                yield window
                continue
            shape = self._shape(len(window.samples))
            waiting.setdefault(shape, (number, []))[1].append(window)
            oldest = next(iter(waiting))
            if len(waiting[shape][1]) >= self.rows(shape[0]):
                yield shape, waiting.pop(shape)[1]
            elif number - waiting[oldest][0] >= self.patience:
                yield oldest, waiting.pop(oldest)[1]
        for shape, (_, group) in waiting.items():
            yield shape, group

    def _shape(self, samples):
        """The length that a window is padded to, and if its end is masked.

        Without a batch to share there is no need of either. What is missing
        in the last frame alone is no reason for a mask.
        """
        if self.batch_samples is None:
            return samples, False
        hop = self.plan.hop_length
        frames = -(-samples // hop)
        fitting = [
            length
            for halving in range(HALVINGS + 1)
            if (length := -(-self.plan.window // 2**halving)) >= frames
        ]
        return fitting[-1] * hop, frames < fitting[-1]

    def _launch(self, shape, windows):
        """Gives batches to the model; halves them when memory runs out."""
        while windows:
            rows = self.rows(shape[0])
            part, rest = windows[:rows], windows[rows:]
            try:
                wavs, states = self._restore(shape, part, rows)
                wavs = _send_back(wavs)
            except RuntimeError as error:
                if not _out_of_memory(error):
                    raise
                wavs = None
            if wavs is None:  # out here, as an exception holds on to memory
                self._halve(rows, shape[0])
                continue
            self.states = states
            yield part, wavs
            windows = rest

    def _restore(self, shape, windows, rows):
        samples, masked = shape
        # pinned, so that nobody waits for its copy to the GPU
        on_gpu = str(self.restorer.device).startswith("cuda")
        wavs = torch.zeros(rows, samples, pin_memory=on_gpu)
        lengths = torch.zeros(rows, dtype=torch.float64)
        filled = windows + windows[:1] * (rows - len(windows))
        for row, window in enumerate(filled):
            count = len(window.samples)
            wavs[row, :count] = torch.from_numpy(window.samples)
            wavs[row] *= window.channel.gain
            lengths[row] = count / samples
        return self.restorer.restore_windows(
            wavs, lengths if masked else None, windows, self.states
        )

    def _halve(self, rows, samples):
        if rows == 1:
            raise UserError(
                f"{self.restorer.device}: out of memory with one window of "
                f"{samples / self.plan.samples:.0%} of window_seconds; "
                "lower window_seconds in the model's hyperparams.yaml, or "
                "give another --device"
            )
        self.batch_samples = rows // 2 * samples
        logger.warning(
            "%s: out of memory: batches halved to %d windows",
            self.restorer.device,
            rows // 2,
        )
        if torch.cuda.is_available():
            torch.cuda.empty_cache()

    def _fetch(self, windows, wavs, sent):
        """Sound of the batch, with what was padded cut off."""
        if sent is not None:
            sent.synchronize()
        for window, wav in zip(windows, wavs.numpy(), strict=False):
            count = len(window.samples)
            if count < self.plan.samples:
                wav = wav[: self.restorer.output_samples(count)]
            yield window, wav


def _send_back(wavs):
    """Starts to copy a batch to the host, before the next one is launched.

    Returns
    -------
    wavs : torch.Tensor
        On the host.
    sent : torch.cuda.Event
        After which they are there; None: they are.
    """
    if not wavs.is_cuda:
        return wavs.cpu(), None
    host = torch.empty(wavs.shape, dtype=wavs.dtype, pin_memory=True)
    host.copy_(wavs, non_blocking=True)
    sent = torch.cuda.Event(blocking=True)
    sent.record(torch.cuda.current_stream(wavs.device))
    return host, sent


def _out_of_memory(error):
    """Whether it is that; a CPU and CUDA's libraries say so in words only."""
    words = ("can't allocate memory", "out of memory", "ALLOC_FAILED")
    return isinstance(error, torch.OutOfMemoryError) or any(
        word in str(error) for word in words
    )
