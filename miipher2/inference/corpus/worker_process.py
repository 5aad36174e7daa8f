"""A worker process that reads and writes: its handle and its main function.

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

# The attributes of the restorer that jobs use.
RESTORER_ATTRIBUTES = (
    "plan",
    "input_rate",
    "input_level",
    "sample_rate",
    "hop_length",
    "identity",
)
END = None  # sent instead of a window or its number after the last one


class Worker:
    """The main process's handle of a worker process.

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
        Requests for items, and the items.
    windows : multiprocessing.connection.Connection
        Windows to restore, and restored windows.
    results : multiprocessing.connection.Connection
        Rows and progress.
    restored : queue.Queue
        Restored windows to send.
    pending : dict
        Items sent but not reported yet, by ID.
    started, all_read, ended : bool
        Whether the process has requested an item, has sent all of its
        windows, and has ended.
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
        # Close these ends here, so that the others see the process end.
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
    """Start processes that ignore Ctrl-C: the main process stops them."""
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    # Started first, as its start would unblock SIGINT.
    resource_tracker.ensure_running()
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)


def run_worker(engine, folder, settings, items, results):
    """Run a pipeline whose model is in the main process.

    Arguments
    ---------
    engine : RemoteEngine
        Sends windows to the main process.
    folder : str or Path
        The output folder.
    settings : miipher2.inference.job.Settings
        Settings of the outputs.
    items, results : multiprocessing.connection.Connection
        See ``Worker``.
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
    """Request items until there are none left."""
    while True:
        items.send("next")
        item = items.recv()
        if item is None:
            return
        yield item


@dataclasses.dataclass
class RemoteEngine:
    """Restore windows in the main process.

    Arguments
    ---------
    restorer : types.SimpleNamespace
        The attributes of the restorer that jobs use.
    ahead : int
        Number of windows to keep ready.
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
            Windows; those of a channel in order.

        Yields
        ------
        window : Window
            The input window, with ``presence``; those of a channel in order.
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
        """Send windows by number; at the end, END or the error."""
        last = None, END
        try:
            for number, window in enumerate(windows):
                sent[number] = window
                message = window._replace(owner=number)
                self.windows.send((id(window.channel), message))
        except Exception:  # a bug; as text, since not all can be pickled
            last = RuntimeError(traceback.format_exc())
        self.windows.send(last)
