"""A child that runs coroutines: one event loop, and threads for the tasks that are plain functions.

The loop looks at the link when its descriptor is readable, and tells the worker of what has ended once in each turn, so
that many endings are one message. uvloop is used where it is installed.
"""

from __future__ import annotations

import asyncio
import gc
import logging
from importlib import import_module
from typing import TYPE_CHECKING, Any

from fastworker.child import where
from fastworker.child.async_tasks import is_coroutine_task
from fastworker.child.async_trace import AsyncTracer, async_tracer
from fastworker.child.crew import Crew
from fastworker.child.heartbeat import Heartbeat, Watch
from fastworker.child.interrupts import RAISED, current_call
from fastworker.child.trace import Tracers
from fastworker.errors import NotRegistered

if TYPE_CHECKING:
    from collections.abc import Callable

    from fastworker._core import Batch, Call, ChildLink
    from fastworker.app.app import FastWorker
    from fastworker.child.coroutines import Interruptible

logger = logging.getLogger("fastworker.worker")


def new_event_loop() -> asyncio.AbstractEventLoop:
    """uvloop's where it is installed, else asyncio's."""
    try:
        uvloop = import_module("uvloop")
    except ImportError:
        return asyncio.new_event_loop()
    loop: asyncio.AbstractEventLoop = uvloop.new_event_loop()
    return loop


#: Objects made beyond those that were freed, before the youngest are looked through; and Python's own, of all versions.
_GC_THRESHOLD = 10_000
_PYTHONS_GC_THRESHOLDS = (700, 2000)


class EventLoop:
    """Runs the tasks that come over a link on the running event loop.

    Args:
        app: Whose tasks they are.
        link: Where they come from.
        node: The worker's name.
        watch: What the worker wants to know of the loop.
    """

    def __init__(self, app: FastWorker, link: ChildLink, node: str, watch: Watch) -> None:
        self._app = app
        self._link = link
        self._node = node
        self._loop = asyncio.get_running_loop()
        self._tracers: dict[str, AsyncTracer | None] = {}
        self._crew = Crew(link, Tracers(app, link, node, shares=True))
        self._running: dict[int, RunningCoroutine] = {}
        self._is_flushing = False
        self._heartbeat = Heartbeat(watch, link, self._loop.call_later)
        self._is_over = self._loop.create_future()

    async def run(self) -> None:
        """Until the worker says to finish, or is gone."""
        descriptor = self._link.fileno()
        self._loop.add_reader(descriptor, self._look)
        try:
            self._look()
            await self._is_over
        finally:
            self._loop.remove_reader(descriptor)
        # The worker says so when nothing runs; if it is gone, nobody wants to know how what runs ends.
        await self._loop.run_in_executor(None, self._crew.close)

    def _look(self) -> None:
        """Start what has come, and interrupt whom the worker wants interrupted."""
        try:
            # Again until there is nothing: the worker's last word may be behind what was found.
            while found := self._link.poll(blocks=False):
                self._deal_with(found)
        except BaseException as exc:
            self._end(exc)
            return
        if found is None:
            self._end(None)

    def _deal_with(self, found: list[Any]) -> None:
        self._heartbeat.go_on()
        for one in found:
            if isinstance(one, tuple):
                self._obey(*one)
                continue
            tracer = self._tracer(one.task)
            if tracer is None:
                self._crew.put(one)
            else:
                running = self._running[one.number] = RunningCoroutine(one)
                running.task = self._loop.create_task(self._run(tracer, one, running))

    def _end(self, exc: BaseException | None) -> None:
        if self._is_over.done():
            return
        if exc is None:
            self._is_over.set_result(None)
        else:
            self._is_over.set_exception(exc)

    def _tracer(self, name: str) -> AsyncTracer | None:
        """What runs a task on the loop; None: it is a plain function, or not registered here."""
        try:
            return self._tracers[name]
        except KeyError:
            pass
        tracer: AsyncTracer | None = None
        try:
            task = self._app.tasks[name]
            if is_coroutine_task(task):
                tracer = async_tracer(self._app, self._link, self._node, task)
        except NotRegistered:
            pass
        self._tracers[name] = tracer
        return tracer

    async def _run(
        self, tracer: AsyncTracer, call: Call | Batch, running: RunningCoroutine
    ) -> None:
        current_call.set(call)
        try:
            await tracer.atrace(call, running.started)
        except BaseException:
            logger.exception("Task %s[%s]: nothing was reported of its end", call.task, call.id)
        finally:
            del self._running[call.number]
            if not self._is_flushing:
                self._is_flushing = True
                self._loop.call_soon(self._flush)

    def _flush(self) -> None:
        self._is_flushing = False
        self._link.flush()

    def _obey(self, number: int, what: str) -> None:
        running = self._running.get(number)
        if running is not None:
            running.obey(what)
        else:
            self._crew.obey(number, what)


