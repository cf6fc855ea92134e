"""A child whose tasks are greenlets: the main one looks at the link, and starts one for each task.

Tasks that are coroutines run beside them on an event loop, which is a greenlet too (``CoroutineHost``).
"""

from __future__ import annotations

import logging
from contextvars import Context, copy_context
from typing import TYPE_CHECKING, Any

from fastworker import _core, signals
from fastworker.child import where
from fastworker.child.async_tasks import TaskKinds
from fastworker.child.heartbeat import Heartbeat, Watch
from fastworker.child.interrupts import INTERRUPTS, RAISED, current_call
from fastworker.child.trace import Tracers

if TYPE_CHECKING:
    from fastworker._core import Batch, Call, ChildLink
    from fastworker.app.app import FastWorker
    from fastworker.child.coroutine_host import CoroutineHost
    from fastworker.child.side_loop import SideLoop
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
        side: The loop for coroutines, if there is one already.
    """

    def __init__(
        self,
        app: FastWorker,
        link: ChildLink,
        node: str,
        greenlets: Greenlets,
        watch: Watch,
        side: SideLoop | None = None,
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
        self._kinds = TaskKinds(app)
        self._is_eventlet = greenlets.name == "eventlet"
        self._side = side
        self._coroutines: CoroutineHost | None = None
        self._heartbeat = Heartbeat(watch, link, greenlets.spawn_later)

    def run(self) -> None:
        """In the main greenlet. With eventlet Celery's signals of its pool are sent, one such loop being a pool."""
        if self._is_eventlet:
            signals.eventlet_pool_started.send(sender=self)
        self._serve()
        if self._is_eventlet:
            # The worker says so when nothing runs.
            signals.eventlet_pool_preshutdown.send(sender=self)
            signals.eventlet_pool_postshutdown.send(sender=self)

    def _serve(self) -> None:
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

    def _start(self, call: Call | Batch) -> None:
        if self._is_eventlet and signals.eventlet_pool_apply.has_receivers:
            for one in call.calls if isinstance(call, _core.Batch) else [call]:
                self._say_apply(one)
        if self._kinds.is_coroutine(call.task):
            self._coroutine_host().put(call)
            return
        running = self._running[call.number] = _Running(call)
        running.greenlet = self._greenlets.spawn(self._run, call, running, self._context.copy())

    def _say_apply(self, call: Call) -> None:
        """``args`` are those of Celery's ``trace_task``, the headers in the place of its request."""
        headers = _core.loads(call.headers) or {}
        types = (call.content_type, call.content_encoding)
        args = (call.task, call.id, headers, call.body, *types)
        target = self._trace
        signals.eventlet_pool_apply.send(sender=self, target=target, args=args, kwargs={})

    def _coroutine_host(self) -> CoroutineHost:
        if self._coroutines is None:
            # asyncio is not for everybody.
            from fastworker.child.coroutine_host import CoroutineHost
            from fastworker.child.side_loop import SideLoop

            side = self._side or SideLoop(self._greenlets.spawn)
            self._coroutines = CoroutineHost(self._app, self._link, self._node, side)
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

    def _run(self, call: Call | Batch, running: _Running, context: Context) -> None:
        running.has_begun = True
        if running.early is not None:
            # From another greenlet, so as soon as this one waits.
            self._greenlets.spawn(self._greenlets.throw, running.greenlet, running.early)
        try:
            context.run(self._trace, call)
        except INTERRUPTS as exc:
            # Its tracer deals with those that come while the task is its own. This one came when it had ended, or just
            # before it began.
            context.run(self._interrupted, call, exc)
        except BaseException:
            logger.exception("Task %s[%s]: nothing was reported of its end", call.task, call.id)
        finally:
            del self._running[call.number]
            if not self._is_flushing:
                # Once for all that end before the hub comes to it.
                self._is_flushing = True
                self._greenlets.spawn(self._flush)

    def _trace(self, call: Call | Batch) -> None:
        current_call.set(call)
        self._tracers[call.task](call)

    def _interrupted(self, call: Call | Batch, exc: BaseException) -> None:
        current_call.set(call)
        if self._link.is_running:
            self._tracers.interrupted(call, exc)

    def _flush(self) -> None:
        self._is_flushing = False
        self._link.flush()


class _Running:
    """A task in a greenlet."""

    __slots__ = ("call", "early", "greenlet", "has_begun")

    def __init__(self, call: Call | Batch) -> None:
        self.call = call
        self.greenlet: Any = None
        self.has_begun = False
        #: What is to be raised in it, and came before it began.
        self.early: type[BaseException] | None = None
