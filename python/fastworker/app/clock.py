"""``app.clock``: a logical clock, as Celery's messages between nodes carry it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fastworker._core import LamportClock

__all__ = ["LamportClock", "clock_in"]


def clock_in(fields: Mapping[str, Any]) -> int:
    """The clock that a message carries; 0 if it carries none that can be read."""
    clock = fields.get("clock")
    return clock if isinstance(clock, int) and 0 <= clock < 1 << 62 else 0
