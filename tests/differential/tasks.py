"""The tasks of the differential scenarios, the same for both frameworks.

Each leaves lines in the file that ``DIFF_RECORD`` names: what ran, in which order, and what it saw.
"""

from __future__ import annotations

import functools
import importlib
import json
import os
import time
from pathlib import Path
from typing import Any

from tests.differential.normal import describe
from tests.differential.values import fault, give
from tests.support.apps import AppSpec, BigBoom, Boom, build
from tests.support.gate import append_line

RECORD_VARIABLE = "DIFF_RECORD"

#: What a task may look at (celery-contract 9.10), apart from ids, hosts and times.
REQUEST = (
    "args callbacks called_directly chain chord correlation_id delivery_info errbacks eta expires"
    " group group_index headers hostname id ignore_result is_eager kwargs loglevel logfile origin parent_id"
    " properties reply_to replaced_task_nesting retries root_id shadow soft_time_limit"
    " stamped_headers stamps taskset time_limit timelimit utc task lang argsrepr kwargsrepr"
)


def library(framework: str) -> Any:
    """The framework's module of exceptions."""
    return importlib.import_module(f"{framework}.exceptions")


def note(task_id: Any, what: str, **facts: Any) -> None:
    """Leave a line: whose, what, and facts with a JSON form."""
    path = os.environ.get(RECORD_VARIABLE)
    if path:
        current = _current()
        root = current.request.root_id if current is not None else None
        append_line(path, json.dumps({"of": task_id, "in": root, "what": what, **facts}))


def _current() -> Any:
    """The running task, if one runs in this process."""
    return _APPS[-1].current_worker_task if _APPS else None


#: The last application made here; a worker makes one, a test's process one per play.
_APPS: list[Any] = []


def make_app(spec: AppSpec) -> Any:
    """The application: the tests' usual tasks, and those below."""
    app = build(spec)
    _APPS[:] = [app]
    lib = library(spec.framework)
    _register_plain(app, lib)
    _register_declared(app, lib)
    _register_retries(app, lib)
    _register_limits(app, lib)
    _register_links(app, lib)
    _register_classes(app, lib)
    return app


def once(path: str) -> bool:
    """Whether nobody was here before."""
    try:
        os.close(os.open(path, os.O_CREAT | os.O_EXCL))
    except FileExistsError:
        return False
    return True


def _register_plain(app: Any, lib: Any) -> None:
    task = functools.partial(app.task, shared=False)

    @task(name="diff.add", bind=True)
    def add(self: Any, x: Any, y: Any) -> Any:
        note(self.request.id, "ran", args=describe((x, y)))
        return x + y

    @task(name="diff.see", bind=True)
    def see(self: Any, *args: Any, **kwargs: Any) -> Any:
        note(self.request.id, "saw", args=describe(args), kwargs=describe(kwargs))
        return len(args)

    @task(name="diff.give", bind=True)
    def give_(self: Any, kind: str) -> Any:
        note(self.request.id, "ran")
        return give(kind)

    @task(name="diff.raise", bind=True)
    def raise_(self: Any, kind: str) -> Any:
        note(self.request.id, "ran")
        raise fault(kind, lib)

    @task(name="diff.cause", bind=True)
    def cause(self: Any) -> Any:
        try:
            raise KeyError("first")
        except KeyError as exc:
            raise Boom("second") from exc

    @task(name="diff.request", bind=True)
    def request(self: Any, *args: Any, **kwargs: Any) -> Any:
        seen = {name: getattr(self.request, name, "absent") for name in REQUEST.split()}
        seen["children"] = describe(self.request.children)
        seen["get"] = describe(self.request.get("no such", "fallback"))
        note(self.request.id, "request", **json.loads(json.dumps(seen, default=describe)))
        return self.name

    @task(name="diff.states", bind=True)
    def states(self: Any) -> Any:
        self.update_state(state="PROGRESS", meta={"done": 1, "of": 2})
        self.update_state(state="WEIRD STATE")
        self.update_state(meta=[1, 2])
        return "end"

    @task(name="diff.states_of", bind=True)
    def states_of(self: Any, other: str) -> Any:
        self.update_state(task_id=other, state="ELSEWHERE", meta={"by": "another"})

    @task(name="diff.state_failure", bind=True)
    def state_failure(self: Any) -> Any:
        self.update_state(state="FAILURE", meta={"exc_type": "Boom", "exc_message": "m"})
        raise lib.Ignore()

    @task(name="diff.current")
    def current() -> Any:
        me = app.current_task
        note(me.request.id, "ran", name=me.name)
        return [me.name, app.current_worker_task.name]

    @task(name="diff.nested", bind=True)
    def nested(self: Any, parent: bool = True) -> Any:
        child = add.apply_async((1, 2), add_to_parent=parent)
        note(self.request.id, "ran", children=len(self.request.children))
        return child.id

    @task(name="diff.call_another", bind=True)
    def call_another(self: Any) -> Any:
        value = app.tasks["diff.request"](1)
        return [value, self.request.id == app.current_task.request.id]

    @task(name="diff.get_inside", bind=True)
    def get_inside(self: Any) -> Any:
        return add.delay(1, 2).get(timeout=1)

    def requeue(self: Any, path: str) -> Any:
        redelivered = self.request.delivery_info["redelivered"]
        note(self.request.id, "ran", redelivered=redelivered)
        if once(path):
            raise lib.Reject("again", requeue=True)
        return "second"

    @task(name="diff.requeue", bind=True, acks_late=True)
    def requeue_late(self: Any, path: str) -> Any:
        return requeue(self, path)

    @task(name="diff.requeue_early", bind=True, acks_late=False)
    def requeue_early(self: Any, path: str) -> Any:
        return requeue(self, path)

    @task(name="diff.send", bind=True)
    def send(self: Any, name: str) -> Any:
        app.send_task(name, args=(1,), queue="peek", headers={"x": 1})
        return "sent"


