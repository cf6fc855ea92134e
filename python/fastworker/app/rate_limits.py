"""Rate limits as the user writes them: how often, whose starts count, and by what they are counted.

Source: celery-contract 9.6 (``celery.utils.time.rate``).
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Mapping, Sequence
from typing import Any

from fastworker.errors import ImproperlyConfigured

_PER_SECOND = {"": 1.0, "s": 1.0, "m": 1.0 / 60, "h": 1.0 / 3600}


def per_second(limit: Any, whose: str) -> float | None:
    """How often something may start, in starts a second.

    Args:
        limit: A number (per second), ``"N/s"``, ``"N/m"``, ``"N/h"`` or ``"N"``; None, 0 and the
            empty string are no limit.
        whose: Names the owner in errors: ``task 'mail.send'``.

    Returns:
        None when there is no limit.

    Raises:
        ImproperlyConfigured: It is none of these.
    """
    if not limit:
        return None
    amount, unit = limit, ""
    if isinstance(limit, str):
        amount, _, unit = (part.strip() for part in limit.partition("/"))
    try:
        number = float(amount) * _PER_SECOND[unit]
    except (KeyError, TypeError, ValueError):
        number = -1.0
    if isinstance(limit, bool) or not 0 <= number < math.inf:
        raise ImproperlyConfigured(
            f"rate limit {limit!r} for {whose}: expected a number of starts a second, N/s, N/m or "
            f"N/h; try '10/m'"
        )
    return number or None


def is_shared(task: Any) -> bool:
    """Whether the task's limit counts the starts of all workers together.

    Raises:
        ImproperlyConfigured: ``rate_limit_scope`` is none of ``"worker"``, ``"cluster"`` and None,
            or contradicts ``rate_limit_key``, or the key names no argument of the task.
    """
    scope, key = task.rate_limit_scope, key_spec(task)
    if scope not in (None, "worker", "cluster"):
        raise ImproperlyConfigured(
            f"rate_limit_scope {scope!r} of task {task.name!r}: expected 'worker' (each by itself) "
            f"or 'cluster' (all together); try 'cluster'"
        )
    if key is None:
        return bool(scope == "cluster")
    if scope == "worker":
        raise ImproperlyConfigured(
            f"rate_limit_scope 'worker' of task {task.name!r}: with rate_limit_key the limit "
            f"holds for all workers together; leave the scope out"
        )
    if not callable(key):
        _check_name(task, key)
    return True


def key_spec(task: Any) -> Any:
    """The task's ``rate_limit_key`` as it was given: a function must not become a method."""
    found = inspect.getattr_static(task, "rate_limit_key", None)
    return found.__func__ if isinstance(found, staticmethod) else found


def key_of(task: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> str | None:
    """What the limit of this call counts by, as text; None: the task as a whole.

    Args:
        task: Its ``rate_limit_key`` is None, the name of an argument, or a function of
            ``(args, kwargs)``, whose errors are the caller's.
        args: Positional arguments of the call.
        kwargs: Keyword arguments of the call.

    Raises:
        ImproperlyConfigured: The key names no argument of the task.
    """
    spec = key_spec(task)
    if spec is None:
        return None
    if callable(spec):
        value = spec(args, kwargs)
    elif spec in kwargs:
        value = kwargs[spec]
    else:
        place = _check_name(task, spec)
        # A call without the argument means its default.
        value = args[place] if place < len(args) else _parameters(task)[spec].default
    return None if value is None or value is inspect.Parameter.empty else str(value)


def _parameters(task: Any) -> Mapping[str, inspect.Parameter]:
    return inspect.signature(task.run).parameters


def _check_name(task: Any, name: Any) -> int:
    """The position of the argument of that name."""
    names = list(_parameters(task))
    if name in names:
        return names.index(name)
    raise ImproperlyConfigured(
        f"rate_limit_key {name!r} of task {task.name!r}: expected one of its arguments "
        f"({', '.join(names) or 'it has none'}) or a function of (args, kwargs); try "
        f"rate_limit_key=lambda args, kwargs: …"
    )
