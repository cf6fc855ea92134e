"""One application for both frameworks: the same tasks, registered with fastworker or with the real
Celery.

``-A tests.support.worker_app`` in a worker builds it from the variable ``TEST_APP``; a test builds
the client side with ``build``. That every test app is made here keeps the two sides of a test from
drifting apart.
"""

from __future__ import annotations

import ctypes
import functools
import importlib
import json
import multiprocessing
import os
import signal
import time
from dataclasses import dataclass, field
from typing import Any

from tests.support import (
    batch_tasks,
    chord_tasks,
    flow_tasks,
    greenlet_tasks,
    option_tasks,
    pool_tasks,
    process_tasks,
    switches,
)
from tests.support.gate import append_line, hold, hold_in_place

APP_VARIABLE = "TEST_APP"


class Boom(Exception):
    """An exception that no library has: its class has to travel by name."""


class BigBoom(Boom):
    """One with several arguments."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(code, text)
        self.code = code
        self.text = text


@dataclass(frozen=True)
class AppSpec:
    """All that makes an application; travels to the worker as JSON.

    Attributes:
        framework: ``fastworker`` or ``celery``.
        broker: Broker URL.
        backend: Result store URL; None keeps no results.
        conf: Settings, lower-case names.
    """

    framework: str
    broker: str
    backend: str | None
    conf: dict[str, Any] = field(default_factory=dict)

    def environment(self) -> dict[str, str]:
        """The variable a worker process reads it from."""
        return {APP_VARIABLE: json.dumps(self.__dict__)}

    def with_conf(self, **conf: Any) -> AppSpec:
        """The same with more settings."""
        return AppSpec(self.framework, self.broker, self.backend, {**self.conf, **conf})

    def of(self, framework: str) -> AppSpec:
        """The same for the other framework."""
        return AppSpec(framework, self.broker, self.backend, self.conf)


def build(spec: AppSpec) -> Any:
    """Make the application with all tasks below; ``Any`` because it is one of two frameworks'
    classes.
    """
    if spec.framework == "celery":
        from celery import Celery as App
    else:
        from fastworker import FastWorker as App  # type: ignore[assignment,unused-ignore]
    app = App("proj", broker=spec.broker, backend=spec.backend, set_as_current=False)
    app.conf.update(spec.conf)
    _register(app)
    option_tasks.register(app, f"{spec.framework}.exceptions")
    process_tasks.register(app)
    chord_tasks.register(app, _control_flow(app))
    flow_tasks.register(app, spec.framework)
    if spec.framework == "fastworker":
        pool_tasks.register(app)
        batch_tasks.register(app)
        greenlet_tasks.register(app)
    return app


def _register(app: Any) -> None:
    """Give ``app`` every task that tests call; explicit names, so that both frameworks agree.

    Not shared with the other apps of the process, as Celery would do by default.
    """
    task = functools.partial(app.task, shared=False)

    @task(name="proj.add")
    def add(x: Any, y: Any) -> Any:
        return x + y

    @task(name="proj.echo")
    def echo(*args: Any, **kwargs: Any) -> Any:
        return [list(args), kwargs]

    @task(name="proj.describe")
    def describe(*args: Any, **kwargs: Any) -> Any:
        """What arrived, as text: sees a value that lost its type on the way here, whatever the way
        back does.
        """
        return [
            [f"{type(a).__name__}:{a!r}" for a in args],
            {k: f"{type(v).__name__}:{v!r}" for k, v in kwargs.items()},
        ]

    @task(name="proj.fail")
    def fail(text: str) -> None:
        raise Boom(text)

    @task(name="proj.fail_big")
    def fail_big(code: int, text: str) -> None:
        raise BigBoom(code, text)

    @task(name="proj.fail_builtin")
    def fail_builtin(key: str) -> Any:
        return {}[key]

    @task(name="proj.hold")
    def hold_(path: str) -> int:
        hold(path)
        return os.getpid()

    @task(name="proj.hold_in_c")
    def hold_in_c(path: str, forks: bool = False) -> None:
        """Never comes back from C code, and keeps the interpreter's lock there; with ``forks``, so does a process that
        it forks.
        """
        if forks:
            os.fork()
        append_line(path + ".starts", str(os.getpid()))
        ctypes.PyDLL(None).sleep(3600)

    @task(name="proj.record")
    def record(path: str, line: str) -> None:
        append_line(path, line)

    @task(name="proj.record_by", bind=True)
    def record_by(self: Any, path: str, line: str) -> None:
        append_line(path, f"{line} {self.request.hostname}")

    @task(name="proj.die")
    def die(path: str) -> None:
        """Kills its own process, as a segmentation fault or the kernel's memory killer would."""
        append_line(path, str(os.getpid()))
        os.kill(os.getpid(), 9)

    @task(name="proj.fill_memory")
    def fill_memory(megabytes: int) -> int:
        """Touches that much memory, and lets it go."""
        bytearray(megabytes << 20)[:: 1 << 12] = b"x" * (megabytes << 8)
        return os.getpid()

    @task(name="proj.put_back", bind=True)
    def put_back(self: Any, path: str, count: int) -> int:
        """Puts its message back until it has been started ``count`` times."""
        append_line(path, self.request.id)
        with open(path, encoding="utf-8") as lines:
            starts = len(lines.readlines())
        if starts < count:
            raise _control_flow(app).Reject("once more", requeue=True)
        return starts

    @task(name="proj.tell", bind=True)
    def tell(self: Any) -> int:
        self.send_event("task-told", much=[1], where="here")
        return 1

    @task(name="proj.mute", send_events=False)
    def mute() -> None:
        """Nobody is told of it."""

    @task(name="proj.reject")
    def reject(reason: str) -> None:
        raise _control_flow(app).Reject(reason, requeue=False)

    @task(name="proj.leave_orphan")
    def leave_orphan(path: str) -> None:
        """Starts a process whose parent is gone before it ends."""
        middle = os.fork()
        if middle == 0:
            if os.fork() == 0:
                time.sleep(0.2)
                append_line(path, str(os.getpid()))
            os._exit(0)
        os.waitpid(middle, 0)

    @task(name="proj.who", bind=True)
    def who(self: Any) -> dict[str, Any]:
        request = self.request
        return {
            "id": request.id,
            "name": self.name,
            "hostname": request.hostname,
            "root_id": request.root_id,
            "parent_id": request.parent_id,
            "retries": request.retries,
            "routing_key": request.delivery_info["routing_key"],
            "pid": os.getpid(),
        }

    @task(name="proj.fan_out")
    def fan_out(count: int, path: str) -> int:
        for index in range(count):
            record.delay(path, str(index))
        return count

    @task(name="proj.fan_out_and_fail")
    def fan_out_and_fail(count: int, path: str) -> None:
        for index in range(count):
            record.delay(path, str(index))
        raise Boom("after publishing")

    @task(name="proj.now")
    def now() -> float:
        return time.time()

    @task(name="proj.visit", rate_limit_key="host")
    def visit(path: str, host: str) -> float:
        append_line(path, host)
        return time.time()

    @task(name="proj.parent", bind=True)
    def parent(self: Any) -> list[str]:
        return [self.request.id, who.delay().id]

    @task(name="proj.begin_group", bind=True)
    def begin_group(self: Any, count: int) -> None:
        library = "celery" if type(app).__module__.startswith("celery") else "fastworker"
        canvas = importlib.import_module(f"{library}.canvas")
        canvas.group(app.tasks["proj.add"].s(i, i) for i in range(count)).apply_async()

    @task(name="proj.length")
    def length(text: str) -> int:
        return len(text)

    @task(name="proj.flaky", bind=True, max_retries=3, default_retry_delay=0)
    def flaky(self: Any, succeed_at: int) -> int:
        if self.request.retries < succeed_at:
            raise self.retry(exc=Boom(f"attempt {self.request.retries}"), countdown=0)
        return int(self.request.retries)

    @task(name="proj.fork_and_return")
    def fork_and_return() -> int:
        """The forked process leaves the task like its parent: it must not become a second child."""
        pid = os.fork()
        if pid:
            os.waitpid(pid, 0)
        return os.getpid()

    @task(name="proj.terminate_process")
    def terminate_process() -> int:
        """How a process that the task started takes SIGTERM."""
        process = multiprocessing.get_context("fork").Process(target=signal.pause)
        process.start()
        process.terminate()
        process.join()
        return process.exitcode or 0

    @task(name="proj.start_daemon")
    def start_daemon(path: str) -> None:
        """Starts a process as daemons start: of no parent, and with nothing open that it inherited."""
        middle = os.fork()
        if middle:
            os.waitpid(middle, 0)
            return
        if os.fork() == 0:
            os.setsid()
            os.closerange(0, os.sysconf("SC_OPEN_MAX"))
            hold_in_place(path)
            append_line(path + ".ends", str(os.getpid()))
        os._exit(0)

    @task(name="proj.publish_from_process")
    def publish_from_process(path: str) -> int:
        """A process that the task started publishes; the line says who ran what it published."""
        target = app.tasks["proj.record"].delay
        process = multiprocessing.get_context("fork").Process(target=target, args=(path, "forked"))
        process.start()
        process.join()
        return process.exitcode or 0

    @task(name="proj.unserialisable")
    def unserialisable() -> Any:
        return object()


def _control_flow(app: Any) -> Any:
    """The framework's module of exceptions."""
    if type(app).__module__.startswith("celery"):
        from celery import exceptions
    else:
        from fastworker import exceptions  # type: ignore[no-redef,unused-ignore]
    return exceptions


def from_environment() -> Any:
    """The worker's side of ``build``, with what else the environment asks for."""
    app = build(AppSpec(**json.loads(os.environ[APP_VARIABLE])))
    switches.connect(app)
    return app
