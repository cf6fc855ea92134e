"""Coroutines beside tasks of another kind: many at once, on an event loop that is not the main one of the process."""

from __future__ import annotations

import logging
from contextvars import copy_context
from typing import TYPE_CHECKING

from fastworker.child.async_trace import AsyncTracer, async_tracer
from fastworker.child.event_loop import RunningCoroutine
from fastworker.child.interrupts import current_call

if TYPE_CHECKING:
    from fastworker._core import Batch, Call, ChildLink
    from fastworker.app.app import FastWorker
    from fastworker.child.side_loop import SideLoop

logger = logging.getLogger("fastworker.worker")


class CoroutineHost:
    """Runs tasks that are coroutines, and reports them. Its methods are called outside of the loop.

    Args:
        app: Whose tasks they are.
        link: Where outcomes go.
        node: The worker's name.
        side: Whose loop it uses.
    """

    def __init__(self, app: FastWorker, link: ChildLink, node: str, side: SideLoop) -> None:
        self._app = app
        self._link = link
        self._node = node
        self._tracers: dict[str, AsyncTracer] = {}
        #: By number; only touched on the loop.
        self._running: dict[int, RunningCoroutine] = {}
        self._context = copy_context()
        self._loop = side.loop

    def put(self, call: Call | Batch) -> None:
        """Run a call, which was claimed."""
        # What wakes the loop is the same from another greenlet as from another thread.
        self._loop.call_soon_threadsafe(self._start, call, context=self._context.copy())

    def obey(self, number: int, what: str) -> None:
        """Carry out what ``ChildLink.poll`` says of a task, if it runs here."""
        self._loop.call_soon_threadsafe(self._obey, number, what)

    # ------------------------------------------------------------------------------------------------ on the loop

    def _start(self, call: Call | Batch) -> None:
        tracer = self._tracers.get(call.task)
        if tracer is None:
            task = self._app.tasks[call.task]
            tracer = self._tracers[call.task] = async_tracer(
                self._app, self._link, self._node, task
            )
        running = self._running[call.number] = RunningCoroutine(call)
        running.task = self._loop.create_task(self._run(tracer, call, running))

    def _obey(self, number: int, what: str) -> None:
        running = self._running.get(number)
        if running is not None:
            running.obey(what)

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
            self._link.flush()
