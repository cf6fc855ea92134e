"""A plan from a running fleet: what its workers tell in some seconds of events.

``task-received`` counts arrivals, ``task-succeeded`` and ``task-failed`` bring run times (a task that fails has none of
its own: it is counted with the times of those that succeed). Workers have to send task events (``-E``, or
``fastworker control enable_events``).
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from fastworker.errors import ImproperlyConfigured
from fastworker.plan.arrivals import Arrivals, scv_of
from fastworker.plan.distributions import Empirical
from fastworker.plan.figure import Origin
from fastworker.plan.service_times import ServiceTimes

#: Tasks that are running, and whose names are remembered.
_REMEMBERED = 200_000
#: With fewer arrivals nothing is said about bursts.
_LEAST = 20


@dataclass
class Heard:
    """What was heard of one task.

    Attributes:
        moments: When it arrived, Unix time.
        runtimes_s: How long it ran.
    """

    moments: list[float] = field(default_factory=list)
    runtimes_s: list[float] = field(default_factory=list)


class Listener:
    """Adds events up."""

    def __init__(self) -> None:
        self.tasks: dict[str, Heard] = {}
        self._names: OrderedDict[str, str] = OrderedDict()

    def on_event(self, event: Mapping[str, Any]) -> None:
        """Take one event in."""
        kind, uuid = event.get("type"), str(event.get("uuid"))
        if kind == "task-received" and event.get("name"):
            name = str(event["name"])
            self._names[uuid] = name
            if len(self._names) > _REMEMBERED:
                self._names.popitem(last=False)
            # A retry is received again, and is more work.
            self.tasks.setdefault(name, Heard()).moments.append(float(event["timestamp"]))
        elif kind == "task-succeeded" and uuid in self._names:
            heard = self.tasks[self._names.pop(uuid)]
            heard.runtimes_s.append(float(event.get("runtime") or 0.0))
        elif kind in ("task-failed", "task-revoked", "task-rejected"):
            self._names.pop(uuid, None)

    def classes(self, span_s: float) -> list[dict[str, Any]]:
        """The classes of a plan file's document, with their times and arrivals already read.

        Raises:
            ImproperlyConfigured: Nothing was heard that has both.
        """
        found = []
        for name, heard in sorted(self.tasks.items()):
            if not heard.moments or not any(heard.runtimes_s):
                continue
            moments = sorted(heard.moments)
            is_enough = len(moments) >= _LEAST and moments[-1] > moments[0]
            arrivals = Arrivals(len(moments) / span_s, scv=scv_of(moments) if is_enough else 1.0)
            times = Empirical([(value, 1.0) for value in heard.runtimes_s])
            note = f"{len(heard.runtimes_s):,} tasks heard in {span_s:.0f} s"
            service = ServiceTimes(times, Origin.MEASURED, note)
            found.append({"task": name, "arrivals": arrivals, "service": service})
        if not found:
            raise ImproperlyConfigured(
                f"--live: no task was received and succeeded within {span_s:.0f} s: do the workers send events (worker "
                "-E, or fastworker control enable_events), and is there work?"
            )
        return found


def merged(given: list[Any], heard: list[dict[str, Any]]) -> list[Any]:
    """The classes of a plan file, with what was heard where they do not say it; then the others that were heard."""
    by_task = {each["task"]: each for each in heard}
    classes: list[Any] = []
    for each in given:
        found = by_task.pop(each.get("task"), None) if isinstance(each, Mapping) else None
        if found is None:
            classes.append(each)
            continue
        if {"rate", "per_day", "recorded"} & set(each):
            del found["arrivals"]
        classes.append({**found, **each})
    return classes + list(by_task.values())


def listen(app: Any, span_s: float, say: Callable[[str], None]) -> list[dict[str, Any]]:
    """Listen to an application's workers for so long.

    Args:
        app: The application.
        span_s: Seconds.
        say: Told that it listens.

    Raises:
        OperationalError: The broker cannot be reached, or was lost.
        ImproperlyConfigured: Nothing was heard.
    """
    listener = Listener()
    receiver = app.events.Receiver(handlers={"*": listener.on_event})
    say(f"listening to the fleet for {span_s:g} s")
    until = time.monotonic() + span_s
    try:
        while (left := until - time.monotonic()) > 0:
            for _ in receiver.itercapture(timeout=left, wakeup=False):
                if time.monotonic() >= until:
                    break
    except TimeoutError:
        pass  # nothing more came
    return listener.classes(span_s)
