"""Numbers as people write them: ``2s``, ``1.5h``, ``40M``, ``16GB``."""

from __future__ import annotations

import math
import re

from fastworker.errors import ImproperlyConfigured

_NUMBER = re.compile(r"\s*([0-9]*\.?[0-9]+(?:e[+-]?[0-9]+)?)\s*([a-zµ]*)\s*", re.IGNORECASE)
_SECONDS = {"us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1, "m": 60, "min": 60, "h": 3600, "d": 86400}
_COUNTS = {"": 1, "k": 1e3, "m": 1e6, "g": 1e9, "b": 1e9}
_BYTES = {
    "": 1,
    "b": 1,
    "kb": 1e3,
    "mb": 1e6,
    "gb": 1e9,
    "kib": 1024,
    "mib": 1024**2,
    "gib": 1024**3,
}


def duration_s(value: object, where: str) -> float:
    """Seconds: a number, or text with a unit.

    Raises:
        ImproperlyConfigured: Neither; ``where`` says whose.
    """
    return _read(value, {"": 1, **_SECONDS}, where, 'seconds, or a time such as "2s", "5m" or "6h"')


def count(value: object, where: str) -> float:
    """How many: a number, or text such as ``40M``.

    Raises:
        ImproperlyConfigured: Neither.
    """
    return _read(value, _COUNTS, where, 'a number such as 40000 or "40M"')


def size_bytes(value: object, where: str) -> float:
    """Bytes: a number, or text such as ``16GB``.

    Raises:
        ImproperlyConfigured: Neither.
    """
    return _read(value, _BYTES, where, 'bytes, or a size such as "16GB"')


def _read(value: object, units: dict[str, float], where: str, expected: str) -> float:
    number: float | None = None
    if isinstance(value, int | float) and not isinstance(value, bool):
        number = float(value)
    elif isinstance(value, str) and (found := _NUMBER.fullmatch(value)):
        unit = units.get(found[2].lower())
        number = None if unit is None else float(found[1]) * unit
    if number is None or not math.isfinite(number) or number < 0:
        raise ImproperlyConfigured(f"{where}: {value!r}: expected {expected}")
    return number
