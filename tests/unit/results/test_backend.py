"""Result documents: Celery's keys, exceptions through pickle's rules, who may read what."""

from __future__ import annotations

import datetime as dt
import json
from typing import Any

import pytest

from fastworker import FastWorker, errors
from fastworker.errors import ContentDisallowed, DecodeError, EncodeError, SecurityError
from fastworker.results.backend import set_sink
from fastworker.results.remote_error import decode_exception, encode_exception
from fastworker.serialize.picklable import UnpickleableExceptionWrapper
from tests.support.memory_core import Memory


class Plain(Exception):
    """Survives pickle."""


class Demanding(Plain):
    """Cannot be rebuilt from its ``args``; its base can."""

    def __init__(self, a: int, b: int) -> None:
        super().__init__(f"{a}-{b}")


def write(value: Any) -> bytes:
    from fastworker import _core

    return _core.dumps(value)


def celery_backend() -> Any:
    from celery import Celery

    return Celery("c", set_as_current=False, broker="memory://", backend="cache+memory://").backend


def test_document_has_celerys_keys_in_order(app: FastWorker, memory: Memory) -> None:
    app.backend.store_result("7", 3, "SUCCESS")
    stored = json.loads(memory.documents["7"])
    assert list(stored) == ["status", "result", "traceback", "children", "date_done", "task_id"]
    assert dt.datetime.fromisoformat(stored["date_done"]).tzinfo is not None
    app.backend.store_result("8", {"pid": 1}, "STARTED")
    assert json.loads(memory.documents["8"])["date_done"] is None


@pytest.mark.parametrize(
    "exc",
    [
        ValueError("x", 42),
        Plain(),
        KeyError(object()),
        Demanding(1, 2),
        type("Local", (Exception,), {})("lost"),
        errors.NotRegistered("t"),
    ],
)
def test_exceptions_are_encoded_as_celery_does(exc: Exception) -> None:
    from celery import exceptions
    from celery.utils.serialization import get_pickleable_exception

    ours = encode_exception(exc, write)
    counterpart = exceptions.NotRegistered("t") if isinstance(exc, errors.NotRegistered) else exc
    theirs = celery_backend().prepare_exception(get_pickleable_exception(counterpart), "json")
    assert ours == {**theirs, "exc_message": tuple(theirs["exc_message"])}


@pytest.mark.parametrize(
    "name",
    [
        "EncodeError",
        "FastWorkerError",
        "InvalidTaskError",
        "MaxRetriesExceededError",
        "OperationalError",
        "Reject",
        "SoftTimeLimitExceeded",
        "TaskRevokedError",
        "TimeLimitExceeded",
        "WorkerLostError",
    ],
)
def test_our_errors_travel_under_celerys_names_and_come_back(name: str) -> None:
    import importlib

    cls = getattr(errors, name)
    stored = encode_exception(cls("why"), write)
    theirs = getattr(importlib.import_module(stored["exc_module"]), stored["exc_type"])
    assert issubclass(theirs, Exception)
    assert type(decode_exception(stored)) is cls


@pytest.mark.parametrize(
    ("stored", "kind", "args"),
    [
        (
            {"exc_type": "KeyError", "exc_message": ["a"], "exc_module": "builtins"},
            KeyError,
            ("a",),
        ),
        ({"exc_type": "KeyError", "exc_message": "a", "exc_module": "builtins"}, KeyError, ("a",)),
        ({"exc_type": "Demanding", "exc_message": [1], "exc_module": __name__}, Exception, None),
    ],
)
def test_stored_exceptions_are_rebuilt(stored: Any, kind: type, args: Any) -> None:
    exc = decode_exception(stored)
    assert type(exc) is kind
    assert args is None or exc.args == args


def test_unknown_class_is_made_up_without_importing_its_module() -> None:
    import sys

    exc = decode_exception({"exc_type": "X", "exc_message": ["m"], "exc_module": "antigravity"})
    assert (type(exc).__name__, type(exc).__module__) == ("X", "celery.exceptions")
    assert "antigravity" not in sys.modules


@pytest.mark.parametrize(("module", "name"), [("os", "system"), ("builtins", "dict")])
def test_anything_but_an_exception_is_a_security_error(module: str, name: str) -> None:
    with pytest.raises(SecurityError, match="Expected an exception class"):
        decode_exception({"exc_type": name, "exc_message": ["x"], "exc_module": module})


def test_unpicklable_exception_is_wrapped() -> None:
    class Local(Exception):
        pass

    stored = encode_exception(Local("a", object()), write)
    assert stored["exc_module"] == "celery.utils.serialization"
    exc = decode_exception({**stored, "exc_message": list(stored["exc_message"])})
    assert isinstance(exc, UnpickleableExceptionWrapper)
    assert exc.exc_cls_name == "Local"
    assert type(exc.restore()).__name__ == "Local"


def test_retry_without_a_cause_has_no_result(app: FastWorker) -> None:
    app.backend.mark_as_retry("7", None)
    assert (app.AsyncResult("7").state, app.AsyncResult("7").result) == ("RETRY", None)


