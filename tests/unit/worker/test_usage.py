"""What processes use, as the kernel tells it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from fastworker.worker.usage import cpu_by_role

# The kernel brings the account up to date when the thread leaves its core.
COMPUTES = """
import os, time
from fastworker.worker.usage import cpu_by_role
time.sleep(0.001)
before, began = cpu_by_role(os.getpid(), [], [])["supervisor"], time.process_time()
while time.process_time() < began + 0.003:
    pass
time.sleep(0.001)
print(cpu_by_role(os.getpid(), [], [])["supervisor"] - before)
"""


@pytest.mark.skipif(
    not Path("/proc/self/schedstat").exists(), reason="the kernel counts in ticks only"
)
def test_less_than_a_tick_of_processor_time_counts() -> None:
    """In a process of its own: of threads that have ended only ticks are known."""
    done = subprocess.run([sys.executable, "-c", COMPUTES], capture_output=True, check=True)
    assert 0.002 < float(done.stdout) < 0.009


def test_a_process_that_has_ended_counts_nothing() -> None:
    pid = os.posix_spawn("/bin/true", ["true"], {})
    os.waitpid(pid, 0)
    assert cpu_by_role(pid, [], []) == {"supervisor": 0.0, "zygote": 0.0, "children": 0.0}