class RunningCoroutine:
    """A task on the loop."""

    __slots__ = ("_call", "_coroutine", "_early", "task")

    def __init__(self, call: Call | Batch) -> None:
        self._call = call
        #: Held so that the loop's weak reference is not the only one.
        self.task: asyncio.Task[None] | None = None
        self._coroutine: Interruptible | None = None
        self._early: type[BaseException] | None = None

    def started(self, coroutine: Interruptible) -> None:
        """Its coroutine is about to run."""
        self._coroutine = coroutine
        if self._early is not None:
            coroutine.interrupt(self._early)

    def obey(self, what: str) -> None:
        """Carry out what ``ChildLink.poll`` says of it."""
        if what == "locate":
            coroutine = self._coroutine and self._coroutine.wrapped
            where.tell(self._call, where.of_coroutine(coroutine))
        elif self._coroutine is None:
            # Raised as soon as it runs.
            self._early = RAISED[what]
        else:
            self._coroutine.interrupt(RAISED[what])


def run_on_event_loop(
    app: FastWorker,
    open_link: Callable[[], ChildLink],
    node: str,
    close: Callable[[], None],
    watch: Watch,
) -> None:
    """Run tasks on an event loop until the worker says to finish, or is gone.

    Args:
        app: Whose tasks they are. Its lifespans last as long as the loop runs.
        open_link: Tells the worker that this child is ready; called when all else is.
        node: The worker's name.
        close: Called when the last task has ended, while the loop still runs.
        watch: What the worker wants to know of the loop.
    """

    async def serve() -> None:
        async with app.lifespans.entered(app):
            try:
                await EventLoop(app, open_link(), node, watch).run()
            finally:
                close()

    loop = new_event_loop()
    asyncio.set_event_loop(loop)
    _collect_seldom()
    serving = loop.create_task(serve())
    while True:
        try:
            loop.run_until_complete(serving)
            break
        except (SystemExit, KeyboardInterrupt) as exc:
            # asyncio lets these out of the loop whoever raised them, and the other tasks have no part in it.
            if serving.done():
                raise
            logger.critical("code that a task started on the event loop raised %r; it goes on", exc)
    # Not after an error: what runs would be cancelled and reported as failed, and is delivered again as it is.
    _close(loop)


def _collect_seldom() -> None:
    """Thousands of coroutines that wait are some hundred thousand objects, which a full collection looks through while
    nothing else runs: a tenth of a second for ten thousand. With Python's threshold of 700 one comes every few seconds;
    with this it is one in a minute or more. Whoever has set another threshold keeps it."""
    youngest, *older = gc.get_threshold()
    if youngest in _PYTHONS_GC_THRESHOLDS:
        gc.set_threshold(_GC_THRESHOLD, *older)


def _close(loop: asyncio.AbstractEventLoop) -> None:
    """Cancel what is left, close asynchronous generators, and the loop."""
    left = asyncio.all_tasks(loop)
    for task in left:
        task.cancel()
    if left:
        loop.run_until_complete(asyncio.gather(*left, return_exceptions=True))
    loop.run_until_complete(loop.shutdown_asyncgens())
    loop.close()