def _register_declared(app: Any, lib: Any) -> None:
    task = functools.partial(app.task, shared=False, bind=True)

    def add(self: Any, x: Any = 1, y: Any = 2) -> Any:
        note(self.request.id, "ran")
        return x + y

    def fail(self: Any) -> Any:
        note(self.request.id, "ran")
        raise Boom("declared")

    def long_text(self: Any) -> Any:
        return "z" * 200

    def declare(name: str, body: Any, **options: Any) -> None:
        # A function of its own for each: both frameworks mark the functions they are given.
        @functools.wraps(body)
        def own(self: Any, *args: Any, **kwargs: Any) -> Any:
            return body(self, *args, **kwargs)

        task(name=f"diff.{name}", **options)(own)

    declare("ignored", add, ignore_result=True)
    declare("ignored_fails", fail, ignore_result=True)
    declare("stores_errors", fail, ignore_result=True, store_errors_even_if_ignored=True)
    declare("kept", add, ignore_result=False)
    declare("tracked", add, track_started=True)
    declare("tracked_fails", fail, track_started=True)
    declare("tracked_ignored", add, track_started=True, ignore_result=True)
    declare("pickled", add, serializer="pickle")
    declare("squeezed", add, compression="gzip")
    declare("expiring", add, expires=5000)
    declare("throwing", fail, throws=(Boom,))
    declare("throwing_base", fail, throws=(Exception,))
    declare("throwing_other", fail, throws=(KeyError,))
    declare("untyped", add, typing=False)
    declare("urgent", add, priority=3)
    declare("elsewhere", add, queue="peek")
    declare("keyed", add, exchange="ex", routing_key="key")
    declare("limited", add, time_limit=70, soft_time_limit=60)
    declare("late", add, acks_late=True)
    declare("early", add, acks_late=False)
    declare("early_fails", fail, acks_late=False)
    declare("failure_unacked", fail, acks_late=True, acks_on_failure_or_timeout=False)
    declare("failure_rejected", fail, acks_late=True, acks_on_failure=False)
    declare("failure_early", fail, acks_late=False, acks_on_failure=False)
    declare("annotated", fail)
    declare("short_repr", long_text, resultrepr_maxsize=20)

    @task(name="diff.typed")
    def typed(self: Any, a: int, /, b: int, *, c: int = 0) -> Any:
        return [a, b, c]

    @task(name="diff.untyped_exact", typing=False)
    def untyped_exact(self: Any, a: int) -> Any:
        return a

    @app.task(name="diff.auto_name_doc", shared=False)
    def documented() -> None:
        """Its text."""


