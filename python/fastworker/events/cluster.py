"""What is known of one worker and of one task by their events. Source: celery/events/state.py."""

from __future__ import annotations

import bisect
import logging
import time
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any
from weakref import WeakSet

from fastworker import states

if TYPE_CHECKING:
    from fastworker.events.state import State

logger = logging.getLogger("fastworker.events.state")

#: A worker is offline when so many per cent of the time between two heartbeats are over.
HEARTBEAT_EXPIRE_WINDOW = 200
#: Seconds between an event's time and its arrival beyond which clocks are said to differ.
HEARTBEAT_DRIFT_MAX = 16
#: Workers of which that is said, before it may be said of one again.
_WARNED = 1000

#: The state of a task after an event.
TASK_EVENT_TO_STATE = {
    "sent": states.PENDING,
    "received": states.RECEIVED,
    "started": states.STARTED,
    "failed": states.FAILURE,
    "retried": states.RETRY,
    "succeeded": states.SUCCESS,
    "revoked": states.REVOKED,
    "rejected": states.REJECTED,
}

_warned_of: dict[str | None, None] = {}


def heartbeat_expires(
    timestamp: float, freq: float = 60, expire_window: float = HEARTBEAT_EXPIRE_WINDOW
) -> float:
    """When a worker that was heard last at ``timestamp`` is given up: both Unix time in seconds."""
    return float(timestamp) + float(freq) * (expire_window / 100)


def _warn_of_drift(hostname: str | None, drift: float, received: float, timestamp: float) -> None:
    if hostname in _warned_of:
        return
    if len(_warned_of) >= _WARNED:
        _warned_of.clear()
    _warned_of[hostname] = None
    logger.warning(
        "Substantial drift from %s may mean clocks are out of sync.  Current drift is %s seconds.  "
        "[orig: %s recv: %s]",
        *(hostname, drift, datetime.fromtimestamp(timestamp), datetime.fromtimestamp(received)),
    )


class Worker:
    """A worker, as its events describe it. Equal to another with the same ``hostname``.

    Args:
        hostname: The node.
        pid: Of its parent process.
        freq: Seconds between its heartbeats.
        heartbeats: When it was heard, Unix time by this machine's clock; the last few.
        clock: Its logical clock.
        active: Tasks that it runs.
        processed: Tasks that it has run.
        loadavg: Of its machine, over 1, 5 and 15 minutes.
        sw_ident, sw_ver, sw_sys: What it is: program, version, operating system.
    """

    #: Heartbeats that are remembered.
    heartbeat_max = 4
    expire_window: float = HEARTBEAT_EXPIRE_WINDOW

    _fields = (
        *("hostname", "pid", "freq", "heartbeats", "clock", "active", "processed", "loadavg"),
        *("sw_ident", "sw_ver", "sw_sys"),
    )

    def __init__(
        self,
        hostname: str | None = None,
        pid: int | None = None,
        freq: float = 60,
        heartbeats: list[float] | None = None,
        clock: int = 0,
        active: int | None = None,
        processed: int | None = None,
        loadavg: list[float] | None = None,
        sw_ident: str | None = None,
        sw_ver: str | None = None,
        sw_sys: str | None = None,
    ) -> None:
        self.hostname = hostname
        self.pid = pid
        self.freq = freq
        self.heartbeats = [] if heartbeats is None else heartbeats
        self.clock = clock or 0
        self.active = active
        self.processed = processed
        self.loadavg = loadavg
        self.sw_ident = sw_ident
        self.sw_ver = sw_ver
        self.sw_sys = sw_sys

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), tuple(getattr(self, name) for name in self._fields)

    def __eq__(self, other: object) -> bool:
        return self.hostname == other.hostname if isinstance(other, Worker) else NotImplemented

    def __hash__(self) -> int:
        return hash(self.hostname)

    def event(
        self,
        type_: str | None,
        timestamp: float | None = None,
        local_received: float | None = None,
        fields: Mapping[str, Any] | None = None,
        max_drift: float = HEARTBEAT_DRIFT_MAX,
    ) -> None:
        """Something was heard of it.

        Args:
            type_: ``online``, ``heartbeat``, ``offline``; None: something about a task of its.
            timestamp: When it happened, by the worker's clock.
            local_received: When it was heard, by ours.
            fields: What the event says; each becomes an attribute.
            max_drift: Seconds between the two that are no cause for a warning.
        """
        self.__dict__.update(fields or {})
        if type_ == "offline":
            self.heartbeats.clear()
            return
        if not local_received or not timestamp:
            return
        drift = abs(int(local_received) - int(timestamp))
        if drift > max_drift:
            _warn_of_drift(self.hostname, drift, local_received, timestamp)
        if len(self.heartbeats) >= self.heartbeat_max:
            self.heartbeats.pop(0)
        bisect.insort(self.heartbeats, local_received)

    def update(self, f: Mapping[str, Any], **kw: Any) -> None:
        """Set attributes."""
        self.__dict__.update(f, **kw)

    @property
    def status_string(self) -> str:
        """``ONLINE`` or ``OFFLINE``."""
        return "ONLINE" if self.alive else "OFFLINE"

    @property
    def heartbeat_expires(self) -> float:
        """When it is given up unless it is heard before; Unix time."""
        return heartbeat_expires(self.heartbeats[-1], self.freq, self.expire_window)

    @property
    def alive(self) -> bool:
        """It was heard, not too long ago, and has not said that it ends."""
        return bool(self.heartbeats) and time.time() < self.heartbeat_expires

    @property
    def id(self) -> str:
        """Node and process."""
        return f"{self.hostname}.{self.pid}"

    def __repr__(self) -> str:
        return f"<Worker: {self.hostname} ({self.status_string} clock:{self.clock})>"


