"""Stopping a worker: warm lets running tasks finish and gives the others back, cold does not
wait.
"""

from __future__ import annotations

import os
import signal

from tests.support.gate import Gate
from tests.support.rig import PRODUCT, Rig
from tests.support.waiting import wait_until

TIMEOUT_S = 20

# What fastworker does by default, said to Celery when these tests are checked against it.
LIKE_US = (
    {"task_acks_late": True, "task_reject_on_worker_lost": True} if PRODUCT == "celery" else {}
)


def press_ctrl_c(group: int) -> None:
    """What a terminal does: SIGINT to every process of the foreground group."""
    os.killpg(group, signal.SIGINT)


def test_idle_worker_ends_at_sigterm_and_leaves_nobody(rig: Rig) -> None:
    worker = rig.worker()
    assert worker.stop(10) == 0
    worker.wait_no_members(5)


def test_warm_shutdown_finishes_the_running_task(rig: Rig, gate: Gate) -> None:
    worker = rig.configure(**LIKE_US).worker()
    result = rig.task("hold").delay(gate.path)
    gate.wait_started()
    worker.signal(signal.SIGTERM)
    worker.wait_for_line(r"(?i)warm shutdown")
    gate.release()
    assert worker.wait_ended() == 0
    assert result.get(timeout=TIMEOUT_S)
    assert len(gate.starts) == 1


def test_warm_shutdown_returns_what_has_not_started(rig: Rig, gate: Gate) -> None:
    worker = rig.configure(**LIKE_US).worker(concurrency=1)
    held = rig.task("hold").delay(gate.path)
    gate.wait_started()
    others = [rig.task("add").delay(number, 0) for number in range(20)]
    worker.signal(signal.SIGTERM)
    worker.wait_for_line(r"(?i)warm shutdown")
    gate.release()
    assert worker.wait_ended() == 0
    assert held.ready()
    assert not any(other.ready() for other in others)
    if rig.is_redis:
        client = rig.redis()
        assert (client.llen("celery"), client.hlen("unacked")) == (20, 0)
    rig.worker()
    assert [other.get(timeout=TIMEOUT_S) for other in others] == list(range(20))


def test_first_ctrl_c_is_warm(rig: Rig, gate: Gate) -> None:
    worker = rig.configure(**LIKE_US).worker()
    result = rig.task("hold").delay(gate.path)
    gate.wait_started()
    press_ctrl_c(worker.pid)
    worker.wait_for_line(r"(?i)warm shutdown")
    gate.release()
    assert worker.wait_ended() == 0
    assert result.get(timeout=TIMEOUT_S)


def test_second_ctrl_c_is_cold_and_the_task_runs_again(rig: Rig, gate: Gate) -> None:
    worker = rig.configure(**LIKE_US).worker()
    result = rig.task("hold").delay(gate.path)
    gate.wait_started()
    press_ctrl_c(worker.pid)
    worker.wait_for_line(r"(?i)warm shutdown")
    press_ctrl_c(worker.pid)
    worker.wait_ended(10)
    worker.wait_no_members(5)
    assert not result.ready()
    rig.worker()
    gate.wait_started(2, timeout_s=60)
    gate.release()
    assert result.get(timeout=TIMEOUT_S)


def test_far_tasks_survive_a_shutdown(rig: Rig) -> None:
    worker = rig.configure(**LIKE_US).worker()
    result = rig.task("add").apply_async((1, 2), countdown=3)
    rig.task("add").delay(0, 0).get(timeout=TIMEOUT_S)
    assert worker.stop() == 0
    wait_until(lambda: worker.returncode is not None, "the end")
    rig.worker()
    assert result.get(timeout=TIMEOUT_S) == 3
