"""Children that do not answer, how a child's end is named, and that no dead process is left lying about."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from tests.support import processes
from tests.support.gate import Gate, read_lines
from tests.support.rig import PRODUCT, Rig
from tests.support.roles import children_of, zygote_of
from tests.support.waiting import wait_until

pytestmark = pytest.mark.skipif(PRODUCT == "celery", reason="Celery has other processes and words")

TIMEOUT_S = 30


def state_of(pid: int) -> str | None:
    """A process's state letter (``Z``: dead and unburied); None when it is gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return None


@pytest.mark.shows("setting worker_stacks_after")
def test_stacks_of_a_task_that_runs_for_long_are_logged_with_its_name(rig: Rig, gate: Gate) -> None:
    worker = rig.configure(worker_stacks_after=1).worker()
    result = rig.task("hold").delay(gate.path)
    worker.wait_for_line(rf"task proj\.hold\[{result.id}\] has been running for", TIMEOUT_S)
    worker.wait_for_line(r"gate\.py.*in hold", TIMEOUT_S)
    gate.release()
    assert result.get(timeout=TIMEOUT_S)


def test_stacks_are_logged_before_a_hard_time_limit_kills(rig: Rig, gate: Gate) -> None:
    worker = rig.worker("--time-limit", "1")
    result = rig.task("hold").delay(gate.path)
    result.get(timeout=TIMEOUT_S, propagate=False)
    worker.wait_for_line(rf"Hard time limit \(1s\) exceeded for proj\.hold\[{result.id}\]")
    worker.wait_for_line(r"gate\.py.*in hold", TIMEOUT_S)


def test_death_of_a_child_is_named_with_what_it_ran(rig: Rig, gate: Gate) -> None:
    worker = rig.configure(task_max_deliveries=1).worker()
    result = rig.task("hold").delay(gate.path)
    [pid] = gate.wait_started()
    processes.kill(pid, signal.SIGSEGV)
    worker.wait_for_line(
        rf"child process {pid} ended prematurely while it ran task proj\.hold\[{result.id}\]: "
        r"signal 11 \(SIGSEGV\)"
    )
    result.get(timeout=TIMEOUT_S, propagate=False)
    assert f"Worker exited prematurely: signal 11 (SIGSEGV) Job: {result.id}." in str(result.result)


@pytest.mark.shows("setting worker_proc_alive_timeout")
def test_child_that_does_not_get_ready_is_killed_and_replaced(rig: Rig, tmp_path: Path) -> None:
    once = tmp_path / "once"
    once.touch()
    rig.configure(worker_proc_alive_timeout=2)
    worker = rig.worker(concurrency=1, TEST_STUCK_ONCE=str(once))
    worker.wait_for_line(r"is not ready 2\.0 s after its start.*killing it")
    worker.wait_for_line(r"in _stick_once", TIMEOUT_S)
    assert rig.task("add").delay(1, 1).get(timeout=TIMEOUT_S) == 2


def test_zygote_that_does_not_fork_is_killed_and_replaced(sqlite_rig: Rig) -> None:
    worker = sqlite_rig.worker(concurrency=1)
    [child], zygote = children_of(worker.pid), zygote_of(worker.pid)
    assert zygote is not None
    processes.kill(zygote.pid, signal.SIGSTOP)
    processes.kill(child.pid)
    result = sqlite_rig.task("add").delay(1, 1)
    worker.wait_for_line(r"the zygote process has not forked a child for 10 s: killing it")
    assert result.get(timeout=TIMEOUT_S) == 2
    assert zygote_of(worker.pid) not in (None, zygote)
    assert [state_of(pid) for pid in (child.pid, zygote.pid)] == [None, None], "buried"


def test_orphans_of_what_a_task_started_are_buried(rig: Rig, gate: Gate) -> None:
    rig.worker(concurrency=1)
    path = gate.path + ".orphan"
    rig.task("leave_orphan").delay(path).get(timeout=TIMEOUT_S)
    wait_until(lambda: len(read_lines(path)) == 1, "the orphan's pid")
    orphan = int(read_lines(path)[0])
    wait_until(lambda: state_of(orphan) is None, "the orphan to be buried")
