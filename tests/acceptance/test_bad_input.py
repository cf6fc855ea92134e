"""What goes wrong at the edges: each says what, where, why and what to do, and a worker goes on."""

from __future__ import annotations

import base64
import json
import re
import time
import uuid
from pathlib import Path
from typing import Any

import pytest

from tests.support.apps import AppSpec, build
from tests.support.redis_server import RedisServer, free_port
from tests.support.rig import PRODUCT, Rig
from tests.support.waiting import wait_until
from tests.support.workers import WorkerProcess, command

pytestmark = pytest.mark.skipif(PRODUCT == "celery", reason="promises of fastworker alone")

TIMEOUT_S = 20


def run_command(rig: Rig, *arguments: str, app: str = "tests.support.worker_app") -> WorkerProcess:
    """Run ``fastworker -A … <arguments>``."""
    environment = rig.spec.environment()
    return rig.run(command("fastworker"), "-A", app, *arguments, environment=environment)


def output_of(rig: Rig, *arguments: str) -> str:
    """What a command prints that succeeds."""
    done = run_command(rig, *arguments)
    status = done.wait_ended()
    assert status == 0, done.log
    return done.log


# ---------------------------------------------------------------------------------------- addresses


def test_unknown_scheme_is_refused_where_it_is_used() -> None:
    from fastworker.exceptions import ImproperlyConfigured

    app = build(AppSpec("fastworker", "rediss+foo://localhost/0", None))
    with pytest.raises(ImproperlyConfigured, match=r"rediss\+foo.*expected.*redis.*sqlite"):
        app.tasks["proj.add"].delay(1, 1)


def test_worker_with_an_unknown_scheme_ends_with_one_clear_line(redis_rig: Rig) -> None:
    redis_rig.spec = AppSpec("fastworker", "reddis://:s3cret@localhost/0", None)
    worker = run_command(redis_rig, "worker")
    assert worker.wait_ended() != 0
    assert re.search(r"reddis.*expected.*try .redis", worker.log, re.DOTALL)
    assert "Traceback" not in worker.log
    assert "s3cret" not in worker.log


@pytest.mark.shows("setting broker_publish_deadline")
def test_publish_to_an_unreachable_broker_ends_at_its_deadline() -> None:
    from fastworker.exceptions import OperationalError

    url = f"redis://:s3cret@127.0.0.1:{free_port()}/0"
    app = build(AppSpec("fastworker", url, None, {"broker_publish_deadline": 1.5}))
    started = time.monotonic()
    with pytest.raises(OperationalError, match=r"127\.0\.0\.1") as caught:
        app.tasks["proj.add"].delay(1, 1)
    assert time.monotonic() - started < 4
    assert "s3cret" not in str(caught.value)


def test_worker_waits_for_its_broker_and_says_so_once(redis_rig: Rig, tmp_path: Path) -> None:
    server = RedisServer(tmp_path)
    server.port = free_port()
    url = f"{server.url}/0"
    redis_rig.spec = AppSpec("fastworker", url, url)
    worker = run_command(redis_rig, "worker", "--loglevel", "INFO")
    worker.wait_for_line(
        rf"(?i)(cannot|refused|unreachable|lost).*{server.port}|{server.port}.*refused"
    )
    with server:
        worker.wait_ready()
        assert redis_rig.task("add").delay(2, 2).get(timeout=TIMEOUT_S) == 4
        complaints = [line for line in worker.log.splitlines() if "refused" in line.lower()]
        assert len(complaints) == 1, worker.log
        worker.stop()


@pytest.mark.shows("outcome connection-lost")
def test_worker_survives_a_restart_of_its_broker(redis_rig: Rig, tmp_path: Path) -> None:
    with RedisServer(tmp_path, is_durable=True) as server:
        url = f"{server.url}/0"
        redis_rig.spec = AppSpec("fastworker", url, url)
        worker = redis_rig.worker()
        assert redis_rig.task("add").delay(2, 2).get(timeout=TIMEOUT_S) == 4
        server.kill()
        server.start()
        assert redis_rig.task("add").delay(3, 3).get(timeout=TIMEOUT_S) == 6
        worker.stop()


# --------------------------------------------------------------------------------------------- apps


