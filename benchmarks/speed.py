"""Clocks, memory, the limit of a device, and tables.

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
    """What is spent in the parts of a model, not counting parts inside them.

    Arguments
    ---------
    now : callable
        Gives the time, or anything else that grows.

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
        self.inside = []

    @contextlib.contextmanager
    def part(self, name):
        """Counts what is spent in a ``with`` block."""
        self.inside.append(0)
        start = self.now()
        try:
            yield
        finally:
            spent = self.now() - start
            self.spent[name] += spent - self.inside.pop()
            if self.inside:
                self.inside[-1] += spent

    @contextlib.contextmanager
    def watching(self, parts):
        """Counts methods, until the end of a ``with`` block.

        Arguments
        ---------
        parts : list of tuple
            Name of the part, object, name of the object's method.
        """
        for name, owner, method in parts:
            setattr(owner, method, self._watched(name, getattr(owner, method)))
        try:
            yield self
        finally:
            for _, owner, method in parts:
                delattr(owner, method)

    def _watched(self, name, method):
        @functools.wraps(method)
        def watched(*args, **kwargs):
            with self.part(name):
                return method(*args, **kwargs)

        return watched


def seconds_on(device):
    """A clock's ``now`` for a device."""
    import torch

    def now():
        if device != "cpu":
            torch.cuda.synchronize()
        return time.perf_counter()

    return now


def processor_seconds():
    """Of this process, and of those that it has started and that have ended."""
    used = map(
        resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    )
    return [one.ru_utime + one.ru_stime for one in used]


def peak_gib(device):
    """Peak memory of this process so far and, on a GPU, of the GPU."""
    import torch

    peaks = {
        "rss": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20,
    }
    if device != "cpu":
        peaks["gpu"] = torch.cuda.max_memory_allocated() / 2**30
    return peaks


def spare_the_machine():
    """Lets too large an allocation fail, before the system ends processes."""
    with contextlib.suppress(OSError, ValueError, IndexError):
        lines = Path("/proc/meminfo").read_text().splitlines()
        free = [line for line in lines if line.startswith("MemAvailable")]
        limit = int(0.85 * 1024 * int(free[0].split()[1]))
        resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))


def out_of_memory(error):
    """Whether an error is that."""
    import torch

    return isinstance(error, (MemoryError, torch.OutOfMemoryError)) or (
        "allocate memory" in str(error)
    )


def device_limit(device, precision, seconds=1.0):
    """GFLOP/s of a large matrix product: what the device can do at best."""
    import torch

    dtype = {"fp32": torch.float32, "bf16": torch.bfloat16}.get(
        precision, torch.float16
    )
    size = 2048 if device == "cpu" else 8192
    a, b = torch.randn(2, size, size, device=device).to(dtype)
    now, found = seconds_on(device), []
    begun = now()
    while now() - begun < seconds or len(found) < 3:
        start = now()
        a @ b
        found.append(2e-9 * size**3 / (now() - start))
    return max(found)


def machine(device):
    """The processor, the threads and the versions, in a line."""
    import torch
    import transformers

    name = platform.processor() or platform.machine()
    with contextlib.suppress(OSError, IndexError):
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        names = [line for line in lines if line.startswith("model name")]
        name = names[0].split(":")[1].strip()
    name = f"{name}, {torch.get_num_threads()} threads"
    if device != "cpu":
        name = f"{torch.cuda.get_device_name()}, {name}"
    return (
        f"{name}, torch {torch.__version__}, "
        f"transformers {transformers.__version__}"
    )


def memory(peak):
    """GiB, and those of the GPU."""
    if peak is None:
        return None
    return " + ".join(f"{value:.2f}" for value in peak.values())


def spread(values):
    """The median, with the lowest and the highest value."""
    return {
        "median": statistics.median(values),
        "lowest": min(values),
        "highest": max(values),
    }


def markdown(header, rows):
    """A table.

    Example
    -------
    >>> print(markdown(["a", "b"], [["x", 1.0]]))
    | a | b |
    |---|---|
    | x | 1 |
    """
    lines = [header, ["---"] * len(header), *rows]
    text = [[shown(value) for value in line] for line in lines]
    text[1] = ["---"] * len(header)
    lines = ["| " + " | ".join(line) + " |" for line in text]
    lines[1] = "|" + "---|" * len(header)
    return "\n".join(lines)


def shown(value):
    """A number with three digits, at least; nothing for None."""
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:.3g}" if abs(value) < 100 else f"{value:.0f}"
    return str(value)
