"""Pipeline that reads, restores and writes in parallel threads.

Reader threads measure recordings, cut them into windows and put the windows
into a queue. The calling thread runs the model. Writer threads join the
restored windows, adjust the loudness and write the outputs. Every queue is
bounded, so memory use does not depend on the length of a recording.

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

_END = object()  # put into the queue by a reader when it has finished


class Pipeline:
    """Pipeline with reader threads and writer threads.

    Arguments
    ---------
    engine : miipher2.inference.batching.Engine
        The engine that restores windows.
    folder : str or Path
        The output folder.
    settings : miipher2.inference.job.Settings
        Settings of the outputs.
    report : callable
        Called with the row of every item. The calls come from several threads.
    progress : callable
        Called for each restored window with its share of the input in bytes and
        in seconds. The shares of a recording's windows add up to its size and
        duration.
    workers : int
        Number of reader threads and number of writer threads.
    """

    def __init__(self, engine, folder, settings, report, progress, workers=2):
        self.engine = engine
        self.folder = folder
        self.settings = settings
        self.report = report
        self.progress = progress
        self.workers = workers
        self.windows = queue.Queue(engine.ahead)
        # Limits the number of queued chunks (restored windows or errors)
        self.slots = threading.Semaphore(engine.ahead)
        self.reading = threading.Lock()  # guards the iterator of items
        self.lock = threading.Lock()  # guards the chunks of jobs
        self.stop = threading.Event()
        self.failure = None

    def run(self, items):
        """Restore items.

        Arguments
        ---------
        items : iterable of miipher2.inference.items.Item
            The items. The iterable is consumed as readers become free. The
            row of an item that fails contains the reason.

        Raises
        ------
        UserError
            If the model cannot run or a row cannot be reported.
        """
        items = iter(items)
        readers = [
            # Daemon threads, so that a second Ctrl-C ends the process.
            threading.Thread(target=self._read, args=(items,), daemon=True)
            for _ in range(self.workers)
        ]
        with ThreadPoolExecutor(self.workers) as self.writers:
            for reader in readers:
                reader.start()
            try:
                for window, wav in self.engine.run(self._read_windows()):
                    job = window.owner
                    seconds = job.seconds(window)
                    share = seconds / job.row.seconds
                    self.progress(job.item.size * share, seconds)
                    self._submit(job, (window, wav))
            except BaseException:  # includes KeyboardInterrupt
                self.stop.set()
                raise
            finally:
                # Drain the queue: a reader may be blocked on it.
                while any(reader.is_alive() for reader in readers):
                    with contextlib.suppress(queue.Empty):
                        self.windows.get(timeout=0.05)
        if self.failure:
            raise self.failure

    def _read(self, items):
        """Read items until none are left; runs in a reader thread."""
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
                    self._submit(job, error)
        except Stopped:
            pass
        except Exception as error:
            # A bug, or a row that cannot be reported; run() raises it.
            self._abort(error)
        finally:
            self.windows.put(_END)

    def _next(self, items):
        """Return the next item, or None if none is left or the run stops."""
        with self.reading:
            return None if self.stop.is_set() else next(items, None)

    def _read_windows(self):
        """Yield the windows of all readers in order of arrival."""
        reading = self.workers
        while reading:
            window = self.windows.get()
            if window is _END:
                reading -= 1
            else:
                yield window
        if self.failure:
            raise self.failure

    def _submit(self, job, chunk):
        """Pass a restored window or an error of a job to the writers."""
        self.slots.acquire()
        with self.lock:
            job.chunks.append(chunk)
            if job.writing:  # one writer per job keeps its chunks in order
                return
            job.writing = True
        self.writers.submit(self._write, job)

    def _write(self, job):
        """Write the chunks of a job until none are left."""
        while True:
            with self.lock:
                if not job.chunks:
                    job.writing = False
                    return
                chunk = job.chunks.popleft()
            try:
                if not job.ended and not self.stop.is_set():
                    self._write_chunk(job, chunk)
            except Exception as error:
                # A bug, or a row that cannot be reported; run() raises it.
                self._abort(error)
            finally:
                self.slots.release()

    def _write_chunk(self, job, chunk):
        """Write one chunk; report the row when the job has finished."""
        try:
            if isinstance(chunk, UserError):
                raise chunk
            job.add(*chunk)
        except UserError as error:
            job.fail(error)
        if job.ended:
            self.report(job.row)

    def _abort(self, error):
        """Stop the run; the first error is raised by ``run``."""
        self.failure = self.failure or error
        self.stop.set()
