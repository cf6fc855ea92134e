"""Waiting for a result inside a task is refused: a pool whose every child waits for another task
never ends.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

#: Set once in a worker's child, for all of its threads; a context variable would only cover the
#: thread that set it.
_blocks_in_process = False
#: What the innermost ``with`` block says; None outside of one.
_override: ContextVar[bool | None] = ContextVar("fastworker_join_override", default=None)

_REFUSAL = (
    "Never call result.get() within a task! The task would occupy a worker process while it waits "
    "for another one, "
    "and when all processes wait, nothing runs. Use a chain or link=, or, if other workers run the "
    "awaited task, "
    "get(disable_sync_subtasks=False) or `with allow_join_result():`"
)


def set_task_join_will_block(blocks: bool) -> None:
    """Refuse ``get()`` in this whole process; a worker's child calls it at start."""
    global _blocks_in_process
    _blocks_in_process = blocks


def task_join_will_block() -> bool:
    """True where ``get()`` is refused."""
    override = _override.get()
    return _blocks_in_process if override is None else override


def assert_will_not_block() -> None:
    """
    Raises:
        RuntimeError: A task runs here.
    """
    if task_join_will_block():
        raise RuntimeError(_REFUSAL)


@contextmanager
def allow_join_result() -> Iterator[None]:
    """Allow ``get()`` inside a task, for a block; the author knows that somebody else runs what is
    awaited.
    """
    token = _override.set(False)
    try:
        yield
    finally:
        _override.reset(token)


@contextmanager
def denied_join_result() -> Iterator[None]:
    """Refuse ``get()`` for a block; eager tasks run under it, so that they fail as they would in a
    worker.
    """
    token = _override.set(True)
    try:
        yield
    finally:
        _override.reset(token)
