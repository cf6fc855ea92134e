"""What a caller sees: calls, options, results, states and failures, with a real worker on each
broker.
"""

from __future__ import annotations

import asyncio
import importlib
import os
import time
import traceback
import uuid
from pathlib import Path
from typing import Any

import pytest

from fastworker import FastWorker, errors
from tests.support.apps import BigBoom, Boom
from tests.support.gate import Gate, read_lines
from tests.support.rig import PRODUCT, Rig
from tests.support.waiting import wait_until

only_fastworker = pytest.mark.skipif(PRODUCT == "celery", reason="Celery does not promise this")

TIMEOUT_S = 20


@pytest.mark.shows(
    "verb delay", "outcome success", "serializer json", "protocol 2", "property correlation_id"
)
def test_delay_returns_the_result(running: Rig) -> None:
    assert running.task("add").delay(2, 2).get(timeout=TIMEOUT_S) == 4


@pytest.mark.shows("verb __call__")
def test_calling_the_task_runs_it_here(running: Rig) -> None:
    assert running.task("add")(2, 2) == 4


@pytest.mark.shows("call args", "call kwargs")
def test_unicode_and_keywords_travel(running: Rig) -> None:
    result = running.task("echo").delay("grüß", "任务", flag=None, text="𝄞\0\"'\\")
    assert result.get(timeout=TIMEOUT_S) == [["grüß", "任务"], {"flag": None, "text": "𝄞\0\"'\\"}]


@pytest.mark.shows("call countdown")
def test_countdown_is_waited_for(running: Rig) -> None:
    due = time.time() + 1.5
    result = running.task("now").apply_async(countdown=1.5)
    assert due - 0.1 <= result.get(timeout=TIMEOUT_S) <= due + 5


def test_far_countdown_does_not_hold_up_others(running: Rig) -> None:
    later = [running.task("add").apply_async((1, 1), countdown=3600) for _ in range(50)]
    assert running.task("add").delay(1, 2).get(timeout=TIMEOUT_S) == 3
    assert {result.state for result in later} == {"PENDING"}


@pytest.mark.shows("call queue")
def test_queue_option_chooses_the_queue(running: Rig) -> None:
    seen = running.task("who").apply_async(queue="other").get(timeout=TIMEOUT_S)
    assert seen["routing_key"] == "other"


@pytest.mark.shows("task bind")
def test_bound_task_sees_its_request(running: Rig) -> None:
    result = running.task("who").delay()
    seen = result.get(timeout=TIMEOUT_S)
    assert (seen["id"], seen["name"], seen["root_id"]) == (result.id, "proj.who", result.id)
    assert (seen["parent_id"], seen["retries"]) == (None, 0)


@pytest.mark.shows("task track_started", "setting task_track_started")
def test_state_goes_from_pending_to_success(running: Rig, gate: Gate) -> None:
    result = running.task("hold").delay(gate.path)
    gate.wait_started()
    wait_until(lambda: result.state == "STARTED", "state STARTED")
    assert not result.ready()
    gate.release()
    result.get(timeout=TIMEOUT_S)
    assert (result.state, result.ready(), result.successful()) == ("SUCCESS", True, True)


def test_unknown_id_is_pending(running: Rig) -> None:
    result = running.app.AsyncResult(str(uuid.uuid4()))
    assert (result.state, result.ready(), result.result) == ("PENDING", False, None)


