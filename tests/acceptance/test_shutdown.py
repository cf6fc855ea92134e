"""Stopping a worker: warm lets running tasks finish and gives the others back, cold does not
wait.
"""

from __future__ import annotations

import os
import signal
from dataclasses import replace
from urllib.parse import urlsplit

import pytest

from tests.support.gate import Gate
from tests.support.proxy import Proxy
from tests.support.rig import PRODUCT, Rig
from tests.support.waiting import wait_until

TIMEOUT_S = 20

ours_only = pytest.mark.skipif(PRODUCT == "celery", reason="Celery waits for ever")

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


@pytest.mark.each_pool
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


@pytest.mark.each_pool
@ours_only
@pytest.mark.shows("setting worker_warm_shutdown_timeout")
def test_sigterm_gives_back_what_does_not_end_in_time(rig: Rig, gate: Gate) -> None:
    worker = rig.configure(worker_warm_shutdown_timeout=1).worker()
    result = rig.task("hold").delay(gate.path)
    gate.wait_started()
    worker.signal(signal.SIGTERM)
    assert worker.wait_ended(20) == 0
    worker.wait_for_line(rf"time of the shutdown is over.*{result.id}")
    worker.wait_no_members(5)
    assert not result.ready()
    rig.worker()
    gate.wait_started(2)
    gate.release()
    assert result.get(timeout=TIMEOUT_S)


@pytest.mark.shows("setting worker_soft_shutdown_timeout")
def test_soft_shutdown_lets_a_task_end_that_ends_in_time(rig: Rig, gate: Gate) -> None:
    worker = rig.configure(**LIKE_US, worker_soft_shutdown_timeout=15).worker()
    result = rig.task("hold").delay(gate.path)
    gate.wait_started()
    worker.signal(signal.SIGQUIT)
    worker.wait_for_line(r"(?i)soft shutdown")
    gate.release()
    worker.wait_ended(40)
    assert result.get(timeout=TIMEOUT_S)
    assert len(gate.starts) == 1


def test_soft_shutdown_gives_back_what_does_not_end_in_time(rig: Rig, gate: Gate) -> None:
    worker = rig.configure(**LIKE_US, worker_soft_shutdown_timeout=1).worker()
    result = rig.task("hold").delay(gate.path)
    gate.wait_started()
    worker.signal(signal.SIGQUIT)
    worker.wait_ended(20)
    worker.wait_no_members(5)
    assert not result.ready()
    rig.worker()
    gate.wait_started(2, timeout_s=60)
    gate.release()
    assert result.get(timeout=TIMEOUT_S)


@ours_only
@pytest.mark.shows("setting worker_enable_soft_shutdown_on_idle")
def test_idle_worker_takes_the_time_of_a_soft_shutdown_when_told_to(rig: Rig) -> None:
    conf = {"worker_soft_shutdown_timeout": 60, "worker_enable_soft_shutdown_on_idle": True}
    worker = rig.configure(**conf).worker()
    worker.signal(signal.SIGQUIT)
    worker.wait_for_line(r"soft shutdown")
    assert worker.returncode is None
    worker.signal(signal.SIGQUIT)
    assert worker.wait_ended(10) == 0


def test_sigterm_may_be_remapped_to_sigquit(rig: Rig, gate: Gate) -> None:
    worker = rig.configure(**LIKE_US).worker(REMAP_SIGTERM="SIGQUIT")
    rig.task("hold").delay(gate.path)
    gate.wait_started()
    worker.signal(signal.SIGTERM)
    worker.wait_for_line(r"(?i)cold shutdown")
    worker.wait_ended(20)
    worker.wait_no_members(5)


@ours_only
def test_broker_that_is_away_does_not_hold_a_shutdown_for_ever(rig: Rig, gate: Gate) -> None:
    if not rig.is_redis:
        pytest.skip("a file is never away")
    address = urlsplit(rig.spec.broker)
    with Proxy((address.hostname or "127.0.0.1", address.port or 6379)) as proxy:
        through = f"redis://127.0.0.1:{proxy.port}{address.path}"
        rig.spec = replace(rig.spec, broker=through, backend=through)
        worker = rig.configure(worker_warm_shutdown_timeout=1).worker()
        rig.task("hold").delay(gate.path)
        gate.wait_started()
        proxy.refuse()
        worker.wait_for_line("Trying again until it works")
        worker.signal(signal.SIGTERM)
        assert worker.wait_ended(30) == 1
        worker.wait_for_line("ended without it: 1 message")


def test_far_tasks_survive_a_shutdown(rig: Rig) -> None:
    worker = rig.configure(**LIKE_US).worker()
    result = rig.task("add").apply_async((1, 2), countdown=3)
    rig.task("add").delay(0, 0).get(timeout=TIMEOUT_S)
    assert worker.stop() == 0
    wait_until(lambda: worker.returncode is not None, "the end")
    rig.worker()
    assert result.get(timeout=TIMEOUT_S) == 3
