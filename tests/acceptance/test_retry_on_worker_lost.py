"""``retry_on_worker_lost``: a task whose process died is retried as ``self.retry()`` would have it."""

from __future__ import annotations

import pytest

from fastworker.exceptions import WorkerLostError
from tests.support.gate import Gate, read_lines
from tests.support.processes import kill
from tests.support.rig import PRODUCT, Rig
from tests.support.waiting import wait_until

TIMEOUT_S = 30

pytestmark = [
    pytest.mark.skipif(PRODUCT == "celery", reason="Celery has other processes"),
    pytest.mark.needs("processes"),
]


def annotated(rig: Rig, task: str, **options: object) -> Rig:
    return rig.configure(task_annotations={f"proj.{task}": options})


@pytest.mark.shows("task retry_on_worker_lost")
def test_it_is_retried_as_often_as_it_may(rig: Rig, gate: Gate) -> None:
    annotated(rig, "die", retry_on_worker_lost=True, max_retries=2, default_retry_delay=0)
    worker = rig.worker(concurrency=1)
    path = gate.path + ".deaths"
    result = rig.task("die").delay(path)
    with pytest.raises(WorkerLostError):
        result.get(timeout=TIMEOUT_S)
    assert len(read_lines(path)) == 3
    worker.wait_for_line(rf"{result.id}\] is retried: its process died", count=2)
    worker.wait_for_line(rf"{result.id}\] failed: its process died 1 time")
    assert rig.task("add").delay(1, 1).get(timeout=TIMEOUT_S) == 2
    assert len(read_lines(path)) == 3


@pytest.mark.shows("setting task_retry_on_worker_lost")
@pytest.mark.parametrize("acks_late", [True, False])
def test_its_state_is_retry_until_it_runs_again(rig: Rig, gate: Gate, acks_late: bool) -> None:
    rig.configure(
        task_retry_on_worker_lost=True,
        task_annotations={"proj.hold": {"default_retry_delay": 2, "acks_late": acks_late}},
    )
    rig.worker(concurrency=1)
    result = rig.task("hold").delay(gate.path)
    [first] = gate.wait_started(1)
    kill(first)
    wait_until(lambda: result.state == "RETRY", "the state RETRY")
    assert isinstance(result.result, WorkerLostError)
    gate.wait_started(2)
    gate.release()
    assert result.get(timeout=TIMEOUT_S) != first


def test_a_chord_waits_for_the_retry(rig: Rig, gate: Gate) -> None:
    from fastworker import chord

    annotated(rig, "hold", retry_on_worker_lost=True, default_retry_delay=0)
    rig.worker(concurrency=1)
    result = chord([rig.task("hold").si(gate.path)], rig.task("echo").s()).apply_async()
    [first] = gate.wait_started(1)
    kill(first)
    _, second = gate.wait_started(2)
    gate.release()
    assert str(second) in str(result.get(timeout=TIMEOUT_S))
