"""Batch tasks without a worker: their options, eager calls, and what the function is given."""

from __future__ import annotations

import pickle
from typing import Any

import pytest

from fastworker import FastWorker
from fastworker.batches import Batches, SimpleRequest
from fastworker.errors import ImproperlyConfigured, MaxRetriesExceededError, Reject
from fastworker.worker.settings import task_settings


@pytest.fixture
def app() -> FastWorker:
    return FastWorker("batches", broker="memory://", backend="cache+memory://")


def terms(app: FastWorker, name: str) -> Any:
    return next(task.batch for task in task_settings(app) if task.name == name)


def test_options_reach_the_worker(app: FastWorker) -> None:
    @app.task(name="many", batch=100, batch_timeout=0.5)
    def many(requests: list[SimpleRequest]) -> None: ...

    @app.task(name="soon", batch=2)
    def soon(requests: list[SimpleRequest]) -> None: ...

    @app.task(name="one")
    def one() -> None: ...

    assert [terms(app, name) for name in ("many", "soon", "one")] == [(100, 0.5), (2, 1.0), None]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"batch": 0}, "batch of task 'wrong' is 0: expected a whole number"),
        ({"batch": True}, "batch of task 'wrong' is True"),
        ({"batch": 2.5}, "batch of task 'wrong' is 2.5"),
        ({"batch": 100_001}, "from 1 to 100,000"),
        (
            {"batch": 2, "batch_timeout": -1},
            "batch_timeout of task 'wrong' is -1: expected seconds",
        ),
        ({"batch": 2, "batch_timeout": "1s"}, "batch_timeout of task 'wrong' is '1s'"),
        ({"batch_timeout": 1}, "has a batch_timeout and no batch"),
        ({"batch": 2, "pydantic": True}, "leave one of them out"),
    ],
)
def test_senseless_options_are_refused_where_the_task_is_made(
    app: FastWorker, options: dict[str, Any], words: str
) -> None:
    with pytest.raises(ImproperlyConfigured, match=words):

        @app.task(name="wrong", lazy=False, **options)
        def wrong(requests: list[SimpleRequest]) -> None: ...


def test_annotations_make_a_task_take_batches(app: FastWorker) -> None:
    app.conf.task_annotations = {"many": {"batch": 7}}

    @app.task(name="many")
    def many(requests: list[SimpleRequest]) -> None: ...

    assert terms(app, "many") == (7, 1.0)


def test_base_for_code_written_for_celery_batches(app: FastWorker) -> None:
    @app.task(name="old", base=Batches, flush_every=20, flush_interval=3)
    def old(requests: list[SimpleRequest]) -> None: ...

    assert terms(app, "old") == (20, 3.0)


def test_any_arguments_can_be_published(app: FastWorker) -> None:
    @app.task(batch=10)
    def many(requests: list[SimpleRequest]) -> None: ...

    many.delay(1, 2, three=3)


def test_function_can_be_called_as_it_is(app: FastWorker) -> None:
    @app.task(batch=10)
    def many(requests: list[SimpleRequest]) -> int:
        return len(requests)

    assert many([1, 2, 3]) == 3


def test_eager_call_is_a_batch_of_one(app: FastWorker) -> None:
    @app.task(batch=10, bind=True)
    def many(self: Any, requests: list[SimpleRequest]) -> list[Any]:
        [request] = requests
        return [[request.id, request.name, request.args, request.kwargs, request.is_eager]]

    result = many.apply((1,), {"two": 2}, task_id="me")
    assert result.get() == ["me", many.name, (1,), {"two": 2}, True]


def test_eager_call_of_a_coroutine(app: FastWorker) -> None:
    @app.task(batch=10)
    async def many(requests: list[SimpleRequest]) -> list[Any]:
        return [request.args[0] for request in requests]

    assert many.apply((5,)).get() == 5