def _register_retries(app: Any, lib: Any) -> None:
    task = functools.partial(app.task, shared=False, bind=True)

    def seen(self: Any, **facts: Any) -> None:
        request = self.request
        note(
            request.id,
            "attempt",
            retries=request.retries,
            eta=request.eta,
            expires=request.expires,
            parent=request.parent_id,
            root=request.root_id,
            delivery=request.delivery_info,
            headers=request.headers,
            timelimit=request.timelimit,
            callbacks=len(request.callbacks or ()),
            errbacks=len(request.errbacks or ()),
            chain=len(request.chain or ()),
            shadow=request.shadow,
            ignore_result=request.ignore_result,
            origin=request.origin,
            reply_to=request.reply_to,
            args=describe(request.args),
            kwargs=describe(request.kwargs),
            **facts,
        )

    @task(name="diff.retry", max_retries=2, default_retry_delay=0)
    def retry(self: Any, until: int, *rest: Any, exc: str | None = None, **options: Any) -> Any:
        seen(self)
        if self.request.retries < until:
            raise self.retry(exc=fault(exc, lib) if exc else None, **options)
        return self.request.retries

    @task(name="diff.retry_in_except", max_retries=1, default_retry_delay=0)
    def retry_in_except(self: Any, given: bool) -> Any:
        seen(self)
        try:
            raise BigBoom(1, "inside")
        except BigBoom as exc:
            self.retry(exc=exc if given else None)

    @task(name="diff.retry_without_throw", max_retries=2, default_retry_delay=0)
    def retry_without_throw(self: Any) -> Any:
        seen(self)
        if self.request.retries:
            return "second"
        outcome = self.retry(throw=False, countdown=1)
        note(self.request.id, "went on", outcome=type(outcome).__name__, text=str(outcome))
        return "first"

    @task(name="diff.retry_new_args", max_retries=2, default_retry_delay=0)
    def retry_new_args(self: Any, a: Any, b: Any = 0, how: str = "") -> Any:
        seen(self, a=a, b=b, how=how)
        if self.request.retries:
            return [a, b]
        ways: dict[str, Any] = {
            "args": {"args": (10, 20, how)},
            "kwargs": {"kwargs": {"a": 30, "b": 40, "how": how}},
            "both": {"args": (50,), "kwargs": {"b": 60, "how": how}},
            "some": {"kwargs": {"b": 70}},
        }
        raise self.retry(**ways[how])

    @task(name="diff.retry_to_peek", max_retries=2)
    def retry_to_peek(self: Any, **options: Any) -> Any:
        raise self.retry(queue="peek", **options)

    @task(name="diff.retry_forever", max_retries=None, default_retry_delay=0)
    def retry_forever(self: Any) -> Any:
        seen(self)
        if self.request.retries < 4:
            raise self.retry(countdown=0.2)
        return self.request.retries

    @task(name="diff.retry_bad_body", max_retries=2, default_retry_delay=0)
    def retry_bad_body(self: Any) -> Any:
        seen(self)
        raise self.retry(args=(object(),))

    def auto(name: str, kind: str, until: int = 9, **options: Any) -> None:
        @task(name=f"diff.{name}", **{"default_retry_delay": 0, "max_retries": 2, **options})
        def own(self: Any) -> Any:
            seen(self)
            if self.request.retries < until:
                raise fault(kind, lib)
            return self.request.retries

    auto("auto", "boom", 1, autoretry_for=(Boom,))
    auto("auto_gives_up", "boom", autoretry_for=(Boom,))
    auto("auto_other", "builtin", autoretry_for=(Boom,))
    auto("auto_base", "big", 1, autoretry_for=(Exception,))
    auto("auto_never", "big", autoretry_for=(Exception,), dont_autoretry_for=(BigBoom,))
    auto(
        "auto_kwargs",
        "boom",
        autoretry_for=(Boom,),
        retry_kwargs={"max_retries": 1, "countdown": 0},
    )
    auto("auto_ignore", "ignore", autoretry_for=(Exception,))
    auto("auto_reject", "reject", autoretry_for=(Exception,))
    auto("auto_holds", "holds", 1, autoretry_for=(Exception,))
    backoff: dict[str, Any] = {
        "autoretry_for": (Boom,),
        "retry_jitter": False,
        "retry_kwargs": {"queue": "peek"},
        "max_retries": 9,
    }
    auto("backoff", "boom", retry_backoff=True, **backoff)
    auto("backoff_factor", "boom", retry_backoff=100, **backoff)
    auto(
        "backoff_max",
        "boom",
        retry_backoff=1000,
        retry_backoff_max=300,
        **backoff,
    )

    @task(name="diff.unlucky", max_retries=5, default_retry_delay=0, autoretry_for=(Boom,))
    def override(self: Any) -> Any:
        seen(self)
        self.override_max_retries = 1
        raise Boom("override")