def test_app_that_does_not_exist_is_named(redis_rig: Rig) -> None:
    worker = run_command(redis_rig, "worker", app="no_such_project")
    assert worker.wait_ended() != 0
    assert "no_such_project" in worker.log
    assert "Traceback" not in worker.log


def test_module_without_an_app_is_named(redis_rig: Rig, tmp_path: Path) -> None:
    (tmp_path / "empty_module.py").write_text("x = 1\n")
    worker = redis_rig.run(command("fastworker"), "-A", "empty_module", "worker", cwd=tmp_path)
    assert worker.wait_ended() != 0
    assert "empty_module" in worker.log
    assert "Traceback" not in worker.log


def test_error_in_the_users_module_shows_their_traceback(redis_rig: Rig, tmp_path: Path) -> None:
    (tmp_path / "broken.py").write_text("def setup():\n    return 1 / 0\n\nsetup()\n")
    worker = redis_rig.run(command("fastworker"), "-A", "broken", "worker", cwd=tmp_path)
    assert worker.wait_ended() != 0
    for said in ("broken.py", "line 2", "ZeroDivisionError"):
        assert said in worker.log
    # Their code alone: not how we came to import it.
    assert "fastworker/cli" not in worker.log
    last = worker.log.strip().splitlines()[-1]
    assert "broken" in last


def test_misspelt_setting_names_the_nearest(rig: Rig) -> None:
    worker = rig.configure(task_serialiser="json").worker()
    worker.wait_for_line("task_serialiser.*task_serializer")
    assert worker.log.count("task_serialiser") == 1


def test_setting_of_a_wrong_kind_ends_the_worker(rig: Rig) -> None:
    rig.configure(result_expires="tomorrow")
    worker = run_command(rig, "worker")
    assert worker.wait_ended() != 0
    assert re.search("result_expires.*tomorrow.*expected", worker.log)
    assert "Traceback" not in worker.log


# ---------------------------------------------------------------------------------------- arguments


def test_argument_without_json_form_is_named_at_the_call(rig: Rig) -> None:
    from fastworker.exceptions import EncodeError

    with pytest.raises(EncodeError, match=r"proj\.echo.*'answer'.*'object'"):
        rig.task("echo").delay(1, answer=object())
    with pytest.raises(EncodeError, match=r"argument 2.*set.*'deep'"):
        rig.task("echo").delay("fine", [{"deep": {1, 2}}])


def test_wrong_number_of_arguments_is_refused_at_the_call(rig: Rig) -> None:
    with pytest.raises(TypeError, match="missing"):
        rig.task("add").delay(1)


# ----------------------------------------------------------------------------------------- messages


def envelope(task: str | None, body: str, **headers: Any) -> tuple[str, bytes]:
    """A message as kombu would write it; its id and its bytes."""
    task_id = str(uuid.uuid4())
    head = {"id": task_id, "lang": "py", "root_id": task_id, "retries": 0, **headers}
    if task is not None:
        head["task"] = task
    properties = {
        "correlation_id": task_id,
        "delivery_mode": 2,
        "delivery_info": {"exchange": "", "routing_key": "celery"},
        "priority": 0,
        "body_encoding": "base64",
        "delivery_tag": str(uuid.uuid4()),
    }
    message = {
        "body": body,
        "content-encoding": "utf-8",
        "content-type": "application/json",
        "headers": head,
        "properties": properties,
    }
    return task_id, json.dumps(message).encode()


def encoded(text: str) -> str:
    """A body that travels as base64."""
    return base64.b64encode(text.encode()).decode()


GOOD_BODY = encoded(
    '[[1, 2], {}, {"callbacks": null, "errbacks": null, "chain": null, "chord": null}]'
)

BAD: dict[str, tuple[str | None, bytes]] = {
    "not JSON": (None, b"\xff\x00 this is not JSON"),
    "not an object": (None, b"[1, 2, 3]"),
    "empty": (None, b""),
    "no task header": envelope(None, GOOD_BODY),
    "unknown task": envelope("proj.nobody_knows", GOOD_BODY),
    "body not base64": envelope("proj.add", "***"),
    "body not JSON": envelope("proj.add", encoded("[[1, 2], {}")),
    "body not three parts": envelope("proj.add", encoded('{"x": 1}')),
    "unknown type in body": envelope(
        "proj.add", encoded('[[{"__type__": "nope", "__value__": 1}, 2], {}, {}]')
    ),
    "callback no signature": envelope("proj.add", encoded('[[1, 2], {}, {"callbacks": [5]}]')),
    "eta not a time": envelope("proj.add", GOOD_BODY, eta="next tuesday"),
}


