"""Restoration of windows in batches.

Authors
 * The miipher2 authors 2026
"""

import logging
import math
import weakref
from collections import deque

import numpy as np
import torch

from miipher2.errors import UserError
from miipher2.inference.arguments import check_batch_seconds
from miipher2.inference.windows import Window

logger = logging.getLogger("miipher2.inference")

# If batches can hold several windows, each window is padded to the window
# length or to one half, one quarter or one eighth of it.
HALVINGS = 3
# Seconds of audio per batch. None: one window at a time, because larger batches
# are not faster on a CPU.
BATCH_SECONDS = {"cpu": None, "cuda": 640.0}
# An incomplete batch runs once the windows of this many full batches have
# arrived since its first window.
PATIENCE = 100


class Engine:
    """Engine that collects windows into batches and runs the model on them.

    The output for a window does not depend on how windows are grouped into
    batches: batches of several windows have a few fixed shapes, incomplete
    batches are filled with copies of the first window, and the model processes
    rows independently, except for the vocoder states that it passes from one
    window of a channel to the next.

    Arguments
    ---------
    restorer : miipher2.inference.restorer.Restorer
        The model, or an object with ``plan``, ``device``, ``input_rate``,
        ``restore_windows`` and ``output_samples``.
    batch_seconds : float
        Seconds of audio per batch. None for the device's default.
    total_seconds : float
        Total duration of the input, which limits the size of a batch.

    Example
    -------
    >>> import types
    >>> import numpy as np
    >>> from miipher2.inference.windows import Channel, WindowPlan
    >>> echo = types.SimpleNamespace(
    ...     plan=WindowPlan(window=8, overlap=2, hop_length=320),
    ...     device="cpu",
    ...     input_rate=16000,
    ...     restore_windows=lambda wavs, *_: (wavs / 2, None, {}),
    ...     output_samples=lambda samples: samples,
    ... )
    >>> samples = np.ones(1000, dtype=np.float32)
    >>> windows = [Window("a.wav", Channel(gain=1.0), samples, 0, None)]
    >>> [(window, wav)] = Engine(echo).run(windows)
    >>> window.owner, wav.shape, float(wav[0])
    ('a.wav', (1000,), 0.5)
    """

    def __init__(self, restorer, batch_seconds=None, total_seconds=math.inf):
        check_batch_seconds(batch_seconds)
        self.restorer = restorer
        # Vocoder states by channel. Weak references drop the states of failed
        # recordings, whose last windows never arrive.
        self.states = weakref.WeakKeyDictionary()
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
        """Number of windows to prefetch, a little more than two batches."""
        return 2 * self.rows(self.plan.samples) + 2

    def rows(self, samples):
        """Return the batch size for windows of a given length.

        Arguments
        ---------
        samples : int
            Padded length of the windows.

        Returns
        -------
        int
            The number of windows per batch, at least 1.
        """
        if self.batch_samples is None:
            return 1
        return max(1, self.batch_samples // samples)

    def run(self, windows):
        """Restore windows.

        Arguments
        ---------
        windows : iterable of Window
            The input windows. The windows of a channel are in order.

        Yields
        ------
        window : Window
            An input window with its ``presence``. The windows of a channel are
            in order.
        wav : numpy.ndarray
            The restored window ``(time,)``, float32 at the model's output rate,
            before the loudness is restored. For a silent channel, the unchanged
            samples of the input window.
        """
        # Launch a batch before fetching the previous results, to keep the GPU
        # busy.
        launched = deque()
        for batch in self._batches(windows):
            if isinstance(batch, Window):
                yield batch, batch.samples
                continue
            for launch in self._launch(*batch):
                launched.append(launch)
                if len(launched) > 1:
                    yield from self._fetch(*launched.popleft())
        while launched:
            yield from self._fetch(*launched.popleft())

    def _batches(self, windows):
        """Yield ``(shape, windows)`` for each batch, and silent windows.

        A batch is yielded when it is full or, so that its recordings are not
        delayed further, once ``patience`` windows have arrived since its first
        window. The remaining batches follow at the end.
        """
        waiting = {}  # shape -> (index of the first window, windows)
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
        """Return the padded length of a window and whether it needs a mask.

        If batches hold one window, only the last frame is padded, which needs
        no mask.
        """
        hop = self.plan.hop_length
        frames = -(-samples // hop)
        if self.batch_samples is None:
            return frames * hop, False
        fitting = [
            length
            for halving in range(HALVINGS + 1)
            if (length := -(-self.plan.window // 2**halving)) >= frames
        ]
        return fitting[-1] * hop, frames < fitting[-1]

    def _launch(self, shape, windows):
        """Run the model on windows of one shape; yield windows and results.

        The batch size is halved if the device runs out of memory.
        """
        while windows:
            rows = self.rows(shape[0])
            part, rest = windows[:rows], windows[rows:]
            try:
                *results, states = self._restore(shape, part, rows)
                results = _copy_to_host(*results)
            except RuntimeError as error:
                if not _out_of_memory(error):
                    raise
                results = None
            if results is None:
                # After the except clause, as the exception keeps tensors alive
                self._halve(rows, shape[0])
                continue
            self.states = weakref.WeakKeyDictionary(states)
            yield part, *results
            windows = rest

    def _restore(self, shape, windows, rows):
        """Run the model on a batch; see ``Restorer.restore_windows``."""
        samples, masked = shape
        # Pinned memory allows an asynchronous copy to the GPU.
        on_gpu = str(self.restorer.device).startswith("cuda")
        wavs = torch.zeros(rows, samples, pin_memory=on_gpu)
        lengths = torch.zeros(rows, dtype=torch.float64)
        filled = windows + windows[:1] * (rows - len(windows))
        for row, window in enumerate(filled):
            # Padding the last frame with zeros would lower its output level.
            missing = -len(window.samples) % self.plan.hop_length
            padded = np.pad(window.samples, (0, missing), "symmetric")
            wavs[row, : len(padded)] = torch.from_numpy(padded)
            wavs[row] *= window.channel.gain
            lengths[row] = len(padded) / samples
        return self.restorer.restore_windows(
            wavs, lengths if masked else None, windows, self.states
        )

    def _halve(self, rows, samples):
        """Halve the batch size."""
        if rows == 1:
            raise UserError(
                f"{self.restorer.device}: out of memory with a single window "
                f"({samples / self.plan.samples:.0%} of window_seconds); "
                "lower window_seconds in the model's hyperparams.yaml, or "
                "choose another --device"
            )
        self.batch_samples = rows // 2 * samples
        logger.warning(
            "%s: out of memory; batch size halved to %d windows",
            self.restorer.device,
            rows // 2,
        )
        if torch.cuda.is_available():
            torch.cuda.empty_cache()

    def _fetch(self, windows, wavs, presence, copied):
        """Yield the windows of a batch and their waveforms without padding."""
        if copied is not None:
            copied.synchronize()
        for row, window in enumerate(windows):
            wav, count = wavs[row].numpy(), len(window.samples)
            if count < self.plan.samples:
                wav = wav[: self.restorer.output_samples(count)]
            if presence is not None:
                frames = -(-count // self.plan.hop_length)
                window = window._replace(
                    presence=presence[row, :frames].numpy()
                )
            yield window, wav


def _copy_to_host(wavs, presence):
    """Start an asynchronous copy of a batch to the host.

    Returns
    -------
    wavs : torch.Tensor
        The waveforms on the host.
    presence : torch.Tensor
        The log-odds of speech on the host. None without a speech detector.
    copied : torch.cuda.Event
        Event that marks the end of the copy. None if the copy is complete.
    """
    if not wavs.is_cuda:
        return wavs.cpu(), None if presence is None else presence.cpu(), None
    hosts = []
    for tensor in (wavs, presence):
        host = None
        if tensor is not None:
            host = torch.empty(
                tensor.shape, dtype=tensor.dtype, pin_memory=True
            )
            host.copy_(tensor, non_blocking=True)
        hosts.append(host)
    copied = torch.cuda.Event(blocking=True)
    copied.record(torch.cuda.current_stream(wavs.device))
    return *hosts, copied


def _out_of_memory(error):
    """Return whether an error reports a lack of memory.

    CPU allocators and CUDA libraries raise a plain ``RuntimeError``.
    """
    words = ("can't allocate memory", "out of memory", "ALLOC_FAILED")
    return isinstance(error, torch.OutOfMemoryError) or any(
        word in str(error) for word in words
    )
