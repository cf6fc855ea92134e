"""Tasks that fork: the worker's link belongs to the process that the worker started, and to no other."""

from __future__ import annotations

import signal

import pytest

from tests.support.gate import Gate, read_lines
from tests.support.rig import PRODUCT, Rig
from tests.support.waiting import wait_until

pytestmark = pytest.mark.skipif(PRODUCT == "celery", reason="Celery's pool has other rules")

TIMEOUT_S = 30


def test_forked_process_that_leaves_its_task_does_not_report_for_it(rig: Rig) -> None:
    rig.worker(concurrency=1)
    first, second = (rig.task("fork_and_return").delay().get(timeout=TIMEOUT_S) for _ in range(2))
    assert first == second, "the child lived through it"


def test_process_that_a_task_starts_can_be_terminated(rig: Rig) -> None:
    rig.worker(concurrency=1)
    code = rig.task("terminate_process").delay().get(timeout=TIMEOUT_S)
    assert code == -signal.SIGTERM


def test_process_that_a_task_starts_can_publish(rig: Rig, gate: Gate) -> None:
    rig.worker(concurrency=2)
    path = gate.path + ".lines"
    assert rig.task("publish_from_process").delay(path).get(timeout=TIMEOUT_S) == 0
    wait_until(lambda: read_lines(path) == ["forked"], "what the forked process published")
