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
# Ctrl-C to processes that have already received it from the terminal
SAME_SIGNAL_SECONDS = 2.0


class StopSignals:
    """Context manager in which SIGINT and SIGTERM do not interrupt a step.

    The first signal is stored in ``received``, and the caller stops after the
    step. A second signal ends the run immediately if it arrives more than 2 s
    after the first. Worker processes inherit the handlers but ignore both
    signals, because they end with the run.

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
                "repeat to stop immediately, without a checkpoint"
            )
        elif time.monotonic() - self.time > SAME_SIGNAL_SECONDS:
            raise SystemExit(128 + number)
