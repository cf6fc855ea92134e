"""Station 7, run, for a coroutine among others: the steps of ``trace.py`` around an ``await``."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from fastworker.child.coroutines import Interruptible, until_end
from fastworker.child.trace import TaskTracer

if TYPE_CHECKING:
    from fastworker._core import ChildLink
    from fastworker.app.app import FastWorker
    from fastworker.app.task import Task
    from fastworker.child.batch_trace import BatchRun
    from fastworker.child.trace import Run


def async_tracer(app: FastWorker, link: ChildLink, node: str, task: Task[..., Any]) -> AsyncTracer:
    """What runs a task whose function is a coroutine, one call by one or in batches."""
    if task.batch is None:
        return AsyncTracer(app, link, node, task, ())
    from fastworker.child.batch_trace import AsyncBatchTracer

    return AsyncBatchTracer(app, link, node, task, ())


class AsyncTracer(TaskTracer):
    """Runs the calls of one task whose function is a coroutine."""

    def awaited(self, fun: Callable[..., Any]) -> Callable[..., Any]:
        """The function itself: its coroutine is awaited by ``atrace``."""
        return fun

    async def atrace(self, call: Any, started: Callable[[Interruptible], None]) -> None:
        """Run one call and report it.

        Args:
            call: What the worker was given.
            started: Told of the task's coroutine before it runs, so that it can be interrupted.
        """
        run = None
        try:
            run = self.enter(call)
            if run is None:
                return
            if not run.embed and self.is_plain():
                await self._arun_plain(run, started)
            else:
                await self._arun(run, started)
        except Exception as exc:
            self.broke(call, run, exc)
        except BaseException as exc:
            self.left(call, run, exc)
        finally:
            if run is not None:
                self.leave()

    async def _await(self, run: Run | BatchRun, started: Callable[[Interruptible], None]) -> Any:
        coroutine = Interruptible(self.fun(*run.args, **run.kwargs))
        started(coroutine)
        task = asyncio.current_task()
        assert task is not None, "a coroutine runs in a task"
        coroutine.drive(task)
        try:
            return await until_end(coroutine)
        except asyncio.CancelledError:
            if coroutine.told is not None:
                raise coroutine.told from None
            raise

    async def _arun_plain(self, run: Run, started: Callable[[Interruptible], None]) -> None:
        try:
            value = await self._await(run, started)
        except BaseException as exc:
            self.raised(run, exc)
        else:
            self.returned_plain(run, value)

    async def _arun(self, run: Run, started: Callable[[Interruptible], None]) -> None:
        state: str | None = None
        value: Any = None
        try:
            self.before(run)
            since = time.monotonic()
            try:
                self.task.before_start(run.call.id, run.args, run.kwargs)
                value = await self._await(run, started)
            except BaseException as exc:
                state, value = self.raised(run, exc)
            else:
                state, value = self.returned(run, value, time.monotonic() - since)
            self.after(run, state, value)
        finally:
            try:
                self.postrun(run, state, value)
            finally:
                # The traceback of an exception holds this frame.
                value = None
