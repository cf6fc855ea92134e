"""A child whose tasks are greenlets: the main one looks at the link, and starts one for each task.

Tasks that are coroutines run beside them on an event loop, which is a greenlet too (``CoroutineGreenlet``).
"""

from __future__ import annotations

import logging
from contextvars import Context, copy_context
from typing import TYPE_CHECKING, Any

from fastworker.child import where
from fastworker.child.async_tasks import is_coroutine_task
from fastworker.child.heartbeat import Heartbeat, Watch
from fastworker.child.interrupts import INTERRUPTS, RAISED, current_call
from fastworker.child.trace import Tracers
from fastworker.errors import NotRegistered

if TYPE_CHECKING:
    from fastworker._core import Call, ChildLink
    from fastworker.app.app import FastWorker
    from fastworker.child.coroutine_greenlet import CoroutineGreenlet
    from fastworker.greenlets import Greenlets

logger = logging.getLogger("fastworker.worker")


class GreenletLoop:
    """Runs the tasks that come over a link, until the worker says to finish, or is gone.

    Args:
        app: Whose tasks they are.
        link: Where they come from.
        node: The worker's name.
        greenlets: gevent or eventlet, which are at work in this process.
        watch: What the worker wants to know of the greenlets' loop.
    """

    def __init__(
        self, app: FastWorker, link: ChildLink, node: str, greenlets: Greenlets, watch: Watch
    ) -> None:
        self._app = app
        self._link = link
        self._node = node
        self._greenlets = greenlets
        self._tracers = Tracers(app, link, node, shares=True)
        self._context = copy_context()
        #: By number; those that have not ended.
        self._running: dict[int, _Running] = {}
        self._is_flushing = False
        self._are_coroutines: dict[str, bool] = {}
        self._coroutines: CoroutineGreenlet | None = None
        self._heartbeat = Heartbeat(watch, link, greenlets.spawn_later)

    def run(self) -> None:
        """In the main greenlet."""
        descriptor = self._link.fileno()
        while (found := self._link.poll(blocks=False)) is not None:
            if found:
                self._heartbeat.go_on()
            for one in found:
                if isinstance(one, tuple):
                    self._obey(*one)
                else:
                    self._start(one)
            # The worker's last word may be behind what was found.
            if not found:
                self._greenlets.wait_readable(descriptor)

    def _start(self, call: Call) -> None:
        if self._is_coroutine(call.task):
            self._coroutine_greenlet().put(call)
            return
        running = self._running[call.number] = _Running(call)
        running.greenlet = self._greenlets.spawn(self._run, call, running, self._context.copy())

    def _is_coroutine(self, name: str) -> bool:
        known = self._are_coroutines.get(name)
        if known is None:
            try:
                known = is_coroutine_task(self._app.tasks[name])
            except NotRegistered:
                known = False
            self._are_coroutines[name] = known
        return known

    def _coroutine_greenlet(self) -> CoroutineGreenlet:
        if self._coroutines is None:
            # asyncio is not for everybody.
            from fastworker.child.coroutine_greenlet import CoroutineGreenlet

            self._coroutines = CoroutineGreenlet(self._app, self._link, self._node, self._greenlets)
        return self._coroutines

    def _obey(self, number: int, why: str) -> None:
        running = self._running.get(number)
        if running is None:
            if self._coroutines is not None:
                self._coroutines.obey(number, why)
        elif why == "locate":
            where.tell(running.call, where.of_frame(running.greenlet.gr_frame))
        elif running.has_begun:
            self._greenlets.throw(running.greenlet, RAISED[why])
        else:
            running.early = RAISED[why]

    def _run(self, call: Call, running: _Running, context: Context) -> None:
        running.has_begun = True
        if running.early is not None:
            # From another greenlet, so as soon as this one waits.
            self._greenlets.spawn(self._greenlets.throw, running.greenlet, running.early)
        try:
            context.run(self._trace, call)
        except INTERRUPTS:
            # Its tracer deals with those that come while the task is its own; this one came when it had ended.
            pass
        except BaseException:
            logger.exception("Task %s[%s]: nothing was reported of its end", call.task, call.id)
        finally:
            del self._running[call.number]
            if not self._is_flushing:
                # Once for all that end before the hub comes to it.
                self._is_flushing = True
                self._greenlets.spawn(self._flush)

    def _trace(self, call: Call) -> None:
        current_call.set(call)
        self._tracers[call.task](call)

    def _flush(self) -> None:
        self._is_flushing = False
        self._link.flush()


class _Running:
    """A task in a greenlet."""

    __slots__ = ("call", "early", "greenlet", "has_begun")

    def __init__(self, call: Call) -> None:
        self.call = call
        self.greenlet: Any = None
        self.has_begun = False
        #: What is to be raised in it, and came before it began.
        self.early: type[BaseException] | None = None