def _register_limits(app: Any, lib: Any) -> None:
    task = functools.partial(app.task, shared=False, bind=True)

    def wait(seconds: float = 30) -> None:
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            time.sleep(0.05)

    @task(name="diff.soft", soft_time_limit=1)
    def soft(self: Any) -> Any:
        note(self.request.id, "ran")
        wait()

    @task(name="diff.soft_caught", soft_time_limit=1)
    def soft_caught(self: Any) -> Any:
        try:
            wait()
        except lib.SoftTimeLimitExceeded as exc:
            note(self.request.id, "caught", args=describe(exc.args))
            return "cleaned up"

    @task(name="diff.slow")
    def slow(self: Any) -> Any:
        note(self.request.id, "ran", timelimit=self.request.timelimit)
        wait()

    def limited(name: str, base: Any = None, **options: Any) -> None:
        more = {"base": base} if base else {}

        @task(name=f"diff.{name}", time_limit=1, **options, **more)
        def own(self: Any) -> Any:
            note(self.request.id, "ran", redelivered=self.request.delivery_info["redelivered"])
            wait()

    limited("hard", noting_base(app))
    limited("hard_late", acks_late=True)
    limited("hard_early", acks_late=False)
    limited("hard_ignored", ignore_result=True)
    limited("hard_ignored_errors", ignore_result=True, store_errors_even_if_ignored=True)

    @task(name="diff.hard_unacked", time_limit=1, acks_late=True, acks_on_failure_or_timeout=False)
    def hard_unacked(self: Any, path: str) -> Any:
        note(self.request.id, "ran", redelivered=self.request.delivery_info["redelivered"])
        if once(path):
            wait()
        return "second"

    def dying(name: str, **options: Any) -> None:
        @task(name=f"diff.{name}", **options)
        def own(self: Any, path: str, how: str) -> Any:
            note(self.request.id, "ran", redelivered=self.request.delivery_info["redelivered"])
            if not once(path):
                return "second"
            if how == "exit":
                os._exit(3)
            os.kill(os.getpid(), 9)

    dying("dies_early", acks_late=False)
    dying("dies_late", acks_late=True)
    dying("dies_rejected", acks_late=True, reject_on_worker_lost=True)
    dying("dies_early_rejected", acks_late=False, reject_on_worker_lost=True)
    dying("dies_noting", acks_late=False, base=noting_base(app))
    dying("dies_retrying", acks_late=False, retry_on_worker_lost=True, default_retry_delay=0)


def _register_links(app: Any, lib: Any) -> None:
    task = functools.partial(app.task, shared=False)

    @task(name="diff.old_errback", bind=True)
    def old_errback(self: Any, *args: Any) -> Any:
        note(self.request.id, "old errback", args=describe(args), parent=self.request.parent_id)

    @task(name="diff.new_errback")
    def new_errback(request: Any, exc: Any, traceback: Any) -> None:
        last = str(traceback).strip().splitlines()[-1]
        task_name = getattr(request, "task", None)
        note(request.id, "new errback", exc=describe(exc), traceback=last, task=task_name)

    @task(name="diff.new_errback_more")
    def new_errback_more(extra: Any, request: Any, exc: Any, traceback: Any) -> None:
        note(getattr(request, "id", None), "new errback more", extra=type(extra).__name__)

    @task(name="diff.broken_errback")
    def broken_errback(request: Any, exc: Any, traceback: Any) -> None:
        note(request.id, "broken errback")
        raise Boom("in the errback")

    @task(name="diff.one_errback")
    def one_errback(task_id: Any) -> None:
        note(task_id, "one errback", args=describe(task_id))

    @task(name="diff.link", bind=True)
    def link(self: Any, *args: Any, **kwargs: Any) -> Any:
        request = self.request
        note(
            request.id,
            "link",
            args=describe(args),
            kwargs=describe(kwargs),
            parent=request.parent_id,
            root=request.root_id,
            priority=request.delivery_info.get("priority"),
            retries=request.retries,
        )
        return sum(a for a in args if isinstance(a, int))