@pytest.mark.shows("verb known")
@pytest.mark.skipif(PRODUCT != "fastworker", reason="Celery cannot tell")
def test_an_unknown_id_is_told_from_one_that_waits(rig: Rig, gate: Gate) -> None:
    """In a queue, in a worker's prefetch, running without a trace in the store, far away, and done."""
    waiting = rig.task("hold").delay(gate.path)
    far = rig.task("hold").apply_async((gate.path,), countdown=7200)
    elsewhere = rig.task("hold").apply_async((gate.path,), queue="nobody's")

    def known(result: Any, *queues: str) -> bool:
        return bool(rig.app.AsyncResult(result.id).known(*queues))

    assert known(waiting)
    assert known(far)
    assert known(elsewhere, "nobody's")
    unknown = rig.app.AsyncResult(str(uuid.uuid4()))
    assert unknown.state == "PENDING"
    assert not unknown.known()
    assert not asyncio.run(unknown.aknown())
    rig.worker(concurrency=1)
    gate.wait_started()
    assert known(waiting)
    assert known(far)
    gate.release()
    waiting.get(timeout=TIMEOUT_S)
    assert known(waiting)
    waiting.forget()
    assert not known(waiting)


def test_result_is_found_by_its_id(running: Rig) -> None:
    result = running.task("add").delay("a", "b")
    assert running.app.AsyncResult(result.id).get(timeout=TIMEOUT_S) == "ab"


def test_get_gives_up_after_its_timeout(running: Rig, gate: Gate) -> None:
    result = running.task("hold").delay(gate.path)
    errors = importlib.import_module(f"{PRODUCT}.exceptions")
    with pytest.raises(errors.TimeoutError):
        result.get(timeout=0.3)
    gate.release()
    assert result.get(timeout=TIMEOUT_S)


def test_forget_removes_the_result(running: Rig) -> None:
    result = running.task("add").delay(1, 1)
    result.get(timeout=TIMEOUT_S)
    result.forget()
    assert running.app.AsyncResult(result.id).state == "PENDING"


@pytest.mark.shows("task ignore_result")
def test_ignored_result_is_not_stored(running: Rig, tmp_path: Path) -> None:
    path = str(tmp_path / "effect")
    result = running.task("record").apply_async((path, "done"), ignore_result=True)
    wait_until(lambda: read_lines(path) == ["done"], "the effect")
    running.task("add").delay(1, 1).get(timeout=TIMEOUT_S)
    assert running.app.AsyncResult(result.id).state == "PENDING"


@pytest.mark.shows("outcome failure")
def test_failure_raises_its_own_class(running: Rig) -> None:
    with pytest.raises(Boom, match=r"^no luck$") as caught:
        running.task("fail").delay("no luck").get(timeout=TIMEOUT_S)
    assert type(caught.value) is Boom


def test_failure_with_several_arguments_raises_its_own_class(running: Rig) -> None:
    with pytest.raises(BigBoom) as caught:
        running.task("fail_big").delay(7, "seven").get(timeout=TIMEOUT_S)
    assert (caught.value.code, caught.value.text) == (7, "seven")


def test_builtin_failure_raises_its_own_class(running: Rig) -> None:
    with pytest.raises(KeyError, match="nokey"):
        running.task("fail_builtin").delay("nokey").get(timeout=TIMEOUT_S)


def test_failure_keeps_the_remote_traceback(running: Rig) -> None:
    result = running.task("fail").delay("no luck")
    result.get(timeout=TIMEOUT_S, propagate=False)
    assert result.traceback.startswith("Traceback (most recent call last):")
    assert "raise Boom(text)" in result.traceback
    assert result.traceback.rstrip().endswith("Boom: no luck")


@only_fastworker
def test_raised_failure_shows_the_remote_traceback(running: Rig) -> None:
    with pytest.raises(Boom) as caught:
        running.task("fail").delay("no luck").get(timeout=TIMEOUT_S)
    assert "raise Boom(text)" in "".join(traceback.format_exception(caught.value))


def test_propagate_false_returns_the_exception(running: Rig) -> None:
    result = running.task("fail").delay("no luck")
    value = result.get(timeout=TIMEOUT_S, propagate=False)
    assert isinstance(value, Boom)
    assert (result.state, result.failed(), result.ready()) == ("FAILURE", True, True)


def test_value_without_json_form_fails_the_task(running: Rig) -> None:
    result = running.task("unserialisable").delay()
    result.get(timeout=TIMEOUT_S, propagate=False)
    assert result.state == "FAILURE"
    assert "object" in str(result.result)


