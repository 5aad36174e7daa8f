"""Clocks, peak memory, peak speed of devices, and tables.

Authors
 * The miipher2 authors 2026
"""

import contextlib
import functools
import platform
import resource
import statistics
import time
from collections import defaultdict
from pathlib import Path


class Clock:
    """Clock for named parts of a model.

    The time of a part excludes the parts that are nested in it.

    Arguments
    ---------
    now : callable
        Function that returns the time, or another increasing value.

    Example
    -------
    >>> clock = Clock(now=iter([0, 1, 3, 10]).__next__)
    >>> with clock.part("layers"), clock.part("adapters"):
    ...     pass
    >>> dict(clock.spent)
    {'adapters': 2, 'layers': 8}
    """

    def __init__(self, now):
        self.now = now
        self.spent = defaultdict(int)
        self.nested = []

    @contextlib.contextmanager
    def part(self, name):
        """Add the time of a ``with`` block to a part."""
        self.nested.append(0)
        start = self.now()
        try:
            yield
        finally:
            spent = self.now() - start
            self.spent[name] += spent - self.nested.pop()
            if self.nested:
                self.nested[-1] += spent

    @contextlib.contextmanager
    def timing(self, parts):
        """Time methods until the end of a ``with`` block.

        Arguments
        ---------
        parts : list of tuple
            (name of the part, object, name of the method) of each method.
        """
        for name, owner, method in parts:
            setattr(owner, method, self._timed(name, getattr(owner, method)))
        try:
            yield self
        finally:
            for _, owner, method in parts:
                delattr(owner, method)

    def _timed(self, name, method):
        @functools.wraps(method)
        def timed(*args, **kwargs):
            with self.part(name):
                return method(*args, **kwargs)

        return timed


def device_clock(device):
    """Return a function that waits for the device and returns the time in s."""
    import torch

    def now():
        if device != "cpu":
            torch.cuda.synchronize()
        return time.perf_counter()

    return now


def processor_seconds():
    """Return the CPU seconds of this process and of its finished children."""
    used = map(
        resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    )
    return [usage.ru_utime + usage.ru_stime for usage in used]


def peak_gib(device):
    """Return the peak memory of this process and of the GPU, in GiB."""
    import torch

    peaks = {
        "rss": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20,
    }
    if device != "cpu":
        peaks["gpu"] = torch.cuda.max_memory_allocated() / 2**30
    return peaks


def limit_memory():
    """Limit the memory of this process, so that the system does not kill it."""
    with contextlib.suppress(OSError, ValueError, IndexError):
        lines = Path("/proc/meminfo").read_text().splitlines()
        free = [line for line in lines if line.startswith("MemAvailable")]
        limit = int(0.85 * 1024 * int(free[0].split()[1]))
        resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))


def is_out_of_memory(error):
    """Return whether an error is an out-of-memory error."""
    import torch

    return isinstance(error, (MemoryError, torch.OutOfMemoryError)) or (
        "allocate memory" in str(error)
    )


def peak_gflops(device, precision, seconds=1.0):
    """Return the GFLOP/s of a large matrix product on a device."""
    import torch

    dtype = {"fp32": torch.float32, "bf16": torch.bfloat16}.get(
        precision, torch.float16
    )
    size = 2048 if device == "cpu" else 8192
    a, b = torch.randn(2, size, size, device=device).to(dtype)
    now, found = device_clock(device), []
    begin = now()
    while now() - begin < seconds or len(found) < 3:
        start = now()
        a @ b
        found.append(2e-9 * size**3 / (now() - start))
    return max(found)


def processor_name():
    """Return the name of the processor, or its architecture."""
    with contextlib.suppress(OSError, IndexError):
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        names = [line for line in lines if line.startswith("model name")]
        return names[0].split(":")[1].strip()
    return platform.processor() or platform.machine()


def describe_machine(device):
    """Return the GPU (if used), processor, threads and package versions."""
    import torch
    import transformers

    name = f"{processor_name()}, {torch.get_num_threads()} threads"
    if device != "cpu":
        name = f"{torch.cuda.get_device_name()}, {name}"
    return (
        f"{name}, torch {torch.__version__}, "
        f"transformers {transformers.__version__}"
    )


def format_memory(peak):
    """Format a result of ``peak_gib``; return None for None."""
    if peak is None:
        return None
    return " + ".join(f"{value:.2f}" for value in peak.values())


def median_and_range(values):
    """Return the median, the lowest and the highest value."""
    return {
        "median": statistics.median(values),
        "lowest": min(values),
        "highest": max(values),
    }


def format_range(figures):
    """Format a result of ``median_and_range``."""
    return "{median:.3g} ({lowest:.3g} to {highest:.3g})".format(**figures)


def markdown(header, rows):
    """Return a Markdown table.

    Example
    -------
    >>> print(markdown(["a", "b"], [["x", 1.0]]))
    | a | b |
    |---|---|
    | x | 1 |
    """
    text = [[format_cell(value) for value in line] for line in [header, *rows]]
    head, *body = ["| " + " | ".join(line) + " |" for line in text]
    return "\n".join([head, "|" + "---|" * len(header), *body])


def format_cell(value):
    """Format floats with 3 digits or, from 100, as integers; None as a dash."""
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:.3g}" if abs(value) < 100 else f"{value:.0f}"
    return str(value)
