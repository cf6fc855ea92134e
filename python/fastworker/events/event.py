"""An event: a dict with at least a type and a time. Source: celery/events/event.py; celery-contract 7."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any


def Event(type: str, _fields: Mapping[str, Any] | None = None, **fields: Any) -> dict[str, Any]:
    """Make one.

    Args:
        type: Such as ``task-progress``: a group, a dash, and the rest.
        _fields: Some of its fields.
        fields: The others; ``timestamp`` (Unix time) is now unless it is among them.
    """
    event = {**(_fields or {}), **fields}
    event.setdefault("timestamp", time.time())
    event["type"] = type
    return event


def group_from(type: str) -> str:
    """The group of a type: what is before its first dash."""
    return type.split("-", 1)[0]


def routing_key_of(type: str) -> str:
    """The routing key of a type."""
    return type.replace("-", ".")


def utcoffset() -> float:
    """Hours west of UTC here and now."""
    return (time.altzone if time.localtime().tm_isdst else time.timezone) / 3600


def adjust_timestamp(timestamp: float, offset: float) -> float:
    """The time of an event of a place with another offset from UTC (hours west), as Celery adjusts it."""
    return timestamp - (offset - utcoffset()) * 3600
