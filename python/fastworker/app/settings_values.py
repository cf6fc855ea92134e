"""What a value of each kind looks like, and the few settings that follow rules of their own."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from datetime import timedelta, tzinfo
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from fastworker.app.settings_registry import Kind
from fastworker.canvas.chord_errors import EXPECTED, is_policy

_NUMBER = "a number"
_WORDS: dict[Kind, str] = {
    "any": "anything",
    "bool": "True or False",
    "bytes": "text or bytes",
    "dict": "a dict",
    "float": _NUMBER,
    "int": "a whole number",
    "list": "a list or tuple",
    "seconds": "a number of seconds or a timedelta",
    "str": "text",
}
_RATE = re.compile(r"\s*\d+(\.\d+)?(/[smh])?\s*$")

Check = Callable[[Any], str | None]
"""From a value to what was expected instead; None when the value is fine."""


def what_is(kind: Kind) -> str:
    """A kind in words."""
    return _WORDS[kind]


def is_a(kind: Kind, value: Any) -> bool:
    """``value`` is of this kind. A bool is no number, whatever Python says; 0 and 1 are bools."""
    if kind == "any":
        return True
    if kind == "bool":
        return isinstance(value, bool) or (isinstance(value, int) and value in (0, 1))
    if kind == "int":
        return _is_number(value) and float(value).is_integer()
    if kind == "float":
        return _is_number(value)
    if kind == "seconds":
        return _is_number(value) or isinstance(value, timedelta)
    return isinstance(value, _CLASSES[kind])


_CLASSES: dict[Kind, tuple[type, ...]] = {
    "bytes": (str, bytes),
    "dict": (Mapping,),
    "list": (list, tuple, set, frozenset),
    "str": (str, os.PathLike),
}


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _url(value: Any) -> str | None:
    if isinstance(value, str) or (
        isinstance(value, list | tuple) and value and all(isinstance(url, str) for url in value)
    ):
        return None
    return "a URL or a list of URLs; try 'redis://localhost:6379/0'"


def _modules(value: Any) -> str | None:
    if isinstance(value, str) or is_a("list", value):
        return None
    return "a list of module names; try ['myproject.tasks']"


def _concurrency(value: Any) -> str | None:
    text = str(value).strip().lower()
    if isinstance(value, bool) or not (text == "auto" or text.isdigit()):
        return "a whole number of at least 1, or 'auto'; try 'auto'"
    return None


def _level(value: Any) -> str | None:
    if isinstance(value, int) or (isinstance(value, str) and value.upper() in _LEVELS):
        return None
    return f"a log level, one of {', '.join(_LEVELS)}; try 'WARNING'"


_LEVELS = ("DEBUG", "INFO", "WARNING", "WARN", "ERROR", "CRITICAL", "FATAL")


def _zone(value: Any) -> str | None:
    if isinstance(value, tzinfo):
        return None
    try:
        ZoneInfo(value)
    except (TypeError, ValueError, OSError, ZoneInfoNotFoundError):
        return "an IANA zone name or a tzinfo; try 'Europe/Berlin' or 'UTC'"
    return None


def _rate(value: Any) -> str | None:
    if _is_number(value) or (isinstance(value, str) and _RATE.match(value)):
        return None
    return "a number of tasks a second, or N/s, N/m, N/h; try '10/m'"


def _queue_numbers(value: Any) -> str | None:
    if isinstance(value, Mapping) and all(
        isinstance(queue, str) and is_a("int", number) and number >= 1
        for queue, number in value.items()
    ):
        return None
    return "a dict of queues and whole numbers of at least 1; try {'crawl': 2}"


def _lanes(value: Any) -> str | None:
    keys = ("queues", "pool", "concurrency")
    if isinstance(value, Mapping) and all(
        isinstance(lane, Mapping) and all(lane.get(key) is not None for key in keys)
        for lane in value.values()
    ):
        return None
    return (
        "a dict of lanes, each a dict with queues, pool and concurrency; try {'cpu': {'queues': ['parse'], "
        "'pool': 'processes', 'concurrency': 2}}"
    )


def _chord_errors(value: Any) -> str | None:
    return None if is_policy(value) else EXPECTED


SPECIAL: dict[str, Check] = {
    "broker_url": _url,
    "broker_read_url": _url,
    "broker_write_url": _url,
    "imports": _modules,
    "include": _modules,
    "worker_concurrency": _concurrency,
    "worker_redirect_stdouts_level": _level,
    "timezone": _zone,
    "task_chord_errors": _chord_errors,
    "task_default_rate_limit": _rate,
    "worker_queue_limits": _queue_numbers,
    "worker_queue_weights": _queue_numbers,
    "worker_lanes": _lanes,
}
