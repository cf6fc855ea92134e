"""Rates as the user writes them: ``"10/m"``. Source: celery-contract 9.6 (``celery.utils.time.rate``)."""

from __future__ import annotations

import math
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