class _Notes:
    """Handlers that leave a line."""

    def _id(self) -> Any:
        return self.request.id  # type: ignore[attr-defined]

    def before_start(self, task_id: Any, args: Any, kwargs: Any) -> None:
        note(task_id, "before_start", args=describe(args), kwargs=describe(kwargs))

    def on_success(self, retval: Any, task_id: Any, args: Any, kwargs: Any) -> None:
        note(task_id, "on_success", retval=describe(retval), args=describe(args))

    def on_failure(self, exc: Any, task_id: Any, args: Any, kwargs: Any, einfo: Any) -> None:
        last = str(einfo).strip().splitlines()[-1]
        note(task_id, "on_failure", exc=describe(exc), args=describe(args), einfo=last)

    def on_retry(self, exc: Any, task_id: Any, args: Any, kwargs: Any, einfo: Any) -> None:
        note(task_id, "on_retry", exc=describe(exc), args=describe(args))

    def after_return(
        self, status: Any, retval: Any, task_id: Any, args: Any, kwargs: Any, einfo: Any
    ) -> None:
        facts = {"status": status, "retval": describe(retval), "einfo": type(einfo).__name__}
        note(task_id, "after_return", **facts)


def noting_base(app: Any) -> Any:
    """A base class of tasks whose handlers leave lines."""
    return type("Noting", (_Notes, app.Task), {"abstract": True})


def _register_classes(app: Any, lib: Any) -> None:
    base = noting_base(app)

    @app.task(name="diff.handled", bind=True, base=base, shared=False, max_retries=1)
    def handled(self: Any, how: str) -> Any:
        note(self.request.id, "ran", retries=self.request.retries)
        if how == "retry":
            raise self.retry(exc=Boom("again"), countdown=0)
        if how == "give none":
            return None
        if how == "unserialisable":
            return object()
        if how != "return":
            raise fault(how, lib)
        return how

    def broken(name: str) -> Any:
        def handler(self: Any, *args: Any) -> None:
            note(self.request.id, f"broken {name}")
            raise Boom(f"in {name}")

        return type("Broken", (base,), {"abstract": True, name: handler})

    for name in ("before_start", "on_success", "on_failure", "after_return", "on_retry"):

        @app.task(name=f"diff.broken_{name}", bind=True, base=broken(name), shared=False)
        def own(self: Any, how: str = "return") -> Any:
            note(self.request.id, "ran", retries=self.request.retries)
            if how == "retry" and not self.request.retries:
                raise self.retry(exc=Boom("again"), countdown=0)
            if how == "raise":
                raise Boom("in the task")
            return how

    class Counting(app.Task):  # type: ignore[misc,name-defined]
        """State lives as long as the process."""

        name = "diff.counting"
        count = 0
        max_retries = 1
        ignore_result = False

        def __init__(self) -> None:
            self.made = True

        def run(self, step: int) -> Any:
            self.count += step
            note(self.request.id, "ran", made=self.made)
            return step

    app.register_task(Counting())

    class Calling(app.Task):  # type: ignore[misc,name-defined]
        """Its ``__call__`` is around every run."""

        abstract = True

        def __call__(self, *args: Any, **kwargs: Any) -> Any:
            note(self.request.id, "before the call")
            try:
                return super().__call__(*args, **kwargs)
            finally:
                note(self.request.id, "after the call")

    @app.task(name="diff.called", bind=True, base=Calling, shared=False)
    def called(self: Any, how: str = "return") -> Any:
        note(self.request.id, "ran", directly=self.request.called_directly)
        if how == "raise":
            raise Boom("inside the call")
        return how

    class Auto(app.Task):  # type: ignore[misc,name-defined]
        """Retry by attributes of the class."""

        name = "diff.auto_class"
        autoretry_for = (Boom,)
        max_retries = 1
        default_retry_delay = 0
        retry_jitter = False

        def run(self) -> Any:
            note(self.request.id, "ran", retries=self.request.retries)
            raise Boom("class")

    app.register_task(Auto())


def record_of(folder: Path) -> Path:
    """Where the lines of a play are."""
    return folder / "record"
