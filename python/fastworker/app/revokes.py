"""How long revokes are remembered: Celery's limits, from Celery's environment variables."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from fastworker.errors import ImproperlyConfigured

N = TypeVar("N", int, float)


@dataclass(frozen=True)
class RevokeTerms:
    """
    Attributes:
        most: How many ids and stamps; beyond that the oldest go. ``CELERY_WORKER_REVOKES_MAX``.
        expires_s: Seconds. ``CELERY_WORKER_REVOKE_EXPIRES``.
    """

    most: int = 50_000
    expires_s: float = 10_800.0

    @classmethod
    def from_environment(cls) -> RevokeTerms:
        """
        Raises:
            ImproperlyConfigured: A variable is not a number above 0.
        """
        return cls(
            most=_number("CELERY_WORKER_REVOKES_MAX", int, cls.most),
            expires_s=_number("CELERY_WORKER_REVOKE_EXPIRES", float, cls.expires_s),
        )


def _number(name: str, kind: Callable[[str], N], default: N) -> N:
    text = os.environ.get(name)
    if not text:
        return default
    try:
        number = kind(text)
    except ValueError:
        number = kind("0")
    if number <= 0:
        raise ImproperlyConfigured(
            f"environment variable {name} is {text!r}: expected a number above 0; try {default}"
        )
    return number
