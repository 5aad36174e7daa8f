"""Test of the reuse of freed memory.

Authors
 * The miipher2 authors 2026
"""

import platform
import subprocess
import sys

import pytest

FAULTS = """
import resource
import sys

from miipher2.inference.freed_memory import keep_freed_memory
import torch

if sys.argv[1] == "keep":
    keep_freed_memory()
for step in range(12):
    if step == 6:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for size in (5e6, 2e7):
        torch.ones(int(size)).add_(1)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="no glibc")
def test_freed_memory_is_reused():
    faults = {
        how: int(
            subprocess.run(
                [sys.executable, "-c", FAULTS, how],
                check=True,
                capture_output=True,
                text=True,
            ).stdout
        )
        for how in ("keep", "return")
    }
    assert faults["keep"] < faults["return"] / 10
