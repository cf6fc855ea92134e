"""Tasks with a far eta wait in the broker, where they are listed, made due and cancelled."""

from __future__ import annotations

import json
import threading
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from fastworker.errors import ImproperlyConfigured, TaskRevokedError
from tests.support.gate import read_lines
from tests.support.rig import PRODUCT, Rig
from tests.support.waiting import wait_until
from tests.support.workers import command

TIMEOUT_S = 30
HOUR = 3600

pytestmark = pytest.mark.skipif(PRODUCT == "celery", reason="Celery's workers hold such tasks")


def parked(rig: Rig, count: int) -> None:
    """Wait until so many messages are parked."""
    wait_until(lambda: rig.app.parked.count() == count, f"{count} parked messages")


def run_next(rig: Rig) -> None:
    """Whatever was in front of it has been decided once this task has run."""
    assert rig.task("add").delay(1, 1).get(timeout=TIMEOUT_S) == 2


def cli(rig: Rig, *arguments: str) -> tuple[int, str]:
    """``fastworker parked …``: its status and what it printed."""
    process = rig.run(
        command("fastworker"),
        *("-A", "tests.support.worker_app", "parked", *arguments),
        environment=rig.spec.environment(),
    )
    return process.wait_ended(), process.log


@pytest.mark.shows("setting worker_eta_horizon")
def test_parked_tasks_are_listed(rig: Rig) -> None:
    rig.worker("-Q", "celery,other")
    before = datetime.now(timezone.utc)
    add, echo = rig.task("add"), rig.task("echo")
    later = add.apply_async((1, 2), countdown=2 * HOUR)
    sooner = echo.apply_async(("x",), countdown=HOUR, queue="other", priority=3)
    parked(rig, 2)
    first, second = rig.app.parked
    assert (first.id, first.task, first.queue) == (sooner.id, "proj.echo", "other")
    assert (first.priority, second.priority) == (3, 0)
    assert (second.id, second.task, second.queue) == (later.id, "proj.add", "celery")
    assert timedelta(seconds=HOUR) < first.eta - before < timedelta(seconds=HOUR + TIMEOUT_S)
    assert rig.app.parked.get(later.id, "nobody") == [second]
    assert list(rig.app.parked.tasks(queue="celery")) == [second]
    assert list(rig.app.parked.tasks(task="*.echo")) == [first]
    assert list(rig.app.parked.tasks(after=first.cursor)) == [second]
    with pytest.raises(ImproperlyConfigured, match="cursor"):
        next(rig.app.parked.tasks(after="?"))
    assert later.state == "PENDING"

    status, out = cli(rig, "list", "--json", "--task", "proj.e*")
    assert (status, [json.loads(line)["id"] for line in out.splitlines()]) == (0, [sooner.id])
    assert json.loads(out)["eta"] == first.eta.isoformat()
    status, out = cli(rig, "list", "--limit", "1")
    line, more = out.splitlines()
    assert (status, line.split()[0], line.split()[-1]) == (0, sooner.id, "3")
    status, out = cli(rig, "list", "--after", more.split()[-1])
    assert (status, [line.split()[0] for line in out.splitlines()]) == (0, [later.id])


def test_more_than_a_page_is_walked(rig: Rig) -> None:
    rig.worker("--prefetch-multiplier", "100", concurrency=1)
    ids = {
        result.id
        for result in rig.task("add").starmap_async([(n, n) for n in range(1200)], countdown=HOUR)
    }
    parked(rig, 1200)
    assert {task.id for task in rig.app.parked} == ids
    assert rig.app.parked.cancel(task="proj.add") == 1200
    assert list(rig.app.parked) == []


def test_released_task_runs_now(rig: Rig, tmp_path: Path) -> None:
    path = str(tmp_path / "effect")
    rig.worker()
    record = rig.task("record")
    first = record.apply_async((path, "first"), countdown=HOUR)
    second = record.apply_async((path, "second"), countdown=HOUR)
    rest = record.apply_async((path, "rest"), countdown=HOUR)
    parked(rig, 3)
    assert rig.app.parked.release(first.id, "nobody") == 1
    first.get(timeout=TIMEOUT_S)
    status, out = cli(rig, "release", second.id)
    assert (status, out) == (0, "Released 1 parked task.\n")
    second.get(timeout=TIMEOUT_S)
    assert cli(rig, "release", "--task", "proj.r*", "--queue", "celery")[0] == 0
    rest.get(timeout=TIMEOUT_S)
    assert read_lines(path) == ["first", "second", "rest"]
    status, out = cli(rig, "release", first.id)
    assert (status, "1 of 1 ids were not parked" in out) == (1, True)


