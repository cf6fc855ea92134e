"""Eager tasks: the same script against the real Celery and against fastworker, observation by observation."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

import pytest

Script = Callable[[Any, Any], Any]
SCRIPTS: dict[str, Script] = {}
#: Where fastworker answers otherwise, and why: ``{script: {observation: (Celery's, ours)}}``.
DIFFERENT: dict[str, dict[str, tuple[Any, Any]]] = {
    # Where tblib is installed, Celery asks an application for its settings, and an eager result of its has none.
    "failure": {
        "maybe throws": (
            "raises AttributeError: 'NoneType' object has no attribute 'conf'",
            "raises KeyError: 'x'",
        )
    },
}


def script(function: Script) -> Script:
    """Takes the root package and an eager application; gives what it saw, by name."""
    SCRIPTS[function.__name__] = function
    return function


def seen(call: Callable[[], Any]) -> Any:
    """What a call gives, or the error it raises."""
    try:
        value = call()
    except Exception as error:
        return f"raises {type(error).__name__}: {error}"
    if isinstance(value, Exception):
        return f"{type(value).__name__}: {value}"
    return value


def facts(result: Any) -> dict[str, Any]:
    """Everything that an ``EagerResult`` says of itself."""
    return {
        "class": type(result).__name__,
        "state": result.state,
        "status": result.status,
        "get": seen(result.get),
        "get timeout": seen(lambda: result.get(timeout=0)),
        "get quiet": seen(lambda: result.get(propagate=False)),
        "wait": seen(lambda: result.wait(propagate=False)),
        "result": seen(lambda: result.result),
        "info": seen(lambda: result.info),
        "ready": result.ready(),
        "successful": result.successful(),
        "failed": result.failed(),
        "has traceback": bool(result.traceback),
        "is text": isinstance(result.traceback, str),
        "name": result.name,
        "children": seen(lambda: result.children),
        "native join": result.supports_native_join,
        "maybe throws": seen(result.maybe_throw),
        "forget": seen(result.forget),
        "str": str(result) == result.id,
    }


@script
def success(root: Any, app: Any) -> Any:
    @app.task(name="t", shared=False)
    def task(x: int, y: int = 1) -> list[int]:
        return [x, y]

    return {
        **facts(task.delay(1)),
        "tuples become lists": task.delay((1, 2)).get(),
        "own id": task.apply_async((1,), task_id="own").id,
        "countdown is not waited for": task.apply_async((1,), countdown=1000).get(),
        "too few": seen(task.delay),
        "unknown keyword": seen(lambda: task.delay(1, z=2)),
        "apply": task.apply((1,), {"y": 3}).get(),
        "apply keeps tuples": task.apply(((1, 2),)).get()[0],
    }


@script
def failure(root: Any, app: Any) -> Any:
    @app.task(name="t", shared=False)
    def task() -> None:
        raise KeyError("x")

    return facts(task.delay())


@script
def failure_is_thrown_when_told_to(root: Any, app: Any) -> Any:
    @app.task(name="t", shared=False)
    def task() -> None:
        raise KeyError("x")

    seen_by_default = seen(lambda: task.apply(throw=True))
    app.conf.task_eager_propagates = True
    return {
        "delay": seen(task.delay),
        "apply": seen(task.apply),
        "apply throw": seen_by_default,
        "apply quiet": seen(lambda: task.apply(throw=False).state),
    }


@script
def retries(root: Any, app: Any) -> Any:
    runs: list[int] = []

    @app.task(bind=True, name="t", shared=False, max_retries=2)
    def task(self: Any, needs: int) -> int:
        runs.append(self.request.retries)
        if self.request.retries < needs:
            raise self.retry(countdown=100)
        return int(self.request.retries)

    @app.task(bind=True, name="with exc", shared=False, max_retries=1)
    def with_exc(self: Any) -> None:
        try:
            raise ValueError("cause")
        except ValueError as error:
            raise self.retry(exc=error) from error

    works = facts(task.delay(2))
    gives_up = facts(task.delay(9))
    return {
        **works,
        "gives up": gives_up["state"],
        "gives up with": type(task.delay(9).result).__name__,
        "with its exception": seen(with_exc.delay().get),
        "runs": list(runs[:6]),
    }


@script
def retries_that_propagate(root: Any, app: Any) -> Any:
    app.conf.task_eager_propagates = True

    @app.task(bind=True, name="t", shared=False, max_retries=2)
    def task(self: Any) -> int:
        if self.request.retries < 2:
            raise self.retry(countdown=100)
        return int(self.request.retries)

    return {
        "delay": seen(lambda: task.delay().get()),
        "class": seen(lambda: type(task.delay()).__name__),
    }


@script
def autoretry(root: Any, app: Any) -> Any:
    runs: list[int] = []

    @app.task(bind=True, name="t", shared=False, autoretry_for=(ValueError,), max_retries=2)
    def task(self: Any) -> None:
        runs.append(self.request.retries)
        raise ValueError("again")

    result = task.delay()
    return {"state": result.state, "get": seen(result.get), "runs": runs}


@script
def ignore_and_reject(root: Any, app: Any) -> Any:
    exceptions = importlib.import_module(f"{root.__name__}.exceptions")

    @app.task(name="t", shared=False)
    def task(which: str) -> None:
        raise exceptions.Ignore() if which == "ignore" else exceptions.Reject("no")

    return {which: task.delay(which).state for which in ("ignore", "reject")}


@script
def callbacks(root: Any, app: Any) -> Any:
    calls: list[Any] = []

    @app.task(name="add", shared=False)
    def add(x: int, y: int) -> int:
        calls.append((x, y))
        return x + y

    @app.task(name="bad", shared=False)
    def bad(*args: Any) -> None:
        calls.append("bad")
        raise KeyError("bad")

    @app.task(name="old", shared=False)
    def old_style(task_id: str) -> None:
        calls.append("errback")

    linked = add.apply_async((1, 2), link=add.s(10))
    two = add.apply_async((1, 2), link=[add.s(20), add.s(30)])
    failed = bad.apply_async(link=add.s(1), link_error=old_style.s())
    seen_so_far, calls[:] = list(calls), []
    chained = root.chain(add.s(1, 2), add.s(4), add.s(8))()
    broken = seen(lambda: root.chain(add.s(1, 2), bad.s(), add.s(8)).apply().state)
    return {
        "values": [linked.get(), two.get(), failed.state],
        "calls": seen_so_far,
        "chain": chained.get(),
        "chain class": type(chained).__name__,
        "chain parents": [chained.parent.get(), chained.parent.parent.get()],
        "chain calls": calls,
        "broken chain": broken,
        "chain applied": root.chain(add.s(1, 2), add.s(4)).apply().get(),
        "signature": add.s(1, 2).delay().get(),
        "signature applied": add.s(1, 2).apply().get(),
        "called": add.s(1, 2)(),
    }


@script
def request(root: Any, app: Any) -> Any:
    @app.task(bind=True, name="inner", shared=False)
    def inner(self: Any) -> Any:
        r = self.request
        return r.id, r.root_id, r.parent_id

    @app.task(bind=True, name="t", shared=False, time_limit=9, soft_time_limit=8)
    def task(self: Any, x: int, key: str = "") -> Any:
        r = self.request
        info = dict(r.delivery_info)
        return {
            "id": r.id,
            "root": r.root_id,
            "parent": r.parent_id,
            "flags": [r.is_eager, r.called_directly, r.retries],
            "args": [list(r.args), r.kwargs],
            "delivery": sorted(info.items(), key=str),
            "timelimit": list(r.timelimit or ()),
            "ignore": r.ignore_result,
            "inner": inner.delay().get(disable_sync_subtasks=False),
            "refused": str(seen(lambda: inner.delay().get()))[:19],
        }

    result = task.apply_async((1,), {"key": "k"}, task_id="outer", priority=3).get()
    result["inner"] = result["inner"][1:]
    result["applied"] = [
        list(i)
        for i in task.apply((1,), task_id="x", priority=3, routing_key="rk").get()["delivery"]
    ]
    return result


@script
def revoked(root: Any, app: Any) -> Any:
    @app.task(name="t", shared=False)
    def task() -> int:
        return 1

    result = task.delay()
    result.revoke()
    return {"state": result.state, "failed": result.failed(), "get": seen(result.get)}


@script
def ignored_results(root: Any, app: Any) -> Any:
    @app.task(name="t", shared=False, ignore_result=True)
    def task() -> int:
        return 5

    return {"task": facts(task.delay()), "call": task.apply_async(ignore_result=False).get()}


@script
def stored_results(root: Any, app: Any) -> Any:
    app.conf.task_store_eager_result = True

    @app.task(bind=True, name="t", shared=False)
    def task(self: Any, how: str) -> int:
        if how == "bad":
            raise KeyError("bad")
        if how == "retry" and self.request.retries == 0:
            raise self.retry()
        return 5

    def stored(how: str, **options: Any) -> Any:
        later = app.AsyncResult(task.apply_async((how,), **options).id)
        return later.state, seen(lambda: later.get(timeout=5) if later.state != "PENDING" else None)

    return {
        "ok": stored("ok"),
        "bad": stored("bad"),
        "retry": stored("retry"),
        "ignored": stored("ok", ignore_result=True),
    }


@script
def states_are_stored_on_demand_only(root: Any, app: Any) -> Any:
    @app.task(name="t", shared=False)
    def task() -> int:
        return 1

    return app.AsyncResult(task.delay().id).state


@script
def handlers(root: Any, app: Any) -> Any:
    order: list[Any] = []

    class Base(app.Task):  # type: ignore[misc, name-defined]
        def before_start(self, *args: Any) -> None:
            order.append("before_start")

        def on_success(self, retval: Any, *args: Any) -> None:
            order.append(["on_success", retval])

        def on_failure(self, exc: Any, *args: Any) -> None:
            order.append(["on_failure", repr(exc)])

        def on_retry(self, exc: Any, *args: Any) -> None:
            order.append(["on_retry", repr(exc)])

        def after_return(self, status: str, retval: Any, *args: Any) -> None:
            order.append(["after_return", status, repr(retval)])

    @app.task(bind=True, base=Base, name="t", shared=False)
    def task(self: Any, how: str) -> str:
        if how == "bad":
            raise KeyError(how)
        if how == "retry" and not self.request.retries:
            raise self.retry(exc=ValueError("once"))
        return how

    seen_of = {}
    for how in ("ok", "bad", "retry"):
        order.clear()
        task.delay(how)
        seen_of[how] = list(order)
    return seen_of


def _app(root: Any) -> Any:
    # A new name each: Celery's memory is one for the process.
    app = root.Celery(
        "proj", broker="memory://eager", backend="cache+memory://eager", set_as_current=False
    )
    app.conf.task_always_eager = True
    return app


@pytest.mark.shows("setting task_eager_propagates", "setting task_store_eager_result")
@pytest.mark.parametrize("name", SCRIPTS)
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::RuntimeWarning")
def test_eager_tasks_do_what_they_do_in_celery(name: str) -> None:
    theirs, ours = (
        SCRIPTS[name](root, _app(root))
        for root in (importlib.import_module("celery"), importlib.import_module("fastworker"))
    )
    if not isinstance(theirs, dict):
        theirs, ours = {"": theirs}, {"": ours}
    different = {
        key: (theirs[key], ours.get(key)) for key in theirs if theirs[key] != ours.get(key)
    }
    assert different == DIFFERENT.get(name, {})
