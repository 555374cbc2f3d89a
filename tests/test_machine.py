"""What a process does with its cores and its memory."""

import pathlib
import subprocess
import sys

import pytest

from cnnjax import machine

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


def test_the_cache_folder_may_be_written_with_a_tilde(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("HOME", "/somewhere")
    monkeypatch.setenv("CNNJAX_CACHE_DIR", "~/kept")
    assert machine.cache_folder() == pathlib.Path("/somewhere/kept")
