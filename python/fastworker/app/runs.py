"""Names for runs of chords.

A message may be run more than once: its worker dies before the end is settled, or loses its lease and goes on beside
the next one. What each run begins is the same chord, whose members one of them may have published and others counted.
So a chord that follows from a message, or from the end of another chord, begins under a name that each of these runs
knows; and one that a client or a task applies begins anew each time.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from fastworker import _core

#: What follows from this request, or from the run of that name, is being published.
_cause: ContextVar[Any] = ContextVar("cause", default=None)
_MEMBERS = uuid.UUID("5f2c9d1e-6a53-4c8e-9b0a-3f6d1c7e2b48")


@contextmanager
def following(cause: Any) -> Iterator[None]:
    """What is published in here follows from the end of ``cause``: a task's request, or the name of a chord's run."""
    token = _cause.set(cause)
    try:
        yield
    finally:
        _cause.reset(token)


def current() -> str:
    """The name for the run of a chord that begins here."""
    cause = _cause.get()
    name = cause if cause is None or isinstance(cause, str) else message_name(cause)
    return name or _core.new_id()


def message_name(request: Any) -> str | None:
    """What the message of a request is told by from all others, copies of it aside; None: it does not say."""
    properties = getattr(request, "properties", None) or {}
    tag = properties.get("delivery_tag")
    return str(tag) if tag else None


def member_id(request: Any) -> str | None:
    """The id of the next member that the task of ``request`` adds to its chord: the same in each run of its message."""
    name = message_name(request)
    if name is None:
        return None
    request.added_members += 1
    return str(uuid.uuid5(_MEMBERS, f"{name}/{request.added_members}"))
