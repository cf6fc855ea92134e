"""Rate limits of tasks: whose starts count, and by what they are counted; ``rates.py`` has how often.

Source: celery-contract 9.6 (``celery.utils.time.rate``).
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from typing import Any

from fastworker.errors import ImproperlyConfigured


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
