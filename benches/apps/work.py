"""What the tasks do. Both applications register these functions (the coroutines: only fastworker).

Every task counts its execution outside the queue, in a small file per process that the harness maps
too. The count costs well under a microsecond, needs no system call, and is what the harness
believes: a queue that says "empty" has not proved that anything ran.
"""

from __future__ import annotations

import asyncio
import mmap
import os
import threading
import time
from pathlib import Path

from benches.apps import options

_opened: memoryview | None = None
_lock = threading.Lock()
"""``+=`` on mapped memory is three steps, and some pools run tasks in threads."""


def noop(number: int) -> None:
    """Nothing but the count: what remains is the queue's own cost."""
    count()


async def noop_async(number: int) -> None:
    """The same as a coroutine, for pools that run these natively."""
    count()


def echo(number: int) -> int:
    """Return the argument, so that a client can check that every result belongs to its call."""
    count()
    return number


def tally(numbers: list[int]) -> list[int]:
    """How many there are, and their sum."""
    count()
    return [len(numbers), sum(numbers)]


def wait(seconds: float) -> None:
    """Spend ``seconds`` off the processor, as a task does that waits for a service."""
    time.sleep(seconds)
    count()


def burn(seconds: float) -> None:
    """Spend ``seconds`` of this process's processor time, as a task does that computes."""
    until = time.process_time() + seconds
    while time.process_time() < until:
        pass
    count()


async def hold(seconds: float) -> None:
    """Stay in flight for ``seconds``, at no cost."""
    begin()
    await asyncio.sleep(seconds)
    count()


async def probe(published: str) -> None:
    """Record how long ago it was published.

    Args:
        published: ``time.monotonic_ns()`` of that moment, with leading zeros.
    """
    delay_ns = time.monotonic_ns() - int(published)
    with options.PROBES.open("a") as file:
        file.write(f"{delay_ns}\n")


def begin() -> None:
    """Say that a task has started, for scenarios that ask how many are in flight."""
    with _lock:
        _counters()[1] += 1


def count() -> None:
    """Say that a task has run: add one to this process's counter."""
    with _lock:
        _counters()[0] += 1


def _counters() -> memoryview:
    """Opened at the first task after a fork."""
    global _opened
    if _opened is None:
        _opened = _open_counters(options.EFFECTS_DIR)
    return _opened


def _open_counters(folder: Path) -> memoryview:
    """Map ``<folder>/<pid>``: two unsigned integers of 8 bytes in native order, tasks that have run
    and tasks that have started.
    """
    path = folder / str(os.getpid())
    with path.open("w+b") as file:
        file.write(bytes(16))
        file.flush()
        return memoryview(mmap.mmap(file.fileno(), 16)).cast("Q")


def _forget_counters() -> None:
    global _opened, _lock
    _opened, _lock = None, threading.Lock()


os.register_at_fork(after_in_child=_forget_counters)
