"""Says on the shared page that the loop of this child turns, and which task keeps it when it does not.

The worker looks at the page. When the loop has stood still for ``worker_blocked_after`` it sends two signals: one that
the interpreter answers with its stacks, whatever it does (``worker/stacks.py``); and one whose handler is here. That
runs in the code that keeps the loop, as soon as that runs Python or is in a system call, and so in the context of its
task.

It costs a timer that fires four times in ``worker_blocked_after`` while tasks run, and nothing for each task.
"""

from __future__ import annotations

import logging
import os
import signal
import sysconfig
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fastworker.child.interrupts import current_call

if TYPE_CHECKING:
    from types import FrameType

    from fastworker._core import ChildLink

logger = logging.getLogger("fastworker.worker")

#: ``rust/worker/src/pool/stacks.rs`` sends it to a child that has a heartbeat.
SIGNAL = 62
#: What the answer begins with: known there too.
_BLAME = "blocked by: "
#: Turns of the loop that are written down within the time that it may stand still.
_BEATS = 4


@dataclass(frozen=True)
class Watch:
    """What the worker wants to know of a loop.

    Attributes:
        after_s: How long the loop may stand still; 0: it does not matter.
        answer: Writes down who keeps it, where the worker reads it.
    """

    after_s: float
    answer: Callable[[str], None]


class Heartbeat:
    """The heartbeat of one loop, which is the main thread's.

    Args:
        watch: What the worker wants to know.
        link: Leads to the page.
        later: ``later(seconds, function)`` calls the function on the loop after so long.
    """

    def __init__(
        self, watch: Watch, link: ChildLink, later: Callable[[float, Callable[[], None]], Any]
    ) -> None:
        self._link = link
        self._later = later
        self._answer = watch.answer
        self._every_s = watch.after_s / _BEATS
        self._is_beating = not watch.after_s
        self._turned = 0.0
        #: Who kept the loop when the worker asked last.
        self._blamed: str | None = None
        if watch.after_s:
            signal.signal(SIGNAL, self._say_who_runs)

    def go_on(self) -> None:
        """Tasks run from now on; it ends by itself when none does."""
        if not self._is_beating:
            self._is_beating = True
            self._beat()

    def _beat(self) -> None:
        blamed, self._blamed = self._blamed, None
        now = time.monotonic()
        if blamed is not None:
            text = "child process %d goes on after %.1f s: it was kept by %s"
            logger.warning(text, os.getpid(), now - self._turned, blamed)
        self._turned = now
        self._is_beating = self._link.turned()
        if self._is_beating:
            self._later(self._every_s, self._beat)

    def _say_who_runs(self, number: int, frame: FrameType | None) -> None:
        call = current_call.get()
        place = own_place(frame, is_tasks=call is not None)
        if call is not None:
            who = f"task {call.task}[{call.id}]"
        elif place:
            who = "code of no task"
        else:
            who = "no task; it waits, so the machine may have too much to do"
        self._blamed = f"{who}{place and ', at ' + place}"
        self._answer(f"{_BLAME}{self._blamed}\n")


def own_place(frame: FrameType | None, *, is_tasks: bool) -> str:
    """``file:line in function`` of the innermost frame that is neither Python's nor fastworker's nor of an installed
    package; of a task (``is_tasks``) whose application is installed itself, the innermost of a package. Empty: none."""
    installed = None
    while frame is not None:
        path = frame.f_code.co_filename
        if "site-packages" in path or "dist-packages" in path:
            installed = installed or frame
        elif not path.startswith(_NOBODYS):
            return _place(frame)
        frame = frame.f_back
    return _place(installed) if installed is not None and is_tasks else ""


def _place(frame: FrameType) -> str:
    return f"{frame.f_code.co_filename}:{frame.f_lineno} in {frame.f_code.co_name}"


_NOBODYS = (
    *{sysconfig.get_path(name) for name in ("stdlib", "platstdlib")},
    str(Path(__file__).parents[1]),
    "<frozen ",
)