def publish_raw(rig: Rig, message: bytes) -> None:
    """Put bytes on the default queue as they are."""
    from fastworker import _core

    publisher = _core.Publisher(rig.spec.broker, {})
    publisher.publish([("celery", 0, message)])
    publisher.close()


@pytest.mark.parametrize("name", BAD)
@pytest.mark.shows("outcome unknown-task", "outcome undecodable")
def test_bad_message_is_kept_and_the_worker_goes_on(running: Rig, name: str) -> None:
    task_id, message = BAD[name]
    before = len(dead_letters(running))
    publish_raw(running, message)
    assert running.task("add").delay(1, 1).get(timeout=TIMEOUT_S) == 2
    wait_until(lambda: len(dead_letters(running)) == before + 1, "one more dead letter")
    letter = dead_letters(running)[0]
    assert letter["reason"]
    assert letter["message"] == message or letter["message"].startswith(message[:-2])
    if task_id is not None:
        assert letter["id"] == task_id


def dead_letters(rig: Rig) -> list[dict[str, Any]]:
    """The dead letters, newest first."""
    from fastworker import _core

    publisher = _core.Publisher(rig.spec.broker, {})
    try:
        return publisher.dead_letters(1000)
    finally:
        publisher.close()


def test_bad_message_is_logged_once_with_id_and_reason(rig: Rig) -> None:
    worker = rig.worker()
    task_id, message = envelope("proj.nobody_knows", GOOD_BODY)
    publish_raw(rig, message)
    # Not the line that says that it was received.
    worker.wait_for_line(rf"{task_id}.*unknown task.*nobody_knows")
    rig.task("add").delay(1, 1).get(timeout=TIMEOUT_S)
    lines = [line for line in worker.log.splitlines() if task_id in line]
    assert len([line for line in lines if "received" not in line]) == 1, worker.log


def test_caller_of_an_unknown_task_learns_it(rig: Rig) -> None:
    from fastworker.exceptions import NotRegistered

    rig.worker()
    result = rig.app.send_task("proj.nobody_knows")
    with pytest.raises(NotRegistered, match="nobody_knows"):
        result.get(timeout=TIMEOUT_S)


def test_dead_letters_are_listed_shown_retried_and_purged(rig: Rig) -> None:
    rig.worker()
    ids = []
    for number in range(3):
        task_id, message = envelope(f"proj.unknown{number}", GOOD_BODY)
        publish_raw(rig, message)
        ids.append(task_id)
    wait_until(lambda: len(dead_letters(rig)) == 3, "three dead letters")
    listed = output_of(rig, "dead", "list")
    for number, task_id in enumerate(ids):
        assert task_id[:8] in listed
        assert f"proj.unknown{number}" in listed
    shown = output_of(rig, "dead", "show", ids[0])
    assert ids[0] in shown
    assert "proj.unknown0" in shown
    output_of(rig, "dead", "retry", ids[0])
    # It is unknown still, so it comes back.
    wait_until(lambda: dead_letters(rig)[0]["id"] == ids[0], "it to die again")
    output_of(rig, "dead", "purge", ids[1])
    assert sorted(row["id"] for row in dead_letters(rig)) == sorted([ids[0], ids[2]])
    purge = run_command(rig, "dead", "purge", "--yes")
    assert purge.wait_ended() == 0, purge.log
    assert dead_letters(rig) == []


def test_retried_dead_letter_runs_once_its_cause_is_gone(rig: Rig) -> None:
    task_id, message = envelope("late.arrival", GOOD_BODY)
    publish_raw(rig, message)
    worker = rig.worker()
    wait_until(lambda: len(dead_letters(rig)) == 1, "a dead letter")
    worker.stop()
    rig.worker(TEST_EXTRA_TASK="late.arrival")
    output_of(rig, "dead", "retry", task_id)
    assert rig.app.AsyncResult(task_id).get(timeout=TIMEOUT_S) == 3
    assert dead_letters(rig) == []
