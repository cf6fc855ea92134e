"""The tasks, as plain functions and as coroutines. Each gets the number of its call first, and marks it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine
from typing import Any

from rival_apps import options
from rival_apps.marks import Marks

marks = Marks(options.MARKS)


def noop(number: int) -> None:
    """Nothing but the mark: what remains is the queue's own cost."""
    marks.begin(number)
    marks.end(number)


def echo(number: int, text: str) -> str:
    """Return the argument. Nobody stores it."""
    marks.begin(number)
    marks.end(number)
    return text


def sleep(number: int, seconds: float) -> None:
    """Wait, as a task does that waits for a service."""
    marks.begin(number)
    time.sleep(seconds)
    marks.end(number)


def spin(number: int, seconds: float) -> None:
    """Spend so much processor time of this thread, however long that takes."""
    marks.begin(number)
    until = time.thread_time() + seconds
    while time.thread_time() < until:
        pass
    marks.end(number)


async def noop_async(number: int) -> None:
    """``noop``."""
    noop(number)


async def echo_async(number: int, text: str) -> str:
    """``echo``."""
    return echo(number, text)


async def sleep_async(number: int, seconds: float) -> None:
    """``sleep``, which leaves the event loop free."""
    marks.begin(number)
    await asyncio.sleep(seconds)
    marks.end(number)


async def spin_async(number: int, seconds: float) -> None:
    """``spin``: it holds the event loop of its process."""
    spin(number, seconds)


BLOCKING: dict[str, Callable[..., Any]] = {
    "noop": noop,
    "echo": echo,
    "sleep": sleep,
    "spin": spin,
}
COROUTINES: dict[str, Callable[..., Coroutine[Any, Any, Any]]] = {
    "noop": noop_async,
    "echo": echo_async,
    "sleep": sleep_async,
    "spin": spin_async,
}
