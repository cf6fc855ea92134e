"""Tasks that say what they were told: handlers, their request, every way to end. Registered by ``apps.py``."""

from __future__ import annotations

import functools
import importlib
import os
import signal
import time
from collections.abc import Mapping
from typing import Any

from tests.support.gate import append_line, hold, read_lines

#: Every attribute of ``self.request`` that Celery documents (contract 9.10).
REQUEST_FIELDS = (
    "id", "task", "args", "kwargs", "retries", "eta", "expires", "is_eager", "called_directly",
    "delivery_info", "hostname", "root_id", "parent_id", "group", "group_index", "chord", "chain",
    "callbacks", "errbacks", "children", "timelimit", "time_limit", "soft_time_limit", "reply_to",
    "correlation_id", "properties", "headers", "origin", "shadow", "lang", "argsrepr", "kwargsrepr",
    "ignore_result", "replaced_task_nesting", "stamped_headers", "stamps", "utc", "loglevel",
    "logfile", "taskset",
)  # fmt: skip


def register(app: Any, errors: str) -> None:
    """Give ``app`` the tasks; ``errors`` is the module of its exceptions."""
    task = functools.partial(app.task, shared=False)
    exceptions = importlib.import_module(errors)

    class Handled(app.Task):  # type: ignore[misc]
        """Writes a line for each handler; the first argument of its tasks is the file."""

        abstract = True

        def __call__(self, *args: Any, **kwargs: Any) -> Any:
            append_line(args[0], "__call__")
            return self.run(*args, **kwargs)

        def before_start(self, task_id: Any, args: Any, kwargs: Any) -> None:
            append_line(args[0], f"before_start {list(args[1:])} {kwargs}")

        def on_success(self, retval: Any, task_id: Any, args: Any, kwargs: Any) -> None:
            append_line(args[0], f"on_success {retval!r} {task_id == self.request.id}")

        def on_retry(self, exc: Any, task_id: Any, args: Any, kwargs: Any, einfo: Any) -> None:
            append_line(args[0], f"on_retry {exc!r} {type(einfo).__name__}")

        def on_failure(self, exc: Any, task_id: Any, args: Any, kwargs: Any, einfo: Any) -> None:
            append_line(args[0], f"on_failure {type(exc).__name__} {einfo.type.__name__}")

        def after_return(
            self, status: str, retval: Any, task_id: Any, args: Any, kwargs: Any, einfo: Any
        ) -> None:
            append_line(args[0], f"after_return {status} {type(retval).__name__} {einfo}")

    @task(name="proj.handled", bind=True, base=Handled, max_retries=1, default_retry_delay=0)
    def handled(self: Any, path: str, mode: str) -> str:
        if mode == "fail":
            raise KeyError("k")
        if mode == "retry":
            raise self.retry(exc=ValueError("again"))
        if mode == "ignore":
            raise exceptions.Ignore()
        if mode == "reject":
            raise exceptions.Reject("no", requeue=False)
        if mode == "sleep":
            time.sleep(60)
        return mode

    @task(name="proj.errback")
    def errback(request: Any, exc: Any, traceback: Any, path: str = "") -> None:
        """New style: called where the failure was recorded, with its facts."""
        append_line(path, f"errback {request.task} {type(exc).__name__}")

    @task(name="proj.telling_errback")
    def telling_errback(request: Any, exc: Any, traceback: Any, path: str = "") -> None:
        append_line(path, str(exc))

    @task(name="proj.holding_errback")
    def holding_errback(request: Any, exc: Any, traceback: Any, path: str = "") -> None:
        hold(path)

    @task(name="proj.old_errback")
    def old_errback(task_id: str) -> str:
        return task_id

    @task(name="proj.request_fields", bind=True)
    def request_fields(self: Any, *args: Any, **kwargs: Any) -> dict[str, str]:
        return {name: shown(getattr(self.request, name)) for name in REQUEST_FIELDS}

    @task(name="proj.replaced", bind=True)
    def replaced(self: Any, by: str) -> Any:
        add, nested = app.tasks["proj.add"], app.tasks["proj.nested"]
        others = {
            "task": lambda: add.s(1, 2),
            "chain": lambda: add.s(1, 2) | add.s(10),
            "failure": lambda: app.tasks["proj.fail"].s("replaced"),
            "nested": lambda: nested.s(),
        }
        raise self.replace(others[by]())

    @task(name="proj.nested", bind=True)
    def nested(self: Any) -> Any:
        """Replaces itself until it is three deep."""
        depth = self.request.replaced_task_nesting
        if depth < 3:
            return self.replace(self.s())
        return [depth, self.request.id, self.request.root_id == self.request.id]

    @task(name="proj.unacked_failure", acks_on_failure=False)
    def unacked_failure() -> None:
        raise KeyError("not to be acknowledged")

    @task(name="proj.long_result", resultrepr_maxsize=30)
    def long_result() -> str:
        return "x" * 1000

    @task(name="proj.slow_once", time_limit=1, acks_late=True, acks_on_timeout=False)
    def slow_once(path: str) -> int:
        """Runs over its limit the first time."""
        append_line(path, "start")
        if len(read_lines(path)) == 1:
            time.sleep(60)
        return len(read_lines(path))

    @task(name="proj.die_for_good", acks_late=True, reject_on_worker_lost=False)
    def die_for_good(path: str) -> None:
        append_line(path, "start")
        os.kill(os.getpid(), signal.SIGKILL)

    @task(name="proj.expected", throws=(KeyError,))
    def expected(key: str) -> None:
        raise KeyError(key)

    @task(name="proj.silent", ignore_result=True)
    def silent(fails: bool) -> str:
        if fails:
            raise KeyError("silent")
        return "said"

    @task(name="proj.silent_but_for_errors", ignore_result=True, store_errors_even_if_ignored=True)
    def silent_but_for_errors() -> None:
        raise KeyError("said all the same")

    @task(name="proj.limited", bind=True, soft_time_limit=0.5)
    def limited(self: Any, clean: bool) -> str:
        try:
            time.sleep(60)
        except exceptions.SoftTimeLimitExceeded:
            if not clean:
                raise
        return "cleaned up"

    @task(name="proj.hard_limited", time_limit=1)
    def hard_limited() -> None:
        time.sleep(60)

    class Counting(app.Task):  # type: ignore[misc]
        """A class-based task: its state lives as long as its process."""

        name = "proj.counting"
        calls = 0

        def run(self, step: int) -> int:
            self.calls += step
            return self.calls

    app.register_task(Counting())


def shown(value: Any) -> str:
    """A value as text, its keys in order."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key}: {shown(value[key])}" for key in sorted(value)) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(shown, value)) + "]"
    return repr(value)
