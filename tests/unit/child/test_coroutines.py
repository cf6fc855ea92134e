"""Interrupting a coroutine: what it sees, and what it does not."""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import Coroutine, Iterator
from typing import Any

import pytest

from fastworker.child import coroutines
from fastworker.child.async_tasks import blocking, running_coroutine
from fastworker.child.interrupts import HardLimitReached
from fastworker.errors import SoftTimeLimitExceeded


@pytest.fixture(autouse=True)
def closed_loop() -> Iterator[None]:
    """The loop that this thread keeps ends with each test."""
    yield
    coroutines.close_loop()


def interrupted(coroutine: Coroutine[Any, Any, Any], *exceptions: type[BaseException]) -> Any:
    """Run it, raising each in it, one in each turn of the loop."""

    async def main() -> Any:
        one = coroutines.Interruptible(coroutine)
        task = asyncio.get_running_loop().create_task(_await(one))
        one.drive(task)
        for exception in exceptions:
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            one.interrupt(exception)
        return await task

    return asyncio.run(main())


async def _await(one: Any) -> Any:
    return await one


def test_soft_limit_is_raised_at_the_await() -> None:
    async def task() -> str:
        try:
            await asyncio.sleep(60)
        except SoftTimeLimitExceeded:
            await asyncio.sleep(0)
            return "cleaned up"
        return "slept"

    assert interrupted(task(), SoftTimeLimitExceeded) == "cleaned up"


def test_soft_limit_is_raised_in_what_it_waits_for_too() -> None:
    seen = []

    async def part() -> None:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            seen.append("part")
            raise

    async def task() -> str:
        try:
            await asyncio.gather(part(), part())
        except SoftTimeLimitExceeded:
            return "cleaned up"
        return "slept"

    assert interrupted(task(), SoftTimeLimitExceeded) == "cleaned up"
    assert seen == ["part", "part"]


@pytest.mark.skipif(sys.version_info < (3, 11), reason="asyncio.timeout is of Python 3.11")
def test_a_timeout_of_its_own_works_after_a_soft_limit() -> None:
    async def task() -> str:
        try:
            async with asyncio.timeout(60):
                await asyncio.sleep(60)
        except SoftTimeLimitExceeded:
            try:
                async with asyncio.timeout(0.001):
                    await asyncio.sleep(60)
            except TimeoutError:
                return "timed out"
        return "slept"

    assert interrupted(task(), SoftTimeLimitExceeded) == "timed out"


def test_one_that_is_told_to_end_is_cancelled() -> None:
    seen = []

    async def task() -> None:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            seen.append("cancelled")
            raise

    with pytest.raises(asyncio.CancelledError):
        interrupted(task(), HardLimitReached)
    assert seen == ["cancelled"]


def test_told_to_end_before_it_began() -> None:
    async def task() -> None:
        await asyncio.sleep(60)

    async def main() -> None:
        one = coroutines.Interruptible(task())
        one.interrupt(HardLimitReached)
        current = asyncio.get_running_loop().create_task(_await(one))
        one.drive(current)
        try:
            await current
        finally:
            one.close()

    with pytest.raises(asyncio.CancelledError):
        asyncio.run(main())


def test_thread_keeps_its_loop_from_one_task_to_the_next() -> None:
    async def loop() -> int:
        await asyncio.sleep(0)
        return id(asyncio.get_running_loop())

    run = blocking(loop)
    assert run() == run()


def test_task_in_a_thread_is_interrupted_from_another() -> None:
    started = threading.Event()
    seen: list[Any] = []

    async def task() -> None:
        started.set()
        await asyncio.sleep(60)

    def work() -> None:
        try:
            blocking(task)()
        except BaseException as exc:
            seen.append(type(exc))
        coroutines.close_loop()

    thread = threading.Thread(target=work)
    thread.start()
    assert started.wait(10)
    coroutine = running_coroutine(thread.ident)
    assert coroutine is not None
    coroutine.interrupt_from_elsewhere(HardLimitReached)
    thread.join(10)
    assert (seen, running_coroutine(thread.ident)) == ([HardLimitReached], None)


def test_what_a_task_leaves_on_its_loop_is_cancelled_with_it() -> None:
    seen = []

    async def left() -> None:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            seen.append("cancelled")
            raise

    async def task() -> None:
        kept.append(asyncio.get_running_loop().create_task(left()))
        await asyncio.sleep(0)

    kept: list[Any] = []
    blocking(task)()
    assert seen == []
    coroutines.close_loop()
    assert seen == ["cancelled"]


@pytest.mark.parametrize("where", ["before it is driven", "before it runs"])
def test_interrupt_before_a_coroutine_runs_leaves_nothing_on_the_loop(
    monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    """In a thread it is raised anywhere: what was to run must not run beside the next task."""
    ran = []

    async def task(name: str) -> str:
        ran.append(name)
        return name

    drive = coroutines.Interruptible.drive

    def interrupted_drive(self: Any, task: Any) -> None:
        if where == "before it runs":
            drive(self, task)
        raise SoftTimeLimitExceeded

    with monkeypatch.context() as patch:
        patch.setattr(coroutines.Interruptible, "drive", interrupted_drive)
        with pytest.raises(SoftTimeLimitExceeded):
            coroutines.run_coroutine(task("interrupted"))
    assert coroutines.run_coroutine(task("next")) == "next"
    assert ran == ["next"]
    assert running_coroutine(threading.get_ident()) is None
