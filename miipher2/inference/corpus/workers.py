"""Reading and writing in worker processes; the main process runs the model.

Threads share Python's global interpreter lock. With reader and writer threads,
the thread that launches GPU kernels would often wait for the lock, and
restoration would be limited to about a thousand times real time.

Authors
 * The miipher2 authors 2026
"""

import contextlib
import logging
import queue
import threading

from miipher2.dataio.atomic import partial_path
from miipher2.dataio.wording import count
from miipher2.errors import UserError
from miipher2.inference.corpus.worker_process import END, Worker
from miipher2.inference.items import Row
from miipher2.inference.job import Job

logger = logging.getLogger("miipher2.inference")


class WorkerPool:
    """Pool of worker processes with the interface of ``Pipeline``.

    Each worker runs one pipeline, which reads recordings, cuts them into
    windows, joins the restored windows and writes the outputs. The engine in
    the main process restores the windows. A worker that dies is replaced, and
    its items are retried one by one at the end, so that only the items that
    kill their worker fail.

    Arguments
    ---------
    engine, folder, settings, report, progress
        See ``Pipeline``. Like ``report``, ``progress`` is called from several
        threads.
    workers : int
        Number of worker processes.
    """

    def __init__(self, engine, folder, settings, report, progress, workers=2):
        self.engine = engine
        self.folder = folder
        self.settings = settings
        self.report = report
        self.progress = progress
        self.num_workers = workers
        self.windows = queue.Queue(engine.ahead)
        self.reading = threading.Lock()  # guards the iterator of items
        self.stop = threading.Event()
        self.failure = None
        self.workers = []
        self.threads = []
        self.requeued = []
        self.retrying = False

    def run(self, items):
        """Restore items.

        Arguments
        ---------
        items : iterable of miipher2.inference.items.Item
            The items. The iterable is consumed as workers become free. The
            row of an item that fails contains the reason.

        Raises
        ------
        UserError
            If the model cannot run, a row cannot be reported, or a worker dies
            before it has started.
        """
        self._restore(items, self.num_workers)
        if self.requeued:
            logger.warning(
                "a worker process died; retrying %s one by one",
                count(len(self.requeued), "recording"),
            )
        self.retrying = True
        for item in self.requeued:
            self._restore([item], num_workers=1)

    def _restore(self, items, num_workers):
        """Restore items with new workers."""
        self.items = iter(items)
        try:
            for _ in range(num_workers):
                self._start_worker()
            for window, wav in self.engine.run(self._receive(num_workers)):
                worker, number = window.owner
                if not worker.ended:
                    worker.restored.put((number, (wav, window.presence)))
        except BaseException:  # includes KeyboardInterrupt
            self.stop.set()
            raise
        finally:
            for worker in list(self.workers):
                self._end(worker)
            # Drain the queue: a thread may be blocked on it.
            while any(thread.is_alive() for thread in self.threads):
                with contextlib.suppress(queue.Empty):
                    self.windows.get(timeout=0.05)
            self.threads.clear()
        if self.failure:
            raise self.failure

    def _receive(self, reading):
        """Yield windows in order of arrival until all workers have sent END."""
        while reading:
            window = self.windows.get()
            if self.failure:
                raise self.failure
            if window is END:
                reading -= 1
            else:
                yield window

    def _start_worker(self):
        """Start a worker and the threads that exchange messages with it."""
        worker = Worker(self.engine, self.folder, self.settings)
        self.workers.append(worker)
        loops = (
            self._send_items,
            self._receive_windows,
            self._send_restored,
            self._receive_results,
        )
        # Daemon threads, so that a second Ctrl-C ends the process.
        worker.threads = [
            threading.Thread(target=self._run, args=(loop, worker), daemon=True)
            for loop in loops
        ]
        self.threads += worker.threads
        for thread in worker.threads:
            thread.start()
        if self.stop.is_set():
            self._end(worker)

    def _end(self, worker):
        """Send END to a worker; kill the worker if the run was stopped."""
        if self.stop.is_set():
            worker.process.kill()
        worker.restored.put((END, None))

    def _run(self, loop, worker):
        """Run a message loop in a thread; ``run`` raises its errors."""
        try:
            loop(worker)
        except Exception as error:
            self._abort(error)

    def _send_items(self, worker):
        while worker.receive(worker.items):
            worker.started = True
            with self.reading:
                stopped = self.stop.is_set()
                item = None if stopped else next(self.items, None)
            if item is not None:
                worker.pending[item.ID] = item
            worker.send(worker.items, item)

    def _receive_windows(self, worker):
        channels = {}  # channels of unfinished recordings
        while message := worker.receive(worker.windows):
            if isinstance(message, Exception):
                raise message
            key, window = message
            if window is END:
                worker.all_read = True
                self.windows.put(END)
                return
            if window.start == 0:
                channels[key] = window.channel
            window = window._replace(
                owner=(worker, window.owner), channel=channels[key]
            )
            if window.next_start is None:
                del channels[key]
            self.windows.put(window)

    def _send_restored(self, worker):
        number = 0
        while number is not END:
            number, restored = worker.restored.get()
            worker.send(worker.windows, (number, restored))

    def _receive_results(self, worker):
        """Receive rows and progress until the worker ends; then clean up."""
        while result := worker.receive(worker.results):
            if self.failure is not None:
                continue  # keep receiving; otherwise, the worker would block
            try:
                if isinstance(result, Row):
                    worker.pending.pop(result.ID, None)
                    self.report(result)
                else:
                    self.progress(*result)
            except Exception as error:
                self._abort(error)
        worker.process.join()
        worker.ended = True
        self._end(worker)
        for thread in worker.threads:
            if thread is not threading.current_thread():
                thread.join()
        self._clean_up(worker)

    def _clean_up(self, worker):
        """Clean up after a worker; if it died, requeue or fail its items."""
        self.workers.remove(worker)
        worker.close()
        code = worker.process.exitcode
        for item in worker.pending.values():
            job = Job(item, self.folder, self.engine.restorer, self.settings)
            partial_path(job.path).unlink(missing_ok=True)
            if self.stop.is_set():
                continue
            if not self.retrying:
                self.requeued.append(item)
                continue
            job.fail(
                UserError(f"its worker process died twice, exit code {code}")
            )
            self.report(job.row)
        if self.stop.is_set() or worker.all_read:
            return
        if not worker.started:
            raise UserError(
                f"a worker process died with exit code {code} before it "
                "started; run the same command again, with fewer --workers "
                "if there was not enough memory"
            )
        self._start_worker()

    def _abort(self, error):
        """Stop the run; the first error is raised by ``run``."""
        self.failure = self.failure or error
        self.stop.set()
        # Wake up the engine if it is waiting for a window, which is the case
        # only if the queue is empty.
        with contextlib.suppress(queue.Full):
            self.windows.put_nowait(END)
