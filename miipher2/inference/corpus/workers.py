"""Reading and writing in processes of their own, while this one has the GPU.

Threads of one process take turns at running Python. What launches the work of
a GPU would wait for those that read and write, and they for each other: all
together they would not get beyond a thousand times real time.

Authors
 * The miipher2 authors 2026
"""

import contextlib
import dataclasses
import logging
import multiprocessing
import multiprocessing.connection
import os
import queue
import signal
import threading
import traceback
from multiprocessing import resource_tracker
from types import SimpleNamespace

from miipher2.dataio.atomic import partial_path
from miipher2.errors import UserError
from miipher2.inference.corpus.pipeline import Pipeline
from miipher2.inference.freed_memory import keep_freed_memory
from miipher2.inference.items import Row
from miipher2.inference.job import Job

logger = logging.getLogger("miipher2.inference")

# What jobs want to know of the model.
FACTS = ("plan", "input_rate", "sample_rate", "hop_length", "identity")
_END = None  # instead of a window or of restored sound: there is no more


class Processes:
    """Restores items as a ``Pipeline`` does, which each of the processes has.

    They read, cut, join and write; their windows go through the engine of this
    process and back to where they came from. When one is lost, another one
    takes its place. What it was at is tried again in the end, one by one, so
    that what ends its process fails alone.

    Arguments
    ---------
    engine : miipher2.inference.batching.Engine
        Restores windows.
    folder : str or Path
        The output folder.
    settings : miipher2.inference.job.Settings
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
        self.lost = []  # items to be tried again
        self.again = False

    def run(self, items):
        """Restores items.

        Arguments
        ---------
        items : iterable of miipher2.inference.items.Item
            What to restore, taken as there is room. What goes wrong with one
            is in its row.

        Raises
        ------
        UserError
            If the model or the report cannot go on.
        """
        self._restore(items, self.workers)
        if self.lost:
            logger.warning(
                "a process that read and wrote has ended: the %d recordings "
                "that it was at are tried one by one",
                len(self.lost),
            )
        self.again = True
        for item in self.lost:
            self._restore([item], workers=1)

    def _restore(self, items, workers):
        self.items = iter(items)
        try:
            for _ in range(workers):
                self._start()
            for window, wav in self.engine.run(self._arriving(workers)):
                helper, number = window.owner
                if not helper.gone:
                    helper.sound.put((number, wav))
        except BaseException:  # Ctrl-C included
            self.stop.set()
            raise
        finally:
            for helper in list(self.helpers):
                self._end(helper)
            # nobody waits to put something into a full queue
            while any(thread.is_alive() for thread in self.threads):
                with contextlib.suppress(queue.Empty):
                    self.windows.get(timeout=0.05)
            self.threads.clear()
        if self.failure:
            raise self.failure

    def _start(self):
        """Starts a process, and the threads that talk with it."""
        facts = {name: getattr(self.engine.restorer, name) for name in FACTS}
        engine = FarEngine(SimpleNamespace(**facts), self.engine.ahead)
        helper = Helper(engine, self.folder, self.settings)
        self.helpers.append(helper)
        talks = (
            *(self._give_items, self._take_windows),
            *(self._give_sound, self._take_rows),
        )
        # daemons, so that a second Ctrl-C ends everything
        helper.threads = [
            threading.Thread(
                target=self._talk, args=(talk, helper), daemon=True
            )
            for talk in talks
        ]
        self.threads += helper.threads
        for thread in helper.threads:
            thread.start()
        if self.stop.is_set():
            self._end(helper)

    def _end(self, helper):
        """Tells a process that there is no more, or that the run is over."""
        if self.stop.is_set():
            helper.process.kill()
        helper.sound.put((_END, None))

    def _talk(self, talk, helper):
        try:
            talk(helper)
        except Exception as error:  # run() raises it
            self._break(error)

    def _give_items(self, helper):
        while helper.hears(helper.items):
            helper.has_asked = True
            with self.reading:
                stopped = self.stop.is_set()
                item = None if stopped else next(self.items, None)
            if item is not None:
                helper.at_hand[item.ID] = item
            helper.tell(helper.items, item)

    def _take_windows(self, helper):
        channels = {}
        while message := helper.hears(helper.windows):
            if isinstance(message, Exception):
                raise message
            key, window = message
            if window is _END:
                helper.has_read = True
                self.windows.put(_END)
                return
            if window.start == 0:
                channels[key] = window.channel
            window = window._replace(
                owner=(helper, window.owner), channel=channels[key]
            )
            if window.next_start is None:
                del channels[key]
            self.windows.put(window)

    def _give_sound(self, helper):
        number = 0
        while number is not _END:
            number, wav = helper.sound.get()
            helper.tell(helper.windows, (number, wav))

    def _take_rows(self, helper):
        """Takes rows and progress until the process ends."""
        while told := helper.hears(helper.told):
            if self.failure is not None:
                continue  # it must not wait for somebody to listen
            try:
                if isinstance(told, Row):
                    helper.at_hand.pop(told.ID, None)
                    self.report(told)
                else:
                    self.progress(*told)
            except Exception as error:
                self._break(error)
        helper.process.join()
        helper.gone = True
        self._end(helper)
        for thread in helper.threads:
            if thread is not threading.current_thread():
                thread.join()
        self._bury(helper)

    def _bury(self, helper):
        """Sees to it that nothing is left of a process, nor is lost."""
        self.helpers.remove(helper)
        helper.close()
        code = helper.process.exitcode
        for item in helper.at_hand.values():
            job = Job(item, self.folder, self.engine.restorer, self.settings)
            partial_path(job.path).unlink(missing_ok=True)
            if self.stop.is_set():
                continue
            if not self.again:
                self.lost.append(item)
                continue
            job.fail(
                UserError(
                    "the process that read and wrote it ended twice, with "
                    f"exit code {code} at last"
                )
            )
            self.report(job.row)
        if self.stop.is_set() or helper.has_read:
            return
        if not helper.has_asked:
            raise UserError(
                f"a process that reads and writes ended with exit code {code} "
                "before it began; run the same command again, with fewer "
                "--workers if memory was short"
            )
        self._start()

    def _arriving(self, reading):
        """The windows of all processes, as they come."""
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
        with contextlib.suppress(queue.Full):  # nobody waits for it then
            self.windows.put_nowait(_END)


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
        To be asked for items; for windows and what becomes of them; for rows
        and progress.
    sound : queue.Queue
        What is to be sent to it.
    at_hand : dict
        The items that it has and has told nothing of yet, by ID.
    has_asked, has_read, gone : bool
        Whether it has begun, whether all of its windows are here, and whether
        it has ended.
    """

    def __init__(self, engine, folder, settings):
        context = multiprocessing.get_context("spawn")
        self.items, items = context.Pipe()
        self.windows, windows = context.Pipe()
        self.told, told = context.Pipe(duplex=False)
        self.sound = queue.Queue(engine.ahead)
        self.at_hand = {}
        self.has_asked = self.has_read = self.gone = False
        self.process = context.Process(
            target=_help,
            args=(engine, folder, settings, items, windows, told),
            daemon=True,
        )
        with _without_interrupts():
            self.process.start()
        for end in (items, windows, told):  # so that its end can be seen
            end.close()

    def hears(self, connection):
        """What it says; None once it has ended."""
        try:
            return connection.recv()
        except (EOFError, OSError):
            return None

    def tell(self, connection, message):
        """Tells it something, if it is still there."""
        with contextlib.suppress(OSError):
            connection.send(message)

    def close(self):
        """Gives back what it held here."""
        for connection in (self.items, self.windows, self.told):
            connection.close()


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
    pipeline.run(_given(items))


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
        """Restores windows, as ``miipher2.inference.batching.Engine`` does it.

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

        """
        away = {}
        threading.Thread(
            target=self._send, args=(windows, away), daemon=True
        ).start()
        while True:
            number, wav = self.windows.recv()
            if number is _END:
                return
            yield away.pop(number), wav

    def _send(self, windows, away):
        last = None, _END
        try:
            for number, window in enumerate(windows):
                away[number] = window
                sent = window._replace(owner=number)
                self.windows.send((id(window.channel), sent))
        except Exception:  # a fault of the program; not every one can be sent
            last = RuntimeError(traceback.format_exc())
        self.windows.send(last)
