"""Where one task of several is, for the log: its stack as far as Python can see it.

A thread is somewhere; a coroutine or a greenlet that waits is where it left off, and on no thread's stack.
"""

from __future__ import annotations

import logging
import os
import sys
import traceback
from collections.abc import Iterator
from types import FrameType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fastworker._core import Batch, Call

logger = logging.getLogger("fastworker.worker")

#: How a coroutine, a generator or an asynchronous generator names its frame, and what it waits for.
_KINDS = (("cr_frame", "cr_await"), ("gi_frame", "gi_yieldfrom"), ("ag_frame", "ag_await"))


def tell(call: Call | Batch, stack: str) -> None:
    """Log where a task is that has been running for long; in the words that the worker has for one with a process of
    its own."""
    text = "task %s[%s] has been running for %.1f s in process %d\n%s"
    logger.warning(text, call.task, call.id, call.runtime_s, os.getpid(), stack.rstrip())


def of_thread(ident: int) -> str:
    """The stack of a thread."""
    return of_frame(sys._current_frames().get(ident))


def of_frame(frame: FrameType | None) -> str:
    """The stack that ends in a frame; of a thread or a greenlet."""
    if frame is None:
        return "It runs at this moment."
    return "".join(traceback.format_stack(frame))


def of_coroutine(coroutine: Any) -> str:
    """A coroutine that waits, and the coroutines that it waits for; what it waits for in the end may be no Python."""
    return "".join(traceback.format_list(_summary(coroutine))) or "It has not begun."


def _summary(awaited: Any) -> traceback.StackSummary:
    return traceback.StackSummary.extract((frame, frame.f_lineno) for frame in _frames(awaited))


def _frames(awaited: Any) -> Iterator[FrameType]:
    while awaited is not None:
        for frame_name, next_name in _KINDS:
            frame = getattr(awaited, frame_name, None)
            if frame is not None:
                yield frame
                awaited = getattr(awaited, next_name)
                break
        else:
            return
