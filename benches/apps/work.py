"""What the tasks do. Both applications register exactly these functions.

Every task counts its execution outside the queue, in a small file per process that the harness maps
too. The count costs well under a microsecond, needs no system call, and is what the harness
believes: a queue that says "empty" has not proved that anything ran.
"""

from __future__ import annotations

import mmap
import os
import time
from pathlib import Path

from benches.apps import options

_counter: memoryview | None = None


def noop(number: int) -> None:
    """Nothing but the count: what remains is the queue's own cost."""
    count()


def echo(number: int) -> int:
    """Return the argument, so that a client can check that every result belongs to its call."""
    count()
    return number


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


def count() -> None:
    """Add one to this process's counter, which is opened at the first task after a fork."""
    global _counter
    if _counter is None:
        _counter = _open_counter(options.EFFECTS_DIR)
    _counter[0] += 1


def _open_counter(folder: Path) -> memoryview:
    """Map ``<folder>/<pid>``, 8 bytes, one unsigned integer in native order."""
    path = folder / str(os.getpid())
    with path.open("w+b") as file:
        file.write(bytes(8))
        file.flush()
        return memoryview(mmap.mmap(file.fileno(), 8)).cast("Q")


def _forget_counter() -> None:
    global _counter
    _counter = None


os.register_at_fork(after_in_child=_forget_counter)
