"""Task states and the sets they form; the names and sets are Celery's, because they travel on the
wire.
"""

from __future__ import annotations

#: No entry in the result store: waiting, or an id nobody ever published.
PENDING = "PENDING"
#: A worker has fetched the message (events only, never stored).
RECEIVED = "RECEIVED"
#: A child runs the task (stored with ``task_track_started``).
STARTED = "STARTED"
SUCCESS = "SUCCESS"
FAILURE = "FAILURE"
REVOKED = "REVOKED"
#: The message was refused (events only).
REJECTED = "REJECTED"
#: The task asked to run again later.
RETRY = "RETRY"
#: The task raised ``Ignore`` (never stored).
IGNORED = "IGNORED"

#: The task has run; nothing will change any more.
READY_STATES = frozenset({SUCCESS, FAILURE, REVOKED})
UNREADY_STATES = frozenset({PENDING, RECEIVED, STARTED, REJECTED, RETRY})
#: The stored result is an exception.
EXCEPTION_STATES = frozenset({RETRY, FAILURE, REVOKED})
#: ``get()`` raises the stored exception.
PROPAGATE_STATES = frozenset({FAILURE, REVOKED})
#: Nobody has started the task: a revoke may replace these. Ours; Celery has no name for them.
WAITING_STATES = frozenset({PENDING, RECEIVED, RETRY, REJECTED})
ALL_STATES = frozenset({PENDING, RECEIVED, STARTED, SUCCESS, FAILURE, RETRY, REVOKED})

#: Most final first. ``None`` stands for every state that a task made up itself.
PRECEDENCE = (
    SUCCESS,
    FAILURE,
    None,
    REVOKED,
    STARTED,
    RECEIVED,
    REJECTED,
    RETRY,
    PENDING,
)
_RANK = {name: rank for rank, name in enumerate(PRECEDENCE)}


def precedence(name: str) -> int:
    """Rank of a state: 0 is the most final; custom states rank between FAILURE and REVOKED."""
    return _RANK.get(name, _RANK[None])


class state(str):
    """A state that compares by how final it is: ``state(PENDING) < state(SUCCESS)``."""

    __slots__ = ()

    def __gt__(self, other: str) -> bool:
        return precedence(self) < precedence(other)

    def __ge__(self, other: str) -> bool:
        return precedence(self) <= precedence(other)

    def __lt__(self, other: str) -> bool:
        return precedence(self) > precedence(other)

    def __le__(self, other: str) -> bool:
        return precedence(self) >= precedence(other)
