"""What happens to a message whose task fails, times out, loses its process or is unknown, by the task's options."""

from __future__ import annotations

import pytest

from tests.support.gate import Gate, read_lines
from tests.support.rig import PRODUCT, Rig
from tests.support.workers import command

pytestmark = pytest.mark.skipif(PRODUCT == "celery", reason="Celery has no dead letters")

TIMEOUT_S = 30


def dead(rig: Rig, *arguments: str) -> str:
    """Output of ``fastworker dead …``."""
    worker = rig.run(
        command("fastworker"),
        *("-A", "tests.support.worker_app", "dead", *arguments),
        environment=rig.spec.environment(),
    )
    assert worker.wait_ended(60) == 0
    return worker.log


@pytest.mark.shows("setting task_acks_on_failure", "task acks_on_failure")
def test_failure_that_is_not_acknowledged_is_kept_with_its_traceback(rig: Rig) -> None:
    rig.configure(task_acks_on_failure=False).worker()
    result = rig.task("fail").delay("kept")
    result.get(timeout=TIMEOUT_S, propagate=False)
    assert result.state == "FAILURE"
    shown = dead(rig, "show", result.id)
    assert "failed" in shown
    assert "Boom('kept')" in shown
    assert "Traceback (most recent call last)" in shown
    assert "Traceback" not in dead(rig, "list")
    dead(rig, "retry", result.id)


@pytest.mark.needs("time-limits")
@pytest.mark.shows("setting task_acks_on_timeout", "task acks_on_timeout")
def test_time_out_that_is_not_acknowledged_runs_again_up_to_the_bound(rig: Rig, gate: Gate) -> None:
    rig.configure(task_acks_on_timeout=False, task_max_deliveries=2, task_time_limit=1).worker()
    result = rig.task("hold").delay(gate.path)
    result.get(timeout=TIMEOUT_S, propagate=False)
    assert type(result.result).__name__ == "TimeLimitExceeded"
    assert len(gate.starts) == 2
    assert "time limit" in dead(rig, "list")


@pytest.mark.needs("processes")
@pytest.mark.shows("setting task_reject_on_worker_lost", "task reject_on_worker_lost")
def test_task_that_is_not_rejected_when_its_process_dies_fails_at_once(
    rig: Rig, gate: Gate
) -> None:
    rig.configure(task_reject_on_worker_lost=False).worker()
    path = gate.path + ".deaths"
    result = rig.task("die").delay(path)
    result.get(timeout=TIMEOUT_S, propagate=False)
    assert "Worker exited prematurely: signal 9 (SIGKILL)" in str(result.result)
    assert len(read_lines(path)) == 1
    assert result.id not in dead(rig, "list")


def test_task_that_puts_itself_back_is_not_taken_for_one_that_kills(rig: Rig, gate: Gate) -> None:
    rig.configure(task_max_deliveries=2).worker()
    path = gate.path + ".tries"
    result = rig.task("put_back").delay(path, 6)
    assert result.get(timeout=TIMEOUT_S) == 6
    assert len(read_lines(path)) == 6


@pytest.mark.shows("setting worker_unknown_tasks")
def test_unknown_task_is_thrown_away_when_told_to(rig: Rig) -> None:
    worker = rig.configure(worker_unknown_tasks="discard").worker()
    result = rig.app.send_task("proj.nobody_knows")
    result.get(timeout=TIMEOUT_S, propagate=False)
    assert result.state == "FAILURE"
    worker.wait_for_line("thrown away: unknown task")
    assert result.id not in dead(rig, "list")


def test_rejected_task_is_a_failure_and_kept(rig: Rig) -> None:
    rig.worker()
    result = rig.task("reject").delay("not today")
    result.get(timeout=TIMEOUT_S, propagate=False)
    assert result.state == "FAILURE"
    assert "not today" in dead(rig, "show", result.id)
