"""Joins that cannot be carried out end all the same, and harm no worker."""

from __future__ import annotations

import json
import logging
from typing import Any

import pytest

from fastworker import FastWorker, _core
from fastworker.worker.chords import Chords


class Answer:
    """In the place of the worker's."""

    def __init__(self) -> None:
        self.messages: list[Any] = []
        self.results: list[Any] = []
        self.parts: list[Any] = []
        self.count = 0

    def finish(
        self,
        messages: list[Any],
        results: list[Any],
        parts: list[Any],
        remembered_s: int | None = None,
        kept_s: int | None = None,
    ) -> None:
        self.messages, self.results, self.parts = messages, results, parts
        self.count += 1


def joined(app: FastWorker, record: bytes, parts: list[bytes], **more: Any) -> Answer:
    answer = Answer()
    facts = {"group": None, "run": None, "stands_for": None, **more}
    Chords(app, "w@h").join("g", record, parts, join=answer, **facts)  # type: ignore[arg-type]
    assert answer.count == 1
    return answer


def record_of(body: dict[str, Any]) -> bytes:
    return _core.dumps({"body": body, "id": "member", "root_id": "root", "priority": 0})


def body_of(app: FastWorker, **options: Any) -> dict[str, Any]:
    @app.task(name="body")
    def body(results: Any) -> Any:
        return results

    signature = dict(body.s())
    signature["options"] = {"task_id": "body-id", **options}
    return signature


SUCCESS = b'[1, "a", "SUCCESS", 7]'
FAILURE = (
    b'[1, "b", "FAILURE", {"exc_type": "KeyError", "exc_message": ["k"], "exc_module": "builtins"}]'
)


def test_the_body_gets_the_results_and_knows_its_root(app: FastWorker) -> None:
    answer = joined(app, record_of(body_of(app)), [SUCCESS, SUCCESS])
    [(queue, _, envelope)] = answer.messages
    headers = json.loads(envelope)["headers"]
    assert (queue, headers["id"], headers["root_id"], headers["parent_id"]) == (
        "celery",
        "body-id",
        "root",
        "member",
    )
    assert headers["argsrepr"] == "([7, 7],)"


def test_a_text_stands_for_the_results_of_a_plain_body_only(app: FastWorker) -> None:
    body = body_of(app)
    plain = joined(app, record_of(body), [SUCCESS], stands_for="<1 results of group g>")
    assert json.loads(plain.messages[0][2])["headers"]["argsrepr"] == "('<1 results of group g>',)"
    packed = {**body, "options": {**body["options"], "compression": "zlib"}}
    whole = joined(app, record_of(packed), [SUCCESS], stands_for="<1 results of group g>")
    assert [json.loads(one[2])["headers"]["argsrepr"] for one in whole.messages] == ["([7],)"]


def test_a_record_that_cannot_be_read_ends_the_join(
    app: FastWorker, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.CRITICAL):
        answer = joined(app, b"\x80\x04.", [SUCCESS])
    assert (answer.messages, answer.results, answer.parts) == ([], [], [])
    assert "'g': its body cannot be read" in caplog.text


def test_an_error_callback_that_cannot_be_published_leaves_the_stored_failure(
    app: FastWorker, caplog: pytest.LogCaptureFixture
) -> None:
    errback = {"task": "nobody", "args": [], "kwargs": {}, "options": {"serializer": "none-such"}}
    body = body_of(app, link_error=[errback])
    answer = joined(app, record_of(body), [SUCCESS, FAILURE])
    assert answer.messages == []
    [(task_id, doc, is_success, _)] = answer.results
    assert (task_id, json.loads(doc)["status"], is_success) == ("body-id", "FAILURE", False)
    assert "Dependency b raised KeyError('k')" in doc.decode()
    assert "its failure is only stored" in caplog.text


def test_error_callbacks_of_a_chain_are_called_about_its_last_step(app: FastWorker) -> None:
    heard: list[str] = []

    @app.task(name="hear")
    def hear(request: Any, exc: BaseException, traceback: Any, name: str) -> None:
        heard.append(f"{name} {request.id}")

    def errback(name: str) -> dict[str, Any]:
        return dict(hear.s(name=name))

    step = body_of(app)
    first = {**step, "options": {"task_id": "first", "link_error": [errback("step's")]}}
    last = {**step, "options": {"task_id": "last"}}
    body = {
        "task": "celery.chain",
        "args": [],
        "kwargs": {"tasks": [first, last]},
        "options": {"task_id": "last", "link_error": [errback("chain's")]},
        "subtask_type": "chain",
        "immutable": False,
    }
    answer = joined(app, record_of(body), [SUCCESS, FAILURE])
    assert heard == ["chain's last", "step's first"]
    assert {task_id for task_id, *_ in answer.results} == {"first", "last"}


def test_parts_that_are_gone_fail_the_body(app: FastWorker) -> None:
    answer = joined(app, record_of(body_of(app)), [])
    assert "the parts of its header are gone" in answer.results[0][1].decode()