class Task:
    """A task, as its events describe it. Equal to another with the same ``uuid``.

    What its events say becomes attributes; those that none has named are None. ``received``, ``started`` and so on are
    the times of these events.

    Args:
        uuid: Its id.
        cluster_state: Where its parent, root and children are looked for.
        children: Their ids.
        kwargs: More attributes.
    """

    name: str | None = None
    received: float | None = None
    sent: float | None = None
    started: float | None = None
    succeeded: float | None = None
    failed: float | None = None
    retried: float | None = None
    revoked: float | None = None
    rejected: float | None = None
    args: str | None = None
    kwargs: str | None = None
    eta: str | None = None
    expires: str | None = None
    retries: int | None = None
    worker: Worker | None = None
    result: str | None = None
    exception: str | None = None
    timestamp: float | None = None
    runtime: float | None = None
    traceback: str | None = None
    exchange: str | None = None
    routing_key: str | None = None
    root_id: str | None = None
    parent_id: str | None = None
    client: str | None = None
    state: str = states.PENDING
    clock: int = 0

    _fields = (
        *(
            "uuid",
            "name",
            "state",
            "received",
            "sent",
            "started",
            "rejected",
            "succeeded",
            "failed",
        ),
        *("retried", "revoked", "args", "kwargs", "eta", "expires", "retries", "worker", "result"),
        *("exception", "timestamp", "runtime", "traceback", "exchange", "routing_key", "clock"),
        *("client", "root", "root_id", "parent", "parent_id", "children"),
    )

    #: Of an event that comes after one that it happened before, these fields are taken, by the state that it tells of;
    #: all, if that is not here.
    merge_rules: Mapping[str, tuple[str, ...]] = {
        states.RECEIVED: (
            *("name", "args", "kwargs", "parent_id", "root_id", "retries", "eta", "expires"),
        ),
    }

    _info_fields = (
        *("args", "kwargs", "retries", "result", "eta", "runtime", "expires", "exception"),
        *("exchange", "routing_key", "root_id", "parent_id"),
    )

    def __init__(
        self,
        uuid: str | None = None,
        cluster_state: State | None = None,
        children: Iterable[str] | None = None,
        **kwargs: Any,
    ) -> None:
        self.uuid = uuid
        self.cluster_state = cluster_state
        known = cluster_state.tasks.data if cluster_state is not None else {}
        self.children: WeakSet[Task] = WeakSet(
            known[task_id] for task_id in children or () if task_id in known
        )
        self.__dict__.update(kwargs)

    def __eq__(self, other: object) -> bool:
        return self.uuid == other.uuid if isinstance(other, Task) else NotImplemented

    def __hash__(self) -> int:
        return hash(self.uuid)

    def event(
        self,
        type_: str,
        timestamp: float | None = None,
        local_received: float | None = None,
        fields: Mapping[str, Any] | None = None,
    ) -> None:
        """Something was heard of it.

        Args:
            type_: What is behind ``task-`` in the event's type; one that Celery does not know is a state of its own.
            timestamp: When it happened, Unix time.
            local_received: When it was heard; not used.
            fields: What the event says.
        """
        said = dict(fields or {})
        state = TASK_EVENT_TO_STATE.get(type_)
        if state is None:
            state = type_.upper()
        else:
            setattr(self, type_, timestamp)
        if self._is_overtaken(state):
            kept = self.merge_rules.get(state)
            if kept is not None:
                said = {name: value for name, value in said.items() if name in kept}
        else:
            said.update(state=state, timestamp=timestamp)
        self.__dict__.update(said)

    def _is_overtaken(self, state: str) -> bool:
        """Whether a later event was heard before: after a retry everything begins anew."""
        return states.RETRY not in (state, self.state) and states.precedence(
            state
        ) > states.precedence(self.state)

    def info(
        self, fields: Iterable[str] | None = None, extra: Iterable[str] | None = None
    ) -> dict[str, Any]:
        """What there is to show of it: of ``fields`` (None: the usual ones) and ``extra`` those that are known."""
        names = [*(self._info_fields if fields is None else fields), *(extra or ())]
        found = {name: getattr(self, name, None) for name in names}
        return {name: value for name, value in found.items() if value is not None}

    def as_dict(self) -> dict[str, Any]:
        """All fields; children, parent and root by their ids."""
        related = {
            "children": [child.id for child in self.children],
            "root": self.root_id,
            "parent": self.parent_id,
        }
        return {
            name: related[name] if name in related else getattr(self, name) for name in self._fields
        }

    def __reduce__(self) -> tuple[Any, ...]:
        said = {name: value for name, value in vars(self).items() if name != "cluster_state"}
        return _restored, (type(self), {**said, "children": [child.id for child in self.children]})

    @property
    def id(self) -> str | None:
        """Its id."""
        return self.uuid

    @property
    def origin(self) -> str | None:
        """The worker that has it; else the client that sent it."""
        return self.client if self.worker is None else self.worker.id

    @property
    def ready(self) -> bool:
        """It has ended."""
        return self.state in states.READY_STATES

    @property
    def parent(self) -> Task | None:
        """The task that published it, if it is remembered."""
        return self._related(self.parent_id)

    @property
    def root(self) -> Task | None:
        """The first task of its workflow, if it is remembered."""
        return self._related(self.root_id)

    def _related(self, task_id: str | None) -> Task | None:
        if not task_id or self.cluster_state is None:
            return None
        return self.cluster_state.tasks.data.get(task_id)

    def __repr__(self) -> str:
        return f"<Task: {self.name}({self.uuid}) {self.state} clock:{self.clock}>"


def _restored(cls: type[Task], fields: dict[str, Any]) -> Task:
    return cls(**fields)
