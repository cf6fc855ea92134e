"""Copies of a signature's options, and signatures as plain data."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from datetime import date, time, timedelta
from decimal import Decimal
from typing import Any

_SHARED = (str, int, float, bool, type(None), bytes, date, time, timedelta, Decimal)


def copied(value: Any) -> Any:
    """A copy of options, so that linking to a clone or stamping it leaves the original alone.

    Signatures in it are copied with their options, their arguments are shared, since those may be streams. The body of
    a chord that a member carries is shared too: nobody changes it there.
    """
    if isinstance(value, _SHARED):
        return value
    if isinstance(value, Mapping):
        if "options" in value and "task" in value:
            return _copied_signature(value)
        return {key: item if key == "chord" else copied(item) for key, item in value.items()}
    if type(value) in (list, tuple):
        return type(value)(copied(item) for item in value)
    return copy.deepcopy(value)


def _copied_signature(value: Mapping[str, Any]) -> Any:
    twin: Any = type(value).__new__(type(value))
    twin.update(value)
    twin["options"] = copied(value["options"])
    for name in ("_app", "_type"):
        if hasattr(value, name):
            setattr(twin, name, getattr(value, name))
    return twin


def plain(value: Any) -> Any:
    """Signatures as plain dicts, all the way down: the other end may not be fastworker, whatever
    the serializer.
    """
    if isinstance(value, Mapping):
        return {key: plain(item) for key, item in value.items()}
    return [plain(item) for item in value] if isinstance(value, list | tuple) else value
