"""``task_eager_strict``: an eager task gets, and gives, what a worker and a client would."""

from __future__ import annotations

from typing import Any

import pytest

from fastworker import FastWorker
from fastworker.errors import ContentDisallowed, EncodeError


@pytest.fixture
def strict(app: FastWorker) -> FastWorker:
    """The application, strict and eager."""
    app.conf.update(task_always_eager=True, task_eager_strict=True)
    return app


class Opaque:
    """Nothing writes it as JSON."""


def _identity(app: FastWorker, **options: Any) -> Any:
    @app.task(name="same", shared=False, **options)
    def same(x: Any = None, key: Any = None) -> Any:
        return x

    return same


@pytest.mark.parametrize("verb", ["apply_async", "apply"])
def test_arguments_travel(strict: FastWorker, verb: str) -> None:
    same = _identity(strict)
    assert getattr(same, verb)(((1, 2),)).get() == [1, 2]
    with pytest.raises(EncodeError, match=r"positional argument 1 of type .*Opaque"):
        getattr(same, verb)((Opaque(),))
    with pytest.raises(EncodeError, match=r"keyword argument 'key' of type .*Opaque"):
        getattr(same, verb)((1,), {"key": Opaque()})


@pytest.mark.shows("setting task_eager_strict")
def test_a_result_travels_or_fails_the_task(strict: FastWorker) -> None:
    @strict.task(name="gives", shared=False)
    def gives(what: str) -> Any:
        return (1, {2: 3}) if what == "tuple" else Opaque()

    assert gives.delay("tuple").get() == [1, {"2": 3}]
    result = gives.delay("opaque")
    assert result.state == "FAILURE"
    with pytest.raises(EncodeError, match="gives returned a Opaque that cannot be stored"):
        result.get()


def test_an_ignored_result_does_not_travel(strict: FastWorker) -> None:
    @strict.task(name="gives", shared=False, ignore_result=True)
    def gives() -> Any:
        return Opaque()

    assert gives.delay().state == "SUCCESS"


class Picky(Exception):
    """Cannot be made from its own ``args``."""

    def __init__(self, code: int, why: str) -> None:
        super().__init__(f"{code}: {why}")


def test_an_error_is_what_a_client_would_read(strict: FastWorker) -> None:
    @strict.task(name="fails", shared=False)
    def fails(known: bool) -> None:
        raise KeyError("x") if known else Picky(7, "why")

    with pytest.raises(KeyError, match="x"):
        fails.delay(True).get()
    error = fails.delay(False).get(propagate=False)
    assert not isinstance(error, Picky) or error.args == ("7: why",)
    assert "why" in str(error)


def test_links_and_headers_travel(strict: FastWorker) -> None:
    same = _identity(strict)
    with pytest.raises(EncodeError, match="its link cannot be serialised as json"):
        same.apply_async((1,), link=same.si(Opaque()))
    with pytest.raises(EncodeError, match="its link_error cannot be serialised as json"):
        same.apply_async((1,), link_error=same.si(Opaque()))
    with pytest.raises(EncodeError, match="its headers cannot be serialised as json"):
        same.apply_async((1,), headers={"x": Opaque()})
    ran = []
    noted = strict.task(name="noted", shared=False)(lambda x: ran.append(x))
    same.apply_async(((1, 2),), link=noted.s())
    assert ran == [[1, 2]]


def test_what_a_worker_would_refuse_is_refused(strict: FastWorker) -> None:
    same = _identity(strict)
    with pytest.raises(ContentDisallowed, match="'pickle' to it"):
        same.apply_async((1,), serializer="pickle")
    strict.conf.accept_content = ["json", "pickle"]
    # The arguments keep their types, the result is JSON.
    assert same.apply_async(({1: (1, 2)},), serializer="pickle").get() == {"1": [1, 2]}


def test_without_it_eager_is_celerys(app: FastWorker) -> None:
    app.conf.task_always_eager = True

    @app.task(name="gives", shared=False)
    def gives() -> Any:
        return 1, 2

    assert gives.delay().get() == (1, 2)