@pytest.mark.each_pool
@pytest.mark.shows("verb retry", "outcome retry")
def test_retry_runs_again_with_its_count(running: Rig) -> None:
    assert running.task("flaky").delay(2).get(timeout=TIMEOUT_S) == 2


@pytest.mark.shows("task max_retries")
def test_retries_used_up_raise_the_cause(running: Rig) -> None:
    with pytest.raises(Boom, match="attempt 3"):
        running.task("flaky").delay(99).get(timeout=TIMEOUT_S)


@pytest.mark.shows("header root_id", "header parent_id")
def test_task_published_inside_a_task_knows_its_parent(running: Rig) -> None:
    parent_id, child_id = running.task("parent").delay().get(timeout=TIMEOUT_S)
    seen = running.app.AsyncResult(child_id).get(timeout=TIMEOUT_S)
    assert (seen["parent_id"], seen["root_id"]) == (parent_id, parent_id)


@pytest.mark.each_pool
def test_every_task_published_inside_a_task_runs(running: Rig, tmp_path: Path) -> None:
    path = str(tmp_path / "effects")
    assert running.task("fan_out").delay(200, path).get(timeout=TIMEOUT_S) == 200
    wait_until(lambda: len(read_lines(path)) >= 200, "200 effects")
    assert sorted(map(int, read_lines(path))) == list(range(200))


def test_failing_task_still_publishes_what_it_published(running: Rig, tmp_path: Path) -> None:
    path = str(tmp_path / "effects")
    result = running.task("fan_out_and_fail").delay(10, path)
    with pytest.raises(Boom):
        result.get(timeout=TIMEOUT_S)
    wait_until(lambda: len(read_lines(path)) >= 10, "10 effects")
    assert sorted(map(int, read_lines(path))) == list(range(10))


@pytest.mark.shows("verb send_task")
def test_task_of_another_process_is_called_by_name(running: Rig) -> None:
    result = running.app.send_task("proj.add", args=(20, 22))
    assert result.get(timeout=TIMEOUT_S) == 42


@pytest.mark.shows("outcome expired", "call expires")
def test_expired_task_does_not_run(running: Rig, tmp_path: Path) -> None:
    path = str(tmp_path / "effect")
    result = running.task("record").apply_async((path, "late"), expires=-1)
    wait_until(result.ready, "a final state")
    assert result.state == "REVOKED"
    assert read_lines(path) == []


@pytest.mark.each_pool
def test_body_of_100_mb_works(running: Rig) -> None:
    assert running.task("length").delay("x" * 100_000_000).get(timeout=90) == 100_000_000


@only_fastworker
def test_task_publishes_with_another_application_to_its_broker(
    running: Rig, tmp_path: Path
) -> None:
    url = f"sqlite:///{tmp_path}/elsewhere.db"
    running.task("publish_elsewhere").delay(url).get(timeout=TIMEOUT_S)
    other = FastWorker("other", broker=url, set_as_current=False)
    assert other.publishing.publisher.purge("celery") == 3


@only_fastworker
def test_closed_application_has_nothing_open(sqlite_url: str, tmp_path: Path) -> None:
    def opened() -> set[str]:
        """What this process has open below ``tmp_path``, and its ears for other processes' writes."""
        links = {Path(entry) for entry in Path("/proc/self/fd").iterdir()}
        targets = {entry: os.readlink(entry) for entry in links if entry.is_symlink()}
        return {
            f"{entry.name} {target}"
            for entry, target in targets.items()
            if "inotify" in target or target.startswith(str(tmp_path))
        }

    before = opened()
    app = FastWorker("proj", broker=sqlite_url, backend=sqlite_url, set_as_current=False)
    sent = app.send_task("nobody.runs_it")
    with pytest.raises(errors.TimeoutError):
        sent.get(timeout=0.05)
    assert opened() > before
    app.close()
    assert opened() == before
    # It may go on nevertheless.
    assert sent.state == "PENDING"
    app.close()
    assert opened() == before
