"""Tasks that every pool has to run, each twice: as a plain function (``pool.<name>``) and as a coroutine
(``apool.<name>``).
"""

from __future__ import annotations

import asyncio
import ctypes
import functools
import os
import signal
import threading
import time
from contextlib import asynccontextmanager
from typing import Any

from tests.support.gate import append_line, read_lines

#: Tasks in this process that are in ``meet``.
_meeting: set[str] = set()
#: Most of them that were there at once.
_most = 0
#: The loops on which the lifespan of the application was entered.
_opened_on: list[asyncio.AbstractEventLoop] = []


def _meet(self: Any) -> int:
    global _most
    _meeting.add(self.request.id)
    _most = max(_most, len(_meeting))
    return _most


def _block() -> None:
    """A call that nothing makes cooperative, as a library's in C."""
    signal.sigtimedwait((), 60)


def register(app: Any) -> None:
    """Add them to an application of fastworker."""
    from fastworker import current_task
    from fastworker.exceptions import Ignore, Reject, SoftTimeLimitExceeded

    task = functools.partial(app.task, shared=False)

    closed = os.environ.get("POOL_CLOSED")
    if closed is not None:

        @app.lifespan
        @asynccontextmanager
        async def opens_a_pool(app: Any) -> Any:
            # Has to be left by the task that entered it.
            entered_by = asyncio.current_task()
            _opened_on.append(asyncio.get_running_loop())
            yield
            is_same = asyncio.current_task() is entered_by
            append_line(closed, f"closed {os.getpid()} {is_same}")

    @task(name="pool.who", bind=True)
    def who(self: Any) -> list[Any]:
        time.sleep(0.01)
        return [self.request.id, current_task.request.id, os.getpid()]

    @task(name="apool.who", bind=True)
    async def awho(self: Any) -> list[Any]:
        await asyncio.sleep(0.01)
        return [self.request.id, current_task.request.id, os.getpid()]

    @task(name="apool.loop")
    async def loop() -> str:
        """The module of the loop."""
        return type(asyncio.get_running_loop()).__module__

    @task(name="pool.fail")
    def fail(text: str) -> None:
        raise ValueError(text)

    @task(name="apool.fail")
    async def afail(text: str) -> None:
        await asyncio.sleep(0)
        raise ValueError(text)

    @task(name="pool.leave")
    def leave() -> None:
        raise SystemExit(3)

    @task(name="apool.leave")
    async def aleave() -> None:
        raise SystemExit(3)

    @task(name="apool.leave_in_subtask")
    async def aleave_in_subtask() -> None:
        async def leave_() -> None:
            raise SystemExit(3)

        await asyncio.create_task(leave_())

    @task(name="apool.soft_with_subtask", soft_time_limit=0.3)
    async def asoft_with_subtask(path: str) -> None:
        """What it started notes how it ended."""

        async def wait_() -> None:
            try:
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                append_line(path, "cancelled")
                raise

        await asyncio.wait_for(wait_(), 60)

    def ends(how: str) -> None:
        if how == "ignore":
            raise Ignore()
        raise Reject("not wanted", requeue=False)

    @task(name="pool.ends")
    def ends_(how: str) -> None:
        ends(how)

    @task(name="apool.ends")
    async def aends(how: str) -> None:
        await asyncio.sleep(0)
        ends(how)

    @task(name="pool.retry", bind=True)
    def retry(self: Any) -> int:
        if self.request.retries < 2:
            raise self.retry(countdown=0)
        return int(self.request.retries)

    @task(name="apool.retry", bind=True)
    async def aretry(self: Any) -> int:
        await asyncio.sleep(0)
        if self.request.retries < 2:
            raise self.retry(countdown=0)
        return int(self.request.retries)

    auto = {"autoretry_for": (KeyError,), "retry_backoff": False, "default_retry_delay": 0}

    @task(name="pool.autoretry", bind=True, **auto)
    def autoretry(self: Any) -> int:
        if self.request.retries < 1:
            raise KeyError("again")
        return int(self.request.retries)

    @task(name="apool.autoretry", bind=True, **auto)
    async def aautoretry(self: Any) -> int:
        await asyncio.sleep(0)
        if self.request.retries < 1:
            raise KeyError("again")
        return int(self.request.retries)

    @task(name="pool.soft", soft_time_limit=0.3)
    def soft() -> str:
        try:
            deadline = time.monotonic() + 60
            while time.monotonic() < deadline:
                time.sleep(0.01)
        except SoftTimeLimitExceeded:
            return "cleaned up"
        return "never interrupted"

    @task(name="apool.soft", soft_time_limit=0.3)
    async def asoft() -> str:
        try:
            await asyncio.wait_for(asyncio.sleep(60), 50)
        except SoftTimeLimitExceeded:
            await asyncio.sleep(0.01)
            return "cleaned up"
        return "never interrupted"

    @task(name="pool.hard", time_limit=0.5)
    def hard(path: str) -> None:
        append_line(path, str(os.getpid()))
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            time.sleep(0.01)

    @task(name="apool.hard", time_limit=0.5)
    async def ahard(path: str) -> None:
        append_line(path, str(os.getpid()))
        await asyncio.sleep(60)

    @task(name="pool.block", time_limit=0.5)
    def block(path: str) -> None:
        append_line(path, str(os.getpid()))
        _block()

    @task(name="apool.block", time_limit=0.5)
    async def ablock(path: str) -> None:
        append_line(path, str(os.getpid()))
        _block()

    @task(name="pool.hog")
    def hog(path: str) -> int:
        """Keeps its process, if it is shared, until the file ``path`` + ``.go`` is there."""
        append_line(path, str(os.getpid()))
        while not os.path.exists(path + ".go"):
            signal.sigtimedwait((), 0.05)
        return os.getpid()

    @task(name="apool.hog")
    async def ahog(path: str) -> int:
        append_line(path, str(os.getpid()))
        while not os.path.exists(path + ".go"):
            time.sleep(0.05)
        return os.getpid()

    @task(name="apool.hog_in_c")
    async def ahog_in_c() -> None:
        """Keeps the interpreter too, for three seconds."""
        ctypes.PyDLL(None).usleep(3_000_000)

    @task(name="pool.wait")
    def wait(path: str) -> int:
        """Until the file ``path`` + ``.go`` is there."""
        append_line(path, str(os.getpid()))
        while not os.path.exists(path + ".go"):
            time.sleep(0.01)
        return os.getpid()

    @task(name="apool.wait")
    async def await_(path: str) -> int:
        append_line(path, str(os.getpid()))
        while not os.path.exists(path + ".go"):
            await asyncio.sleep(0.01)
        return os.getpid()

    @task(name="pool.meet", bind=True)
    def meet(self: Any, count: int) -> int:
        """Waits until so many are in it at once, in this process; returns the most there were."""
        deadline = time.monotonic() + 20
        while _meet(self) < count and time.monotonic() < deadline:
            time.sleep(0.01)
        return _most

    @task(name="apool.meet", bind=True)
    async def ameet(self: Any, count: int) -> int:
        deadline = time.monotonic() + 20
        while _meet(self) < count and time.monotonic() < deadline:
            await asyncio.sleep(0.01)
        return _most

    @task(name="pool.alone", bind=True)
    def alone(self: Any) -> int:
        """The most that were in it at once."""
        most = _meet(self)
        time.sleep(0.05)
        _meeting.discard(self.request.id)
        return most

    @task(name="apool.alone", bind=True)
    async def aalone(self: Any) -> int:
        most = _meet(self)
        await asyncio.sleep(0.05)
        _meeting.discard(self.request.id)
        return most

    @task(name="pool.publish", bind=True)
    def publish(self: Any, path: str, count: int) -> list[str]:
        record = app.tasks["proj.record"]
        return [record.delay(path, f"{self.request.id} {number}").id for number in range(count)]

    @task(name="apool.publish", bind=True)
    async def apublish(self: Any, path: str, count: int) -> list[str]:
        record = app.tasks["proj.record"]
        ids = []
        for number in range(count):
            line = f"{self.request.id} {number}"
            # Both ways, and others in between.
            sent = record.delay(path, line) if number % 2 else await record.adelay(path, line)
            ids.append(sent.id)
            await asyncio.sleep(0)
        return ids

    @task(name="pool.die_once")
    def die_once(path: str) -> str:
        append_line(path, str(os.getpid()))
        if len(read_lines(path)) == 1:
            os.kill(os.getpid(), 9)
        return "alive"

    @task(name="apool.die_once")
    async def adie_once(path: str) -> str:
        append_line(path, str(os.getpid()))
        if len(read_lines(path)) == 1:
            os.kill(os.getpid(), 9)
        return "alive"

    @task(name="pool.die")
    def die(path: str) -> None:
        append_line(path, str(os.getpid()))
        os.kill(os.getpid(), 9)

    @task(name="apool.die")
    async def adie(path: str) -> None:
        append_line(path, str(os.getpid()))
        os.kill(os.getpid(), 9)

    @task(name="apool.opened")
    async def opened() -> tuple[int, bool, bool]:
        """How often the lifespan was entered, whether that was on this loop, and whether this is the main thread."""
        is_here = asyncio.get_running_loop() in _opened_on
        is_main = threading.current_thread() is threading.main_thread()
        return len(_opened_on), is_here, is_main
