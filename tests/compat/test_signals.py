"""Every signal, under the real Celery and under ours: the same names, the same arguments, the same kind of process."""

from __future__ import annotations

import contextlib
import json
import uuid
from pathlib import Path
from typing import Any

import pytest

from fastworker._core import write_envelope
from tests.support.apps import AppSpec
from tests.support.gate import Gate, read_lines
from tests.support.rig import Rig
from tests.support.waiting import wait_until
from tests.support.workers import command

FILE_VARIABLE = "TEST_SIGNALS"

#: ``(signal, names of its arguments, role of the process)``
Seen = tuple[str, tuple[str, ...], str]

#: What Celery sends and fastworker does not, and why.
NOT_YET = {"heartbeat_sent": "no events yet"}
#: In another process than Celery's, and why.
ELSEWHERE = {
    "worker_before_create_process": "the zygote forks the children, so it is told",
}


def run_everything(spec: AppSpec, directory: Path) -> set[Seen]:
    """Start a worker, give it a task of every fate, stop it; what its processes were told."""
    told = str(directory / f"{spec.framework}.signals")
    with contextlib.ExitStack() as stack:
        rig = Rig(spec, directory, stack)
        worker = rig.run(
            command(spec.framework),
            *("-A", "tests.support.signal_app", "worker", "--loglevel", "INFO", "-c", "1"),
            environment={**spec.environment(), FILE_VARIABLE: told},
        ).wait_ready()
        gate = stack.enter_context(Gate(directory, f"gate-{spec.framework}"))
        rig.task("add").delay(1, 2).get(timeout=30)
        rig.task("fail").delay("x").get(timeout=30, propagate=False)
        rig.task("flaky").delay(1).get(timeout=30)
        rig.task("add").apply_async((1, 2), expires=-1)
        rig.app.send_task("no.such", reply_to="nobody")
        send_what_is_no_task(rig)
        # An errback that cannot be rebuilt: what goes wrong around the task's own code.
        broken = {"task": "x", "subtask_type": "no such", "args": (), "kwargs": {}, "options": {}}
        rig.task("fail").apply_async(("x",), link_error=[broken])
        rig.task("hold").apply_async((gate.path,), time_limit=1).get(timeout=60, propagate=False)
        wanted = {"task_revoked", "task_unknown", "task_rejected", "task_internal_error"}
        wait_until(
            lambda: (
                wanted <= {line["signal"] for line in lines(told)}
                and sum(line["signal"] == "task_failure" for line in lines(told)) >= 2
            ),
            "all signals of tasks",
            30,
        )
        worker.stop()
    return {
        (line["signal"], tuple(line["keys"]), "parent" if line["pid"] == worker.pid else "child")
        for line in lines(told)
    }


def send_what_is_no_task(rig: Rig) -> None:
    """A message that is well-formed, and no task's."""
    message = write_envelope(
        headers=b"{}",
        correlation_id=str(uuid.uuid4()),
        reply_to="",
        priority=0,
        queue="celery",
        expiration_ms=None,
        content_type="application/json",
        content_encoding="utf-8",
        body=b'{"not": "a task"}',
    )
    if rig.is_redis:
        rig.redis().lpush("celery", message)
    else:
        rig.app.publishing.publisher.publish([("celery", 0, message)])


def lines(path: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in read_lines(path)]


@pytest.fixture(scope="module")
def told_by_celery(redis_database: str, tmp_path_factory: pytest.TempPathFactory) -> set[Seen]:
    import redis

    with redis.Redis.from_url(redis_database) as client:
        client.flushdb()
    spec = AppSpec("celery", redis_database, redis_database)
    return run_everything(spec, tmp_path_factory.mktemp("celery"))


@pytest.mark.shows(
    "signal task_received",
    "signal task_internal_error",
    "signal task_prerun",
    "signal task_postrun",
    "signal task_success",
    "signal task_retry",
    "signal task_failure",
    "signal task_revoked",
    "signal task_rejected",
    "signal task_unknown",
    "signal celeryd_init",
    "signal celeryd_after_setup",
    "signal import_modules",
    "signal worker_init",
    "signal worker_before_create_process",
    "signal worker_process_init",
    "signal worker_process_shutdown",
    "signal worker_ready",
    "signal worker_shutting_down",
    "signal worker_shutdown",
    "signal after_setup_logger",
    "signal after_setup_task_logger",
    "handler on_failure",
)
def test_every_signal_is_sent_as_celery_sends_it(
    broker_url: str, told_by_celery: set[Seen], tmp_path: Path
) -> None:
    ours = run_everything(AppSpec("fastworker", broker_url, broker_url), tmp_path)
    theirs = {seen for seen in told_by_celery if seen[0] not in NOT_YET}
    assert comparable(ours) == comparable(theirs)


def comparable(told: set[Seen]) -> set[Seen]:
    return {(name, keys, "" if name in ELSEWHERE else role) for name, keys, role in told}
