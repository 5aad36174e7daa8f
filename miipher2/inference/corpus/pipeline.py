"""Reading ahead, restoring and writing behind, side by side.

Readers measure and cut recordings and put their windows into a queue; the
thread that calls runs the model; writers join, level and write. All that is
between them is bounded, so that memory depends on no recording's length.

Authors
 * The miipher2 authors 2026
"""

import contextlib
import queue
import threading
from concurrent.futures import ThreadPoolExecutor

from miipher2.errors import UserError
from miipher2.inference.job import Job
from miipher2.inference.recording import Stopped

_END = object()  # what a reader says last


class Pipeline:
    """Restores items, many at a time.

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
        restored.
    workers : int
        Threads that read, and as many that write.
    """

    def __init__(
        self,
        engine,
        folder,
        settings,
        report,
        progress,
        workers=2,
    ):
        self.engine = engine
        self.folder = folder
        self.settings = settings
        self.report = report
        self.progress = progress
        self.workers = workers
        self.windows = queue.Queue(engine.ahead)
        self.room = threading.Semaphore(engine.ahead)  # for what is restored
        self.reading = threading.Lock()  # for the items
        self.lock = threading.Lock()  # for the pieces of jobs
        self.stop = threading.Event()
        self.failure = None

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
        items = iter(items)
        readers = [
            # daemons, so that a second Ctrl-C ends everything
            threading.Thread(target=self._read, args=(items,), daemon=True)
            for _ in range(self.workers)
        ]
        with ThreadPoolExecutor(self.workers) as self.writers:
            for reader in readers:
                reader.start()
            try:
                for window, wav in self.engine.run(self._arriving()):
                    job = window.owner
                    seconds = job.seconds(window)
                    share = seconds / job.row.seconds
                    self.progress(job.item.size * share, seconds)
                    self._hand_over(job, (window, wav))
            except BaseException:  # Ctrl-C included
                self.stop.set()
                raise
            finally:  # nobody waits to put something into a full queue
                while any(reader.is_alive() for reader in readers):
                    with contextlib.suppress(queue.Empty):
                        self.windows.get(timeout=0.05)
        if self.failure:
            raise self.failure

    def _read(self, items):
        """A reader: takes items until there are no more."""
        try:
            while item := self._next(items):
                job = Job(
                    item,
                    self.folder,
                    self.engine.restorer,
                    self.settings,
                    self.stop,
                )
                try:
                    job.measure()
                    for window in job.windows():
                        self.windows.put(window)
                except UserError as error:
                    self._hand_over(job, error)
        except Stopped:  # the run is over
            pass
        except Exception as error:  # a fault of the program: run() raises it
            self._break(error)
        finally:
            self.windows.put(_END)

    def _next(self, items):
        """The next item; None if there are no more or the run is over."""
        with self.reading:
            return None if self.stop.is_set() else next(items, None)

    def _arriving(self):
        """The windows that the readers cut, as they come."""
        reading = self.workers
        while reading:
            window = self.windows.get()
            if window is _END:
                reading -= 1
            else:
                yield window
        if self.failure:
            raise self.failure

    def _hand_over(self, job, piece):
        """Gives a restored window or an error to the writers."""
        self.room.acquire()
        with self.lock:
            job.pieces.append(piece)
            if job.busy:  # a writer is at it: pieces of a job stay in order
                return
            job.busy = True
        self.writers.submit(self._write, job)

    def _write(self, job):
        """A writer: takes the pieces of a job until there are no more."""
        while True:
            with self.lock:
                if not job.pieces:
                    job.busy = False
                    return
                piece = job.pieces.popleft()
            try:
                if not job.over and not self.stop.is_set():
                    self._finish(job, piece)
            except Exception as error:
                self._break(error)
            finally:
                self.room.release()

    def _finish(self, job, piece):
        try:
            if isinstance(piece, UserError):
                raise piece
            job.add(*piece)
        except UserError as error:
            job.fail(error)
        if job.over:
            self.report(job.row)

    def _break(self, error):
        self.failure = self.failure or error
        self.stop.set()
