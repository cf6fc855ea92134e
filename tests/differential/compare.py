"""Two observations, field by field."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

ABSENT = "(absent)"

MODULES = re.compile(
    r"(?:(?:celery|kombu|billiard)\.exceptions|celery\.backends\.base|celery\.utils\.serialization"
    r"|fastworker\.errors|fastworker\.serialize\.picklable)\.(\w)"
)

#: Only Redis announces documents, so only there every one of them is seen.
ONLY_ON_REDIS = ("states", "stored")


@dataclass(frozen=True)
class Found:
    """A field that differs.

    Attributes:
        scenario: Whose.
        field: Where, as keys joined by ``.``.
        celery: What Celery did.
        ours: What we did.
    """

    scenario: str
    field: str
    celery: Any
    ours: Any


def differences(celery: Any, ours: Any, broker: str) -> Iterator[Found]:
    """Every field that differs, in the scenarios of either."""
    celery, ours = (_same_names(json.loads(json.dumps(seen))) for seen in (celery, ours))
    for scenario in sorted({*celery, *ours}):
        for field, left, right in _walk(celery.get(scenario, ABSENT), ours.get(scenario, ABSENT)):
            if broker != "redis" and any(part in ONLY_ON_REDIS for part in field.split(".")):
                continue
            yield Found(scenario, field, left, right)


def _same_names(value: Any) -> Any:
    """Classes of exceptions without the module that a framework keeps them in. What is stored has
    the module in a field of its own, ``exc_module``, and that is compared as it stands.
    """
    if isinstance(value, str):
        return MODULES.sub(r"exceptions.\1", value)
    if isinstance(value, dict):
        return {
            key: _received_once(_same_names(item)) if key == "log" else _same_names(item)
            for key, item in value.items()
        }
    return list(map(_same_names, value)) if isinstance(value, list) else value


def _received_once(log: list[str]) -> list[str]:
    """Log lines with one "received" a task: what no child can take within a second goes back to its
    queue and is received again, so their number says how busy the machine was.
    """
    return [
        line
        for index, line in enumerate(log)
        if not line.endswith(" received") or line not in log[:index]
    ]


def _walk(left: Any, right: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, Any, Any]]:
    if isinstance(left, dict) and isinstance(right, dict):
        for key in sorted({*left, *right}):
            yield from _walk(left.get(key, ABSENT), right.get(key, ABSENT), (*path, key))
    elif isinstance(left, list) and isinstance(right, list) and len(left) == len(right):
        for index, (one, other) in enumerate(zip(left, right, strict=True)):
            yield from _walk(one, other, (*path, str(index)))
    elif left != right or type(left) is not type(right):
        yield ".".join(path), left, right
