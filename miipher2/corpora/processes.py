"""Reading and writing in processes of their own, while this one has the GPU.

Threads of one process take turns at running Python. What launches the work of
a GPU would wait for those that read and write, and they for each other: all
together they would not get beyond a thousand times real time.

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

from miipher2.corpora.job import Job
from miipher2.corpora.manifest import Row
from miipher2.corpora.pipeline import Pipeline
from miipher2.corpora.recording import Stopped
from miipher2.errors import UserError
from miipher2.freed_memory import keep_freed_memory

# What jobs want to know of the model.
FACTS = ("plan", "input_rate", "sample_rate", "hop_length", "identity")
_END = None  # instead of a window or of restored sound: there is no more
_STOP = "stop"  # instead of restored sound: the run is over


class Processes:
    """Restores items as a ``Pipeline`` does, which each of the processes has.

    They read, cut, join and write; their windows go through the engine of this
    process and back to where they came from. What a process was at when it
    ended by itself has failed, and another one takes its place.

    Arguments
    ---------
    engine : miipher2.corpora.engine.Engine
        Restores windows.
    folder : str or Path
        The output folder.
    settings : miipher2.corpora.job.Settings
        How outputs are to be.
    report : callable
        Called with the row of every item, by several threads.
    progress : callable
        Called with the bytes of input and the seconds of sound that were just
        restored, by several threads.
    workers : int
        Processes.
    """

    def __init__(self, engine, folder, settings, report, progress, workers=2):
        self.engine = engine
        self.folder = folder
        self.settings = settings
        self.report = report
        self.progress = progress
        self.workers = workers
        self.windows = queue.Queue(engine.ahead)
        self.reading = threading.Lock()  # for the items
        self.stop = threading.Event()
        self.failure = None
        self.helpers = []
        self.threads = []

    def run(self, items):
        """Restores items.

        Arguments
        ---------
        items : iterable of miipher2.corpora.items.Item
            What to restore, taken as there is room. What goes wrong with one
            is in its row.

        Raises
        ------
        UserError
            If the model or the report cannot go on.
        """
        self.items = iter(items)
        try:
            for _ in range(self.workers):
                self._start()
            for window, wav in self.engine.run(self._arriving()):
                helper, number = window.owner
                helper.restored.put((number, wav))
        except BaseException:  # Ctrl-C included
            self.stop.set()
            raise
        finally:
            for helper in self.helpers:
                last = _STOP if self.stop.is_set() else _END
                helper.restored.put((last, None))
            # nobody waits to put something into a full queue
            while any(thread.is_alive() for thread in self.threads):
                with contextlib.suppress(queue.Empty):
                    self.windows.get(timeout=0.05)
        if self.failure:
            raise self.failure

    def _start(self):
        """Starts a process, and the threads that talk with it."""
        facts = {name: getattr(self.engine.restorer, name) for name in FACTS}
        engine = FarEngine(SimpleNamespace(**facts), self.engine.ahead)
        helper = Helper(engine, self.folder, self.settings)
        self.helpers.append(helper)
        for talk in (self._feed, self._hear, self._answer, self._listen):
            thread = threading.Thread(target=self._talk, args=(talk, helper))
            self.threads.append(thread)
            thread.start()

    def _talk(self, talk, helper):
        try:
            talk(helper)
        except Exception as error:  # run() raises it
            self._break(error)

    def _feed(self, helper):
        """Gives items to a process that asks for them."""
        with contextlib.suppress(EOFError, OSError, Stopped):
            while True:
                helper.items.recv()
                with self.reading:
                    stopped = self.stop.is_set()
                    item = None if stopped else next(self.items, None)
                if item is not None:
                    helper.at_hand[item.ID] = item
                helper.items.send(item)

    def _hear(self, helper):
        """Takes the windows that a process has cut."""
        channels = {}
        with contextlib.suppress(EOFError, OSError):
            while (message := helper.windows.recv()) is not _END:
                key, window = message
                if window.start == 0:
                    channels[key] = window.channel
                self.windows.put(
                    window._replace(
                        owner=(helper, window.owner), channel=channels[key]
                    )
                )
            helper.has_read = True
            self.windows.put(_END)

    def _answer(self, helper):
        """Sends what is restored to a process, if it is still there."""
        number = 0
        while number not in (_END, _STOP):
            number, wav = helper.restored.get()
            with contextlib.suppress(OSError):
                helper.windows.send((number, wav))

    def _listen(self, helper):
        """Takes what a process tells until it ends."""
        with contextlib.suppress(EOFError, OSError):
            while True:
                told = helper.told.recv()
                if self.failure is not None:
                    continue  # it must not wait for somebody to listen
                try:
                    self._take(helper, told)
                except Exception as error:
                    self._break(error)
        code = helper.end()
        if not self.stop.is_set() and (helper.at_hand or not helper.has_read):
            self._replace(helper, code)

    def _take(self, helper, told):
        if isinstance(told, Exception):
            raise told
        if isinstance(told, Row):
            helper.at_hand.pop(told.ID, None)
            self.report(told)
        else:
            self.progress(*told)

    def _replace(self, helper, code):
        """What a lost process was at has failed; another one goes on."""
        if not helper.at_hand:
            raise UserError(
                f"a process that reads and writes ended with exit code {code}; "
                "run the same command again, with fewer --workers if memory "
                "was short"
            )
        for item in list(helper.at_hand.values()):
            job = Job(item, self.folder, self.engine.restorer, self.settings)
            job.fail(
                UserError(
                    "the process that read and wrote it and "
                    f"{len(helper.at_hand) - 1} others ended with exit code "
                    f"{code}; the same command tries them again"
                )
            )
            self.progress(item.size, 0.0)
            self.report(job.row)
        if not helper.has_read:
            self._start()

    def _arriving(self):
        """The windows of all processes, as they come."""
        reading = self.workers
        while reading:
            window = self.windows.get()
            if self.failure:
                raise self.failure
            if window is _END:
                reading -= 1
            else:
                yield window

    def _break(self, error):
        self.failure = self.failure or error
        self.stop.set()
        self.windows.put(_END)


class Helper:
    """A process that reads and writes, as the main process sees it.

    Arguments
    ---------
    engine : FarEngine
        For its pipeline.
    folder, settings : object
        As ``Pipeline`` takes them.

    Attributes
    ----------
    items, windows, told : multiprocessing.connection.Connection
        To ask for items and to give them; for windows and what becomes of
        them; for rows, progress and errors.
    restored : queue.Queue
        What is to be sent to it.
    at_hand : dict
        The items that it has and has told nothing of yet, by ID.
    has_read : bool
        Whether all of its windows are here.
    """

    def __init__(self, engine, folder, settings):
        context = multiprocessing.get_context("spawn")
        self.items, items = context.Pipe()
        self.windows, windows = context.Pipe()
        self.told, told = context.Pipe(duplex=False)
        self.restored = queue.Queue(engine.ahead)
        self.at_hand = {}
        self.has_read = False
        self.process = context.Process(
            target=_help,
            args=(engine, folder, settings, items, windows, told),
            daemon=True,
        )
        with _without_interrupts():
            self.process.start()
        for end in (items, windows, told):  # so that its end can be seen
            end.close()

    def end(self):
        """Waits for its end; returns its exit code."""
        self.process.join()
        return self.process.exitcode


@contextlib.contextmanager
def _without_interrupts():
    """What is started inside does not notice Ctrl-C: it is told to stop."""
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    resource_tracker.ensure_running()  # its start would let Ctrl-C through
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)


def _help(engine, folder, settings, items, windows, told):
    """What a process does."""
    threading.Thread(target=_end_with_parent, daemon=True).start()
    keep_freed_memory()
    telling = threading.Lock()

    def tell(message):
        with telling:
            told.send(message)

    engine.windows = windows
    pipeline = Pipeline(
        engine,
        folder,
        settings,
        report=tell,
        progress=lambda size, seconds: tell((size, seconds)),
        workers=1,
    )
    try:
        pipeline.run(_given(items))
    except Stopped:  # libraries would complain of what is still open
        os._exit(0)
    except UserError as error:
        tell(error)
    except Exception:  # not every one can be sent
        tell(RuntimeError(traceback.format_exc()))


def _end_with_parent():
    """Leaves nobody at work who would not know of the next run."""
    parent = multiprocessing.parent_process()
    multiprocessing.connection.wait([parent.sentinel])
    os._exit(1)


def _given(items):
    """Asks for items until there are no more."""
    while True:
        items.send("next")
        item = items.recv()
        if item is None:
            return
        yield item


@dataclasses.dataclass
class FarEngine:
    """Has windows restored by another process.

    Arguments
    ---------
    restorer : types.SimpleNamespace
        What jobs want to know of the model.
    ahead : int
        How many windows to keep ready.
    windows : multiprocessing.connection.Connection
        To that process.
    """

    restorer: SimpleNamespace
    ahead: int
    windows: multiprocessing.connection.Connection = None

    def run(self, windows):
        """Restores windows, as ``miipher2.corpora.engine.Engine`` does it.

        Arguments
        ---------
        windows : iterable of Window
            Those of a channel in order.

        Yields
        ------
        window : Window
            As it was given, those of a channel in order.
        wav : numpy.ndarray
            What became of it.

        Raises
        ------
        Stopped
            If the run is over before.
        """
        away = {}
        threading.Thread(
            target=self._send, args=(windows, away), daemon=True
        ).start()
        while True:
            number, wav = self.windows.recv()
            if number is _END:
                return
            if number == _STOP:
                raise Stopped
            yield away.pop(number), wav

    def _send(self, windows, away):
        try:
            for number, window in enumerate(windows):
                away[number] = window
                sent = window._replace(owner=number)
                self.windows.send((id(window.channel), sent))
        finally:
            self.windows.send(_END)