def ending(app: FastWorker, **options: Any) -> Any:
    """A task that does with its call what its first argument says."""

    @app.task(batch=10, bind=True, **options)
    def many(self: Any, requests: list[SimpleRequest]) -> Any:
        [request] = requests
        what = request.args[0]
        if what == "succeed":
            request.succeed("told")
        elif what == "succeed and raise":
            request.succeed("told")
            raise ValueError("too late")
        elif what == "fail":
            request.fail(KeyError("told"))
        elif what == "reject":
            request.fail(Reject("told"))
        elif what == "retry":
            request.retry(countdown=0, max_retries=2)
        elif what == "retry all":
            raise self.retry(countdown=0, max_retries=2)
        elif what == "raise":
            raise KeyError("raised")
        return [7, 8] if what == "too many" else None

    return many


@pytest.mark.parametrize(
    ("what", "state", "result"),
    [
        ("succeed", "SUCCESS", "told"),
        ("succeed and raise", "SUCCESS", "told"),
        ("nothing", "SUCCESS", None),
        ("fail", "FAILURE", KeyError),
        ("reject", "REJECTED", None),
        ("retry", "FAILURE", MaxRetriesExceededError),
        ("retry all", "FAILURE", MaxRetriesExceededError),
        ("raise", "FAILURE", KeyError),
        ("too many", "FAILURE", TypeError),
    ],
)
def test_eager_call_ends_as_in_a_worker(
    app: FastWorker, what: str, state: str, result: Any
) -> None:
    got = ending(app).apply((what,))
    value = got.get(propagate=False)
    assert (got.state, type(value) if isinstance(result, type) else value) == (state, result)


def test_eager_call_is_retried_by_itself(app: FastWorker) -> None:
    task = ending(app, autoretry_for=(KeyError,), retry_kwargs={"countdown": 0, "max_retries": 1})
    got = task.apply(("raise",))
    assert isinstance(got.get(propagate=False), KeyError)
    assert got.id != ""


def test_what_was_returned_for_several_is_named_in_the_error(app: FastWorker) -> None:
    got = ending(app).apply(("too many",)).get(propagate=False)
    assert "returned 2 results for 1 calls: expected None, or a list" in str(got)


def test_call_ends_once(app: FastWorker) -> None:
    told: list[str] = []

    @app.task(batch=10)
    def many(requests: list[SimpleRequest]) -> None:
        requests[0].succeed(1)
        assert requests[0].has_ended
        for again in (
            requests[0].succeed,
            requests[0].retry,
            lambda: requests[0].fail(ValueError()),
        ):
            with pytest.raises(RuntimeError, match="has ended already"):
                again()
            told.append("refused")

    assert many.apply(()).get() == 1
    assert told == ["refused"] * 3


def test_what_is_no_exception_fails_nothing(app: FastWorker) -> None:
    @app.task(batch=10)
    def many(requests: list[SimpleRequest]) -> None:
        with pytest.raises(TypeError, match="expected an exception"):
            requests[0].fail("no such user")  # type: ignore[arg-type]

    assert many.apply(()).state == "SUCCESS"


def test_retry_of_a_batch_takes_no_arguments_of_one_call() -> None:
    from fastworker.app.batches import BatchContext

    with pytest.raises(TypeError, match=r"self.retry\(args=…\) in a batch"):
        BatchContext("many").retry({"args": (1,)})


def test_a_copy_in_another_process_knows_its_call(app: FastWorker) -> None:
    copies: list[SimpleRequest] = []

    @app.task(batch=10)
    def many(requests: list[SimpleRequest]) -> None:
        copies.append(pickle.loads(pickle.dumps(requests[0])))

    many.apply((1,), task_id="me", headers={"tenant": "x"})
    [copy] = copies
    assert (copy.id, copy.args, copy.retries, copy.headers) == ("me", (1,), 0, {"tenant": "x"})
    assert copy.has_ended
    assert not hasattr(copy, "no_such_attribute")
