"""Interrupting one task of several: what is raised in it, and how in a thread.

A process with one task is interrupted by a signal. Where tasks share a process, the worker says which of them is meant.
"""

from __future__ import annotations

import ctypes
from contextvars import ContextVar
from typing import TYPE_CHECKING

from fastworker.errors import SoftTimeLimitExceeded

if TYPE_CHECKING:
    from fastworker._core import Batch, Call

#: The call, or batch, for which code runs, in a child that runs several at once.
current_call: ContextVar[Call | Batch | None] = ContextVar("fastworker_call", default=None)
#: The call of a batch for which code runs, while it does so for one of them.
current_member: ContextVar[Call | None] = ContextVar("fastworker_member", default=None)


class ToldToEnd(BaseException):
    """Raised in a task that has to end now. Its worker writes the result.

    Attributes:
        outcome: ``time_limit`` or ``terminated``, as ``ChildLink.report`` has it.
    """

    outcome = ""


class HardLimitReached(ToldToEnd):
    """Its hard time limit is over."""

    outcome = "time_limit"


class Terminated(ToldToEnd):
    """It was revoked with ``terminate``."""

    outcome = "terminated"


#: What is raised in a task, by what ``ChildLink.poll`` says.
RAISED: dict[str, type[BaseException]] = {
    "soft": SoftTimeLimitExceeded,
    "hard": HardLimitReached,
    "terminate": Terminated,
}
INTERRUPTS = (SoftTimeLimitExceeded, ToldToEnd)


def raise_for_soft_limits(exception: type[SoftTimeLimitExceeded]) -> None:
    """In this process, tasks whose soft limit is over get ``exception``."""
    RAISED["soft"] = exception


def raise_in_thread(ident: int, exception: type[BaseException] | None) -> None:
    """Have a thread raise ``exception`` when it runs Python code next; None takes back what it has not raised yet.

    A thread that is in a call to C (a read from a socket, ``time.sleep``) raises when that returns.
    """
    target = None if exception is None else ctypes.py_object(exception)
    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(ident), target)