def test_result_that_cannot_be_stored_says_so(app: FastWorker, memory: Memory) -> None:
    with pytest.raises(EncodeError, match="task '7' cannot be stored"):
        app.backend.store_result("7", object(), "SUCCESS")
    assert memory.documents == {}


def test_result_of_a_result_is_its_tuple(app: FastWorker) -> None:
    app.backend.store_result("7", app.AsyncResult("8"), "SUCCESS")
    assert app.AsyncResult("7").get() == [["8", None], None]


@pytest.mark.shows(
    "setting accept_content", "setting result_accept_content", "setting result_serializer"
)
def test_pickled_results_are_refused_unless_accepted(app: FastWorker) -> None:
    app.conf.result_serializer = "pickle"
    app.backend.store_result("7", {1, 2}, "SUCCESS")
    with pytest.raises(ContentDisallowed, match="add 'pickle' to accept_content"):
        app.AsyncResult("7").get()
    app.conf.result_accept_content = ["pickle"]
    assert app.AsyncResult("7").get() == {1, 2}
    app.backend.store_result("8", Demanding(1, 2), "FAILURE")
    assert isinstance(app.AsyncResult("8").get(propagate=False), Plain)


@pytest.mark.shows("setting result_compression")
def test_compressed_documents_are_read_without_being_told(app: FastWorker, memory: Memory) -> None:
    app.conf.result_compression = "gzip"
    app.backend.store_result("7", "x" * 100, "SUCCESS")
    assert memory.documents["7"].startswith(b"\0celery-compressed\0application/x-gzip\0")
    app.conf.result_compression = None
    assert app.AsyncResult("7").get() == "x" * 100


@pytest.mark.parametrize("doc", [b"[]", b"{}", b"not json"])
def test_garbage_in_the_store_is_a_decode_error(
    app: FastWorker, memory: Memory, doc: bytes
) -> None:
    memory.documents["7"] = doc
    with pytest.raises(DecodeError):
        app.AsyncResult("7").state  # noqa: B018


@pytest.mark.parametrize(
    ("setting", "success", "failure"),
    [
        ({}, 86400, 86400),
        ({"result_expires": 5}, 5, 5),
        ({"result_expires": dt.timedelta(minutes=1), "result_failure_expires": 7}, 60, 7),
        ({"result_expires": None}, None, None),
        ({"result_expires": 0}, None, None),
    ],
)
@pytest.mark.shows("setting result_expires", "setting result_failure_expires")
def test_lifetime_follows_the_settings(
    app: FastWorker, setting: dict[str, Any], success: Any, failure: Any
) -> None:
    app.conf.update(setting)
    assert (app.backend.ttl_s("SUCCESS"), app.backend.ttl_s("FAILURE")) == (success, failure)


def test_child_offers_documents_to_its_link_first(app: FastWorker, memory: Memory) -> None:
    taken: list[tuple[str, str]] = []

    def sink(task_id: str, state: str, doc: bytes) -> bool:
        taken.append((task_id, state))
        return task_id == "mine"

    set_sink(sink)
    try:
        app.backend.store_result("mine", 1, "PROGRESS")
        app.backend.store_result("other", 1, "PROGRESS")
    finally:
        set_sink(None)
    assert taken == [("mine", "PROGRESS"), ("other", "PROGRESS")]
    assert list(memory.documents) == ["other"]


@pytest.mark.shows("verb update_state")
def test_update_state_stores_the_tasks_own_state(app: FastWorker) -> None:
    @app.task(bind=True, name="t", shared=False)
    def task(self: Any) -> None:
        self.update_state(state="PROGRESS", meta={"done": 50})
        assert app.AsyncResult(self.request.id).info == {"done": 50}

    assert task.apply(task_id="7").successful()
    assert app.AsyncResult("7").state == "PROGRESS"


@pytest.mark.shows(
    "setting redis_username",
    "setting redis_host",
    "setting redis_port",
    "setting redis_db",
    "setting redis_password",
)
def test_backend_by_name_and_unknown_backends(memory: Memory) -> None:
    app = FastWorker("p", broker="redis://h/0", backend="redis", set_as_current=False)
    app.conf.update(redis_host="cache", redis_port=7, redis_db=3, redis_password="p w")
    assert app.result_url == "redis://:p%20w@cache:7/3"
    assert app.backend.as_uri() == "redis://:**@cache:7/3"
    app.conf.redis_username = "u"
    assert app.result_url == "redis://u:p%20w@cache:7/3"
    app.conf.result_backend = "mongodb://x"
    with pytest.raises(errors.ImproperlyConfigured, match="'mongodb' is not supported"):
        app.backend  # noqa: B018
    app.conf.result_backend = "disabled"
    assert app.result_url is None


@pytest.mark.shows("setting result_backend")
def test_backend_follows_the_setting(app: FastWorker) -> None:
    first = app.backend
    app.conf.timezone = "UTC"
    assert app.backend is first
    app.conf.result_backend = "redis://elsewhere/3"
    assert app.backend.url == "redis://elsewhere/3"
