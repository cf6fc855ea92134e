"""Events as lines of text. Source: celery/events/dumper.py, whose lines these are."""

from __future__ import annotations

import sys
from collections import OrderedDict
from datetime import datetime, timezone
from typing import IO, Any

#: What ``worker-…`` events are called.
_HUMAN = {
    "worker-offline": "shutdown",
    "worker-online": "started",
    "worker-heartbeat": "heartbeat",
}
#: Tasks whose names are remembered.
_REMEMBERED = 4095


def humanize_type(type: str) -> str:
    """A type for people."""
    return _HUMAN.get(type.lower(), type.lower().replace("-", " "))


class Dumper:
    """Writes a line for each event.

    Args:
        out: Where to; None: standard output.
    """

    def __init__(self, out: IO[str] | None = None) -> None:
        self.out = out or sys.stdout
        self._tasks: OrderedDict[str, str] = OrderedDict()

    def say(self, text: str) -> None:
        """Write a line, so that who reads a pipe has it at once."""
        print(text, file=self.out, flush=True)

    def on_event(self, event: dict[str, Any]) -> None:
        """Write an event."""
        left = dict(event)
        at = datetime.fromtimestamp(left.pop("timestamp"), timezone.utc)
        type, hostname = left.pop("type").lower(), left.pop("hostname")
        task = self._task(type, left) if type.startswith("task-") else None
        fields = ", ".join(f"{name}={left[name]}" for name in sorted(left))
        shown = fields if task is None else f"{task} {fields}"
        self.say(f"{hostname} [{at}] {humanize_type(type)}{':' if fields else ''} {shown}")

    def _task(self, type: str, left: dict[str, Any]) -> str:
        uuid = left.pop("uuid")
        if type in ("task-received", "task-sent"):
            shown = "{}({}) args={} kwargs={}"
            self._tasks[uuid] = shown.format(
                left.pop("name"), uuid, left.pop("args"), left.pop("kwargs")
            )
            if len(self._tasks) > _REMEMBERED:
                self._tasks.popitem(last=False)
        return self._tasks.get(uuid, "")
