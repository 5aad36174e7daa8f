"""Handle and main function of a process that reads and writes recordings.

Authors
 * The miipher2 authors 2026
"""

import contextlib
import dataclasses
import multiprocessing
import multiprocessing.connection
import os
import queue
import signal
import threading
import traceback
from multiprocessing import resource_tracker
from types import SimpleNamespace

from miipher2.inference.corpus.pipeline import Pipeline
from miipher2.inference.freed_memory import keep_freed_memory

# Attributes of the restorer that jobs use
RESTORER_ATTRIBUTES = (
    "plan",
    "input_rate",
    "input_level",
    "sample_rate",
    "hop_length",
    "identity",
)
END = None  # marks the end of the windows


class Worker:
    """Handle of a worker process in the main process.

    Arguments
    ---------
    engine : miipher2.inference.batching.Engine
        The engine of the main process.
    folder : str or Path
        The output folder.
    settings : miipher2.inference.job.Settings
        Settings of the outputs.

    Attributes
    ----------
    items : multiprocessing.connection.Connection
        Connection for requests for items, and for the items.
    windows : multiprocessing.connection.Connection
        Connection for windows to restore, and for restored windows.
    results : multiprocessing.connection.Connection
        Connection for rows and progress.
    restored : queue.Queue
        Restored windows waiting to be sent.
    pending : dict
        Items that have been sent but not yet reported, by ID.
    started, all_read, ended : bool
        Whether the process has requested an item, has sent its last window,
        and has ended, respectively.
    """

    def __init__(self, engine, folder, settings):
        context = multiprocessing.get_context("spawn")
        self.items, items = context.Pipe()
        self.windows, windows = context.Pipe()
        self.results, results = context.Pipe(duplex=False)
        self.restored = queue.Queue(engine.ahead)
        self.pending = {}
        self.started = self.all_read = self.ended = False
        restorer = SimpleNamespace(
            **{
                name: getattr(engine.restorer, name)
                for name in RESTORER_ATTRIBUTES
            }
        )
        self.process = context.Process(
            target=run_worker,
            args=(
                RemoteEngine(restorer, engine.ahead, windows),
                folder,
                settings,
                items,
                results,
            ),
            daemon=True,
        )
        with _without_interrupts():
            self.process.start()
        # Close the worker's ends of the pipes in the main process. Otherwise,
        # the main process could not detect that the worker has ended.
        for connection in (items, windows, results):
            connection.close()

    def receive(self, connection):
        """Return the next message, or None if the process has ended."""
        try:
            return connection.recv()
        except (EOFError, OSError):
            return None

    def send(self, connection, message):
        """Send a message, unless the process has ended."""
        with contextlib.suppress(OSError):
            connection.send(message)

    def close(self):
        """Close the connections."""
        for connection in (self.items, self.windows, self.results):
            connection.close()


@contextlib.contextmanager
def _without_interrupts():
    """Make child processes ignore Ctrl-C; the main process stops them."""
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    # Start the resource tracker first, because starting it unblocks SIGINT.
    resource_tracker.ensure_running()
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)


def run_worker(engine, folder, settings, items, results):
    """Run a pipeline whose windows are restored in the main process.

    Arguments
    ---------
    engine : RemoteEngine
        The engine that sends windows to the main process.
    folder : str or Path
        The output folder.
    settings : miipher2.inference.job.Settings
        Settings of the outputs.
    items, results : multiprocessing.connection.Connection
        The worker's ends of the connections described in ``Worker``.
    """
    threading.Thread(target=_end_with_parent, daemon=True).start()
    keep_freed_memory()
    sending = threading.Lock()

    def send(message):
        with sending:
            results.send(message)

    pipeline = Pipeline(
        engine,
        folder,
        settings,
        report=send,
        progress=lambda size, seconds: send((size, seconds)),
        workers=1,
    )
    pipeline.run(_request(items))


def _end_with_parent():
    """End this process when the main process ends."""
    parent = multiprocessing.parent_process()
    multiprocessing.connection.wait([parent.sentinel])
    os._exit(1)


def _request(items):
    """Request items and yield them until none are left."""
    while True:
        items.send("next")
        item = items.recv()
        if item is None:
            return
        yield item


@dataclasses.dataclass
class RemoteEngine:
    """Engine of a worker process; the main process restores its windows.

    Arguments
    ---------
    restorer : types.SimpleNamespace
        The attributes of the restorer that jobs use.
    ahead : int
        Number of windows to queue in advance.
    windows : multiprocessing.connection.Connection
        Connection to the main process.
    """

    restorer: SimpleNamespace
    ahead: int
    windows: multiprocessing.connection.Connection

    def run(self, windows):
        """Restore windows, like ``miipher2.inference.batching.Engine.run``.

        Arguments
        ---------
        windows : iterable of Window
            The windows to restore. The windows of a channel are in order.

        Yields
        ------
        window : Window
            The input window with its ``presence``. The windows of a channel
            are in order.
        wav : numpy.ndarray
            The restored waveform.
        """
        sent = {}
        threading.Thread(
            target=self._send, args=(windows, sent), daemon=True
        ).start()
        while True:
            number, restored = self.windows.recv()
            if number is END:
                return
            wav, presence = restored
            yield sent.pop(number)._replace(presence=presence), wav

    def _send(self, windows, sent):
        """Send numbered windows, and then END or an error."""
        last = None, END
        try:
            for number, window in enumerate(windows):
                sent[number] = window
                message = window._replace(owner=number)
                self.windows.send((id(window.channel), message))
        except Exception:
            # A bug; sent as text, because some exceptions cannot be pickled
            last = RuntimeError(traceback.format_exc())
        self.windows.send(last)
