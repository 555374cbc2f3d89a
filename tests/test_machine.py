"""What a process does with its cores and its memory."""

import subprocess
import sys

import pytest

FAULTS = """
import resource, sys
import numpy as np
from cnnjax import machine
if sys.argv[1] == "keep":
    machine.keep_memory()
for _ in range(3):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    np.ones(100_000_000, np.uint8)
    faults = resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
print(faults)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="page faults are counted by Linux, glibc's allocator is tuned")
def test_memory_that_was_freed_is_used_again_without_faults():
    faults = {}
    for what in ("keep", "return"):
        done = subprocess.run([sys.executable, "-c", FAULTS, what], capture_output=True, text=True, check=True)
        faults[what] = int(done.stdout)
    assert faults["keep"] < faults["return"] / 20
