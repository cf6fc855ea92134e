"""A parent with nothing to decide uses no processor, also while messages wait."""

from __future__ import annotations

import os
import time

import pytest

from tests.support.gate import Gate
from tests.support.rig import PRODUCT, Rig

pytestmark = pytest.mark.skipif(PRODUCT == "celery", reason="about fastworker's parent")

TIMEOUT_S = 30
#: The processor time of the parent is looked at over this long, in seconds…
WINDOW_S = 1.0
#: …and must stay below this share of it; a loop that spins takes all of it.
MOST = 0.2


def cpu_s(pid: int) -> float:
    """Processor time of a process, in seconds."""
    with open(f"/proc/{pid}/stat", encoding="ascii") as stat:
        fields = stat.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def test_messages_that_no_child_can_take_do_not_keep_the_parent_busy(rig: Rig, gate: Gate) -> None:
    worker = rig.worker(concurrency=1)
    held = rig.task("hold").delay(gate.path)
    gate.wait_started()
    # Longer than the engine looks ahead: from now on it fetches nothing until the task ends.
    time.sleep(WINDOW_S / 2)
    waiting = [rig.task("add").delay(number, 1) for number in range(50)]
    before = cpu_s(worker.pid)
    time.sleep(WINDOW_S)
    used = cpu_s(worker.pid) - before
    gate.release()
    held.get(timeout=TIMEOUT_S)
    assert [one.get(timeout=TIMEOUT_S) for one in waiting] == list(range(1, 51))
    assert used < MOST * WINDOW_S
