"""``--pool solo``: tasks in the worker's own main thread."""

from __future__ import annotations

import os
import pty
import re
import select
import signal
import subprocess
import sys
import time

import pytest

from fastworker.exceptions import WorkerLostError
from tests.support.gate import Gate
from tests.support.rig import PRODUCT, Rig
from tests.support.workers import ROOT, WorkerProcess, command

TIMEOUT_S = 20

pytestmark = [
    pytest.mark.skipif(PRODUCT == "celery", reason="Celery keeps no promises in its solo pool"),
    pytest.mark.shows("setting worker_pool"),
]


def solo(rig: Rig, *options: str) -> WorkerProcess:
    return rig.worker("--pool", "solo", *options, concurrency=1)


def test_task_runs_in_the_main_thread_of_the_only_process(rig: Rig) -> None:
    worker = solo(rig)
    assert rig.task("where").delay().get(timeout=TIMEOUT_S) == [worker.pid, True]
    assert [process.pid for process in worker.members()] == [worker.pid]


def test_endings_are_those_of_every_pool(rig: Rig) -> None:
    solo(rig)
    failed = rig.task("fail").delay("no")
    retried = rig.task("flaky").delay(2)
    links = rig.task("parent").delay()
    assert "no" in str(failed.get(timeout=TIMEOUT_S, propagate=False))
    assert failed.state == "FAILURE"
    assert retried.get(timeout=TIMEOUT_S) == 2
    assert len(links.get(timeout=TIMEOUT_S)) > 0


def test_task_that_exits_leaves_the_worker_at_work(rig: Rig) -> None:
    solo(rig.configure(task_max_deliveries=2))
    left = rig.task("leave").delay()
    with pytest.raises(WorkerLostError):
        left.get(timeout=TIMEOUT_S)
    assert rig.task("add").delay(1, 2).get(timeout=TIMEOUT_S) == 3


def test_lease_is_kept_alive_while_the_main_thread_is_busy(rig: Rig, gate: Gate) -> None:
    rig.configure(worker_lease_life=1)
    solo(rig)
    result = rig.task("hold").delay(gate.path)
    [first] = gate.wait_started()
    other = rig.worker(concurrency=1)
    # Two lives of a lease, in which the other worker would have taken it over.
    ends_at = time.monotonic() + 2.5
    while time.monotonic() < ends_at:
        assert rig.task("add").delay(1, 1).get(timeout=TIMEOUT_S) == 2
    assert gate.starts == [first] != [other.pid]
    gate.release()
    assert result.get(timeout=TIMEOUT_S)


def test_warm_shutdown_finishes_the_running_task(rig: Rig, gate: Gate) -> None:
    worker = solo(rig)
    result = rig.task("hold").delay(gate.path)
    gate.wait_started()
    worker.signal(signal.SIGTERM)
    worker.wait_for_line("warm shutdown")
    gate.release()
    assert worker.wait_ended() == 0
    assert result.get(timeout=TIMEOUT_S)


@pytest.mark.parametrize("how", [[signal.SIGQUIT], [signal.SIGINT, signal.SIGINT]])
def test_cold_shutdown_interrupts_and_the_task_is_delivered_again(
    rig: Rig, gate: Gate, how: list[int]
) -> None:
    worker = solo(rig)
    result = rig.task("hold").delay(gate.path)
    gate.wait_started()
    for number in how:
        worker.signal(number)
        worker.wait_for_line(rf"{signal.Signals(number).name}: (cold|warm) shutdown")
    worker.wait_for_line("the running task was interrupted")
    assert worker.wait_ended() == 0
    assert not result.ready()
    solo(rig)
    gate.wait_started(2)
    gate.release()
    assert result.get(timeout=TIMEOUT_S)


def test_task_beyond_the_time_of_a_warm_shutdown_is_interrupted(rig: Rig, gate: Gate) -> None:
    worker = solo(rig.configure(worker_warm_shutdown_timeout=1))
    result = rig.task("hold").delay(gate.path)
    gate.wait_started()
    worker.signal(signal.SIGTERM)
    assert worker.wait_ended() == 0
    assert "the running task was interrupted" in worker.log
    assert not result.ready()


def test_process_exits_without_a_task_that_cannot_be_interrupted(rig: Rig, gate: Gate) -> None:
    worker = solo(rig)
    result = rig.task("stubborn").delay(gate.path)
    gate.wait_started()
    worker.signal(signal.SIGQUIT)
    assert worker.wait_ended() == 1
    assert "cannot be interrupted: the process exits without it" in worker.log
    assert not result.ready()
    gate.release(2)
    solo(rig)
    assert result.get(timeout=TIMEOUT_S) is None


def test_breakpoint_talks_to_the_terminal(sqlite_rig: Rig) -> None:
    rig = sqlite_rig
    ours, theirs = pty.openpty()
    worker = subprocess.Popen(
        [command("fastworker"), "-A", "tests.support.worker_app", "worker", "--pool", "solo"],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        cwd=ROOT,
        env={**os.environ, **rig.spec.environment(), "PYTHONPATH": str(ROOT), "NO_COLOR": "1"},
        start_new_session=True,
    )
    os.close(theirs)
    try:
        read_until(ours, r"ready\.")
        result = rig.task("debug").delay(7)
        read_until(ours, r"\(Pdb\) ")
        os.write(ours, b"value = value * 6\n")
        read_until(ours, r"\(Pdb\) ")
        os.write(ours, b"continue\n")
        assert result.get(timeout=TIMEOUT_S) == 42
    finally:
        worker.terminate()
        worker.wait(TIMEOUT_S)
        os.close(ours)


def read_until(terminal: int, pattern: str) -> None:
    """Read what a terminal shows until it matches."""
    seen = ""
    while re.search(pattern, seen) is None:
        ready, _, _ = select.select([terminal], [], [], TIMEOUT_S)
        assert ready, f"no {pattern!r} on the terminal; there was:\n{seen}"
        seen += os.read(terminal, 65536).decode(errors="replace")


@pytest.mark.parametrize(
    ("option", "said"),
    [
        (["--autoscale", "4,1"], "--autoscale: the pool solo cannot grow"),
        (["--concurrency", "3"], "--concurrency has no effect with the pool solo"),
    ],
)
def test_options_of_other_pools_are_answered(sqlite_rig: Rig, option: list[str], said: str) -> None:
    worker = sqlite_rig.run(
        *(sys.executable, "-m", "fastworker", "-A", "tests.support.worker_app", "worker"),
        *("--pool", "solo", *option),
        environment=sqlite_rig.spec.environment(),
    )
    worker.wait_for_line(re.escape(said))
