"""Handling of Ctrl-C and SIGTERM without loss of progress.

Authors
 * The miipher2 authors 2026
"""

import os
import signal
import threading
import time

from speechbrain.utils.logger import get_logger

logger = get_logger(__name__)

# A signal repeated within this time is ignored, because torchrun forwards
# signals to processes that may already have received them
SAME_SIGNAL_SECONDS = 2.0


class StopSignals:
    """Context manager in which SIGINT or SIGTERM does not interrupt a step.

    The first signal is stored in ``received``; the caller stops after the step.
    Signals within 2 s after the first are ignored; a later one ends the run
    immediately. Forked processes inherit the handlers, which do nothing there.
    Outside the main thread, no handlers are installed.

    Attributes
    ----------
    received : int
        Number of the signal; 0 if none was received.

    Example
    -------
    >>> with StopSignals() as signals:
    ...     signal.raise_signal(signal.SIGTERM)
    ...     signals.received == signal.SIGTERM
    True
    """

    def __init__(self):
        self.received = 0

    def __enter__(self):
        self.received = 0
        self.process = os.getpid()
        self.previous = {}
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self.previous[number] = signal.signal(number, self._handle)
        return self

    def __exit__(self, *exception):
        for number, handler in self.previous.items():
            signal.signal(number, handler)

    def _handle(self, number, frame):
        if os.getpid() != self.process:
            return
        if not self.received:
            self.received = number
            self.time = time.monotonic()
            logger.info(
                f"{signal.Signals(number).name}: stopping after this step; "
                f"repeat after {SAME_SIGNAL_SECONDS:g} s to stop immediately, "
                "without a checkpoint"
            )
        elif time.monotonic() - self.time > SAME_SIGNAL_SECONDS:
            raise SystemExit(128 + number)


def ignore_stop_signals(worker_id):
    """Ignore SIGINT and SIGTERM in a worker process of a data loader.

    Both signals can be sent to all processes of a run, but the main process
    needs its workers until the end of the step. SIGTERM from the main process
    ends the worker. Where ``signal.sigwaitinfo`` is missing, as on macOS, only
    SIGINT is ignored.

    Arguments
    ---------
    worker_id : int
        Index of the worker; not used.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if hasattr(signal, "sigwaitinfo"):
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
        threading.Thread(target=_exit_with_parent, daemon=True).start()


def _exit_with_parent():
    """Wait for SIGTERM from the parent process, then exit."""
    while signal.sigwaitinfo([signal.SIGTERM]).si_pid != os.getppid():
        pass
    os._exit(0)
