"""Moving waiting messages from one broker to another. Source: celery/contrib/migrate.py.

A message is taken under a lease, published to the other broker, and acknowledged once that has confirmed it. Whatever
is killed in between, it is in one of them; at worst in both.
"""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from fastworker import _core

if TYPE_CHECKING:
    from fastworker.app.app import FastWorker

#: Messages that are published at once.
_BATCH = 100
#: Seconds that one look at the source may wait.
_LOOK_S = 0.5


@dataclass(frozen=True)
class MigrationTerms:
    """What is to be moved.

    Attributes:
        queues: By name at the source the name at the destination.
        tasks: Names of tasks; empty: all.
        limit: Most messages; None: any number.
        timeout_s: Seconds without a message after which it ends.
        forever: It does not end by that.
        removes: They leave the source. False: the destination gets copies.
    """

    queues: Mapping[str, str]
    tasks: Collection[str] = ()
    limit: int | None = None
    timeout_s: float = 1.0
    forever: bool = False
    removes: bool = True


@dataclass
class Migration:
    """What was done.

    Attributes:
        total: Messages that waited at the source when it began.
        count: Published to the destination.
        left: Seen and not chosen: they stay.
        repeated: Published, and not to be removed any more since the lease was lost: they may run twice.
        by_queue: ``count`` by the name at the destination.
    """

    total: int = 0
    count: int = 0
    left: int = 0
    repeated: int = 0
    by_queue: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Moved:
    """A message on its way.

    Attributes:
        task, id: What it says; ``?`` where it cannot be read.
        queue: Where it goes.
        priority: As it says.
        envelope: As it is published.
    """

    task: str
    id: str
    queue: str
    priority: int
    envelope: bytes


def migrate(
    app: FastWorker,
    source: str,
    destination: str,
    terms: MigrationTerms,
    on_moved: Callable[[Migration, Moved], object] = lambda _migration, _moved: None,
    should_stop: Callable[[], bool] = lambda: False,
) -> Migration:
    """Move messages.

    Args:
        app: Its settings say how queues are declared, and how brokers are spoken with.
        source: Broker URL.
        destination: Another.
        terms: Which.
        on_moved: Called after each message that was published, and removed if it is to be.
        should_stop: Asked before more is taken from the source.

    Raises:
        ImproperlyConfigured: A URL cannot be used.
        OperationalError: A broker cannot be reached; what was not acknowledged goes back to its queue.
    """
    names = list(terms.queues)
    done = Migration()
    to = _core.Publisher(destination, app.broker.options_of(destination))
    looking = _core.Publisher(source, app.broker.options_of(source))
    for name in names:
        # What waits for a permit goes too: nobody draws from a source that is left.
        looking.unlane(name)
        done.total += looking.depth(name)
    looking.close()
    drain = _core.Drain(source, app.broker.options_of(source), names)
    try:
        _move(drain, to, names, terms, done, on_moved, should_stop)
    finally:
        drain.close()
        to.close()
    return done


def _move(
    drain: _core.Drain,
    to: _core.Publisher,
    names: Sequence[str],
    terms: MigrationTerms,
    done: Migration,
    on_moved: Callable[[Migration, Moved], object],
    should_stop: Callable[[], bool],
) -> None:
    silent_since = time.monotonic()
    while not should_stop() and (terms.limit is None or done.count < terms.limit):
        room = _BATCH if terms.limit is None else min(_BATCH, terms.limit - done.count)
        found = drain.fetch(room, _LOOK_S if terms.forever else min(_LOOK_S, terms.timeout_s))
        if not found:
            if not terms.forever and time.monotonic() - silent_since >= terms.timeout_s:
                return
            continue
        chosen: list[tuple[int, Moved]] = []
        for tag, place, envelope in found:
            moved = _addressed(envelope, terms.queues[names[place]])
            if terms.tasks and moved.task not in terms.tasks:
                done.left += 1
            else:
                chosen.append((tag, moved))
        to.publish([(moved.queue, moved.priority, moved.envelope) for _, moved in chosen])
        if terms.removes and chosen:
            done.repeated += drain.acknowledge([tag for tag, _ in chosen])
        for _, moved in chosen:
            done.count += 1
            done.by_queue[moved.queue] = done.by_queue.get(moved.queue, 0) + 1
            on_moved(done, moved)
        silent_since = time.monotonic()


def _addressed(envelope: bytes, queue: str) -> Moved:
    """A message with this queue as its address: Celery's workers give it back to where its address says."""
    try:
        parts = json.loads(envelope)
        properties = parts["properties"]
        task, task_id = _names(parts)
        priority = properties.get("priority")
        if properties.get("delivery_info") != (address := {"exchange": "", "routing_key": queue}):
            properties["delivery_info"] = address
            envelope = json.dumps(parts).encode()
    except (ValueError, KeyError, TypeError, AttributeError):
        # A worker of the destination makes a dead letter of it.
        return Moved("?", "?", queue, 0, envelope)
    number = priority if isinstance(priority, int) else 0
    return Moved(task, task_id, queue, min(max(number, 0), 9), envelope)


def _names(parts: dict[str, Any]) -> tuple[str, str]:
    """Task and id, as the headers say, or the body of a message of protocol 1."""
    headers = parts["headers"]
    if "task" in headers:
        return str(headers["task"]), str(headers.get("id"))
    try:
        body = parts["body"]
        if parts["properties"].get("body_encoding") == "base64":
            body = base64.b64decode(body)
        said = json.loads(body)
        return str(said["task"]), str(said["id"])
    except (ValueError, KeyError, TypeError):
        return "?", "?"