def test_cancelled_task_is_revoked_and_does_not_run(rig: Rig, tmp_path: Path) -> None:
    path = str(tmp_path / "effect")
    rig.worker()
    record = rig.task("record")
    results = [record.apply_async((path, str(n)), countdown=HOUR) for n in range(4)]
    parked(rig, 4)
    assert rig.app.parked.cancel(results[0].id) == 1
    assert rig.app.parked.cancel(results[0].id) == 0
    status, out = cli(rig, "cancel", results[1].id)
    assert (status, out) == (0, "Cancelled 1 parked task.\n")
    status, out = cli(rig, "cancel", "--queue", "celery", "--yes")
    assert (status, out) == (0, "Cancelled 2 parked tasks.\n")
    for result in results:
        with pytest.raises(TaskRevokedError):
            result.get(timeout=TIMEOUT_S)
        assert result.state == "REVOKED"
    rig.app.publishing.publisher.unpark()
    run_next(rig)
    assert read_lines(path) == []


def test_a_choice_is_asked_for(rig: Rig) -> None:
    for arguments in ([], ["id", "--all"], ["id", "--queue", "celery"]):
        status, out = cli(rig, "cancel", *arguments)
        assert (status, "say which" in out) == (2, True)
    with pytest.raises(TypeError, match="not by both"):
        rig.app.parked.release("id", queue="celery")
    # Nobody answers the question.
    assert cli(rig, "cancel", "--all")[0] == 130


def test_revoke_holds_for_parked_tasks_after_it_is_forgotten(
    rig: Rig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = str(tmp_path / "effect")
    monkeypatch.setenv("CELERY_WORKER_REVOKE_EXPIRES", "0.5")
    worker = rig.worker()
    record = rig.task("record")
    result = record.apply_async((path, "revoked"), countdown=HOUR)
    with_worker = record.apply_async((path, "revoked too"), countdown=HOUR)
    parked(rig, 2)
    with_worker.revoke()
    assert rig.app.parked.get(with_worker.id) == []
    worker.stop()
    result.revoke()
    assert rig.app.parked.count() == 0
    for each in (result, with_worker):
        with pytest.raises(TaskRevokedError):
            each.get(timeout=TIMEOUT_S)
    rig.worker()
    wait_until(lambda: not any(rig.app.control.inspect().revoked().values()), "it to be forgotten")
    rig.app.publishing.publisher.unpark()
    run_next(rig)
    assert read_lines(path) == []


def test_task_that_ignores_its_result_gets_none(rig: Rig) -> None:
    rig.worker()
    result = rig.task("add").apply_async((1, 2), countdown=HOUR, ignore_result=True)
    parked(rig, 1)
    assert rig.app.parked.cancel(result.id) == 1
    assert rig.app.AsyncResult(result.id).state == "PENDING"


def test_everyone_acts_at_once_and_each_message_goes_one_way(rig: Rig, tmp_path: Path) -> None:
    path = str(tmp_path / "effect")
    worker = rig.worker("--prefetch-multiplier", "100", concurrency=1)
    results = list(
        rig.task("record").starmap_async([(path, str(n)) for n in range(300)], countdown=HOUR)
    )
    parked(rig, 300)
    done: dict[str, int] = {}

    def act(name: str, action: Any) -> None:
        done[name] = action()

    app = rig.app
    threads = [
        threading.Thread(target=act, args=(name, action))
        for name, action in (
            ("cancelled", lambda: sum(app.parked.cancel(r.id) for r in results)),
            ("cancelled too", lambda: sum(app.parked.cancel(r.id) for r in reversed(results))),
            ("released", lambda: sum(app.parked.release(r.id) for r in results[100:200])),
            ("revoked", lambda: len([app.control.revoke(r.id) for r in results[250:]])),
        )
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    parked(rig, 0)
    ran = 0
    for result in results:
        try:
            result.get(timeout=TIMEOUT_S)
            ran += 1
        except TaskRevokedError:
            pass
    run_next(rig)
    assert worker.stop() == 0
    assert len(read_lines(path)) == len(set(read_lines(path))) == ran
    assert ran == done["released"]
    assert done["cancelled"] + done["cancelled too"] + ran <= 300


def test_purge_leaves_what_is_parked_unless_told(rig: Rig) -> None:
    worker = rig.worker("-Q", "celery,other")
    far = [rig.task("add").apply_async((1, 2), countdown=HOUR) for _ in range(2)]
    kept = rig.task("add").apply_async((1, 2), countdown=HOUR, queue="other")
    parked(rig, 3)
    assert worker.stop() == 0
    rig.task("add").delay(1, 1)
    said = []
    for more in ((), ("--parked",)):
        process = rig.run(
            command("fastworker"),
            *("-A", "tests.support.worker_app", "purge", "-f", "-Q", "celery", *more),
            environment=rig.spec.environment(),
        )
        assert process.wait_ended() == 0
        said.append(process.log.strip().splitlines())
        assert rig.app.parked.count() == (1 if more else 3)
    assert said == [
        ["Removed 1 message from celery."],
        ["Removed 0 messages from celery.", "Cancelled 2 parked tasks."],
    ]
    with pytest.raises(TaskRevokedError):
        far[0].get(timeout=TIMEOUT_S)
    assert [task.id for task in rig.app.parked] == [kept.id]
