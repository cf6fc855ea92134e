"""Processes of a worker that die: replaced, and what they ran is run again, but not for ever."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import pytest

from tests.support import processes
from tests.support.gate import Gate, read_lines
from tests.support.rig import PRODUCT, Rig
from tests.support.roles import children_of, zygote_of
from tests.support.waiting import wait_until
from tests.support.workers import WorkerProcess

pytestmark = pytest.mark.skipif(PRODUCT == "celery", reason="Celery has other processes and rules")

TIMEOUT_S = 30


@pytest.mark.needs("own-process")
@pytest.mark.shows("outcome worker-lost", "task acks_late")
def test_killed_child_is_replaced_and_its_task_runs_again(rig: Rig, gate: Gate) -> None:
    worker = rig.worker(concurrency=2)
    result = rig.task("hold").delay(gate.path)
    [first] = gate.wait_started(1)
    processes.kill(first)
    first, second = gate.wait_started(2)
    assert first != second
    gate.release()
    assert result.get(timeout=TIMEOUT_S) == second
    wait_until(lambda: len(children_of(worker.pid)) == 2, "a replacement")
    assert first not in {row.pid for row in children_of(worker.pid)}


@pytest.mark.needs("processes")
@pytest.mark.shows("setting task_max_deliveries")
def test_task_that_always_kills_its_child_is_given_up(rig: Rig, gate: Gate) -> None:
    from fastworker.exceptions import WorkerLostError

    worker = rig.worker()
    path = gate.path + ".deaths"
    result = rig.task("die").delay(path)
    with pytest.raises(WorkerLostError):
        result.get(timeout=TIMEOUT_S)
    assert result.state == "FAILURE"
    assert len(set(read_lines(path))) == 3
    worker.wait_for_line(rf"{result.id}.*died 3 time")
    assert rig.task("add").delay(1, 1).get(timeout=TIMEOUT_S) == 2
    assert len(read_lines(path)) == 3


@pytest.mark.needs("processes")
def test_errback_of_a_killed_task_is_told_what_is_stored(rig: Rig, gate: Gate) -> None:
    rig.worker()
    path = gate.path + ".told"
    errback = rig.task("telling_errback").s(path=path)
    result = rig.task("die").apply_async((gate.path + ".deaths",), link_error=errback)
    error = result.get(timeout=TIMEOUT_S, propagate=False)
    wait_until(lambda: read_lines(path), "the errback")
    assert read_lines(path) == [str(error)]
    assert "exited prematurely" in str(error)


@pytest.mark.needs("processes")
@pytest.mark.shows("signal task_failure")
def test_signal_of_a_task_whose_process_died_says_what_is_stored(rig: Rig, gate: Gate) -> None:
    path = gate.path + ".failures"
    rig.configure(task_max_deliveries=2).worker(TEST_FAILURE_SIGNAL=path)
    result = rig.task("die").delay(gate.path + ".deaths")
    stored = result.get(timeout=TIMEOUT_S, propagate=False)
    assert str(stored).endswith(f"Job: {result.id}. It died 2 times of it.")
    wait_until(lambda: read_lines(path) == [f"{result.id} {stored!r}"], "the signal")


@pytest.mark.needs("processes")
@pytest.mark.parametrize("task", ["die", "hard_limited"])
def test_errback_that_its_worker_did_not_survive_is_called_by_another(
    rig: Rig, gate: Gate, task: str
) -> None:
    rig.configure(worker_lease_life=3, task_max_deliveries=1)
    worker = rig.worker()
    errback = rig.task("holding_errback").s(path=gate.path)
    arguments = {"die": (gate.path + ".deaths",), "hard_limited": ()}[task]
    result = rig.task(task).apply_async(arguments, link_error=errback)
    assert gate.wait_started(1) == [worker.pid]
    assert result.state == "PENDING"
    worker.kill_node()
    other = rig.worker()
    assert gate.wait_started(2, timeout_s=TIMEOUT_S)[1] == other.pid
    gate.release()
    with pytest.raises(Exception, match=r"exited prematurely|TimeLimitExceeded"):
        result.get(timeout=TIMEOUT_S)
    assert result.state == "FAILURE"
    assert other.stop() == 0
    assert len(gate.starts) == 2


@pytest.mark.needs("processes")
def test_slow_errback_is_let_finish_by_a_shutdown(rig: Rig, gate: Gate) -> None:
    worker = rig.worker()
    errback = rig.task("holding_errback").s(path=gate.path)
    result = rig.task("die").apply_async((gate.path + ".deaths",), link_error=errback)
    # Three processes die before, and each one after them imports the pool's libraries.
    gate.wait_started(timeout_s=TIMEOUT_S)
    worker.signal(signal.SIGTERM)
    gate.release()
    assert worker.wait_ended() == 0
    assert result.state == "FAILURE"


@pytest.mark.each_pool
@pytest.mark.needs("processes")
def test_poison_task_does_not_take_its_neighbours_along(rig: Rig, gate: Gate) -> None:
    rig.worker(concurrency=1)
    path = gate.path + ".deaths"
    before = [rig.task("add").delay(number, 0) for number in range(50)]
    poison = rig.task("die").delay(path)
    after = [rig.task("add").delay(number, 0) for number in range(50)]
    for results in (before, after):
        assert [result.get(timeout=TIMEOUT_S) for result in results] == list(range(50))
    poison.get(timeout=TIMEOUT_S, propagate=False)
    assert poison.state == "FAILURE"
    assert len(read_lines(path)) == 3


@pytest.mark.needs("processes")
def test_killed_zygote_is_replaced(rig: Rig, gate: Gate) -> None:
    worker = rig.worker(concurrency=1)
    first = zygote_of(worker.pid)
    assert first is not None
    processes.kill(first.pid)
    assert rig.task("add").delay(1, 1).get(timeout=TIMEOUT_S) == 2
    result = rig.task("hold").delay(gate.path)
    [child] = gate.wait_started(1)
    processes.kill(child)
    gate.wait_started(2)
    gate.release()
    assert result.get(timeout=TIMEOUT_S) != child
    second = zygote_of(worker.pid)
    assert second is not None
    assert second.pid != first.pid


def test_killed_supervisor_leaves_no_process_behind(rig: Rig) -> None:
    worker = rig.worker()
    worker.kill()
    worker.wait_no_members(10)


def working(worker: WorkerProcess) -> list[processes.Process]:
    """Processes of the node that are no zygotes started as programs."""
    return [row for row in worker.members() if "fastworker.worker.zygote" not in row.title]


@pytest.mark.needs("processes")
@pytest.mark.parametrize("to_zygote", [signal.SIGKILL, signal.SIGSTOP])
def test_nothing_outlives_a_supervisor_whose_zygote_cannot_help(
    rig: Rig, gate: Gate, to_zygote: signal.Signals
) -> None:
    """What runs is C code that never looks, and a process that the task forked: the kernel has to end them. The task
    is delivered again once.
    """
    rig.configure(worker_lease_life=3)
    worker = rig.worker(concurrency=1)
    rig.task("hold_in_c").delay(gate.path, forks=True)
    gate.wait_started(2)
    zygote = zygote_of(worker.pid)
    assert zygote is not None
    processes.kill(zygote.pid, to_zygote)
    if to_zygote == signal.SIGKILL:
        wait_until(lambda: zygote_of(worker.pid) not in (None, zygote), "another zygote")
    worker.kill()
    wait_until(lambda: not working(worker), "what worked to end", 1)
    # The other zygote may be a program that has just been started, and looks once it has imported what it needs.
    worker.wait_no_members(15)
    successor = rig.worker(concurrency=2)
    gate.wait_started(4, timeout_s=TIMEOUT_S)
    assert rig.task("add").delay(1, 1).get(timeout=TIMEOUT_S) == 2
    assert len(gate.starts) == 4
    successor.kill_node()


def test_process_of_a_task_that_lets_go_of_its_files_lives_on(rig: Rig, gate: Gate) -> None:
    worker = rig.worker(concurrency=1)
    rig.task("start_daemon").delay(gate.path).get(timeout=TIMEOUT_S)
    [daemon] = gate.wait_started()
    assert worker.stop() == 0
    gate.release()
    wait_until(lambda: read_lines(gate.path + ".ends") == [str(daemon)], "the daemon's end")


@pytest.mark.each_pool
@pytest.mark.shows("setting worker_lease_life")
def test_successor_of_a_killed_supervisor_runs_its_tasks(rig: Rig, gate: Gate) -> None:
    rig.configure(worker_lease_life=3)
    worker = rig.worker(concurrency=1)
    held = rig.task("hold").delay(gate.path)
    others = [rig.task("add").delay(number, 0) for number in range(10)]
    gate.wait_started()
    worker.kill()
    worker.wait_no_members(10)
    gate.release(10)
    rig.worker()
    assert held.get(timeout=TIMEOUT_S)
    assert [other.get(timeout=TIMEOUT_S) for other in others] == list(range(10))


def test_frozen_worker_is_taken_over_and_does_not_settle_late(rig: Rig, gate: Gate) -> None:
    """A stopped node (SIGSTOP, a paused machine) loses its leases; when it wakes, others own
    them.
    """
    rig.configure(worker_lease_life=3)
    frozen = rig.worker("-n", "frozen@x", concurrency=1)
    held = rig.task("hold").delay(gate.path)
    gate.wait_started()
    members = frozen.members()
    for member in members:
        processes.kill(member.pid, signal.SIGSTOP)
    try:
        rig.worker("-n", "other@x", concurrency=1)
        gate.wait_started(2, timeout_s=TIMEOUT_S)
    finally:
        for member in members:
            processes.kill(member.pid, signal.SIGCONT)
    gate.release(2)
    assert held.get(timeout=TIMEOUT_S)
    assert rig.task("add").delay(1, 1).get(timeout=TIMEOUT_S) == 2


@pytest.mark.needs("fork")
def test_child_whose_zygote_dies_before_naming_it_is_given_nothing(
    rig: Rig, gate: Gate, tmp_path: Path
) -> None:
    """Nobody knows which process it is: it could not be watched, and would run its task beside the redelivery."""
    once = tmp_path / "once"
    once.touch()
    result = rig.task("hold").delay(gate.path)
    dies = json.dumps([str(once), gate.path + ".starts"])
    worker = rig.worker(concurrency=1, TEST_ZYGOTE_DIES=dies)
    worker.wait_for_line("zygote process died")
    gate.release(2)
    assert result.get(timeout=TIMEOUT_S) == gate.starts[0]
    assert len(gate.starts) == 1


def test_frozen_worker_starts_nothing_that_others_have(rig: Rig, gate: Gate) -> None:
    """It learns of its loss before the time of what it holds has come."""
    rig.configure(worker_lease_life=3, worker_eta_horizon=60)
    frozen = rig.worker("-n", "frozen@x", concurrency=1)
    path = gate.path + ".lines"
    later = rig.task("record").apply_async((path, "line"), countdown=12)
    wait_until(lambda: later.id in rig.scheduled("frozen@x"), "it to be held")
    members = frozen.members()
    for member in members:
        processes.kill(member.pid, signal.SIGSTOP)
    try:
        rig.worker("-n", "other@x", concurrency=1)
        wait_until(lambda: later.id in rig.scheduled("other@x"), "the other to hold it")
    finally:
        for member in members:
            processes.kill(member.pid, signal.SIGCONT)
    frozen.wait_for_line("starting nothing more")
    frozen.wait_for_line(rf"the lease of task proj\.record\[{later.id}\] was lost")
    frozen.wait_for_line("the leases are refreshed again")
    later.get(timeout=TIMEOUT_S)
    assert read_lines(path) == ["line"]


@pytest.mark.needs("processes")
def test_shutdown_ends_while_the_zygote_is_replaced(rig: Rig) -> None:
    worker = rig.worker(concurrency=2)
    first = zygote_of(worker.pid)
    assert first is not None
    processes.kill(first.pid)
    worker.wait_for_line("zygote process died")
    assert worker.stop(10) == 0
    worker.wait_no_members(5)


@pytest.mark.needs("processes")
def test_shutdown_ends_while_a_child_is_replaced(rig: Rig) -> None:
    worker = rig.worker(concurrency=2)
    processes.kill(children_of(worker.pid)[0].pid)
    assert worker.stop(10) == 0
    worker.wait_no_members(5)


@pytest.mark.needs("processes")
def test_zygote_and_children_killed_at_once_are_replaced(rig: Rig) -> None:
    worker = rig.worker(concurrency=2)
    for member in processes.below(worker.pid):
        processes.kill(member.pid)
    assert rig.task("add").delay(1, 1).get(timeout=TIMEOUT_S) == 2
    assert worker.stop(10) == 0
