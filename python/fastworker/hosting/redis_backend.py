"""Celery's Redis backend, if the application has one.

Importing its module takes redis-py, which an application without Redis need not have installed.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from celery.backends.redis import RedisBackend


def redis_backend() -> type[RedisBackend] | None:
    """The class, if it is imported: wherever an instance of it is, it is."""
    module = sys.modules.get("celery.backends.redis")
    return None if module is None else module.RedisBackend


def is_redis(backend: Any) -> bool:
    """Whether a backend of Celery's is one of these, or made from one."""
    kind = redis_backend()
    return kind is not None and isinstance(backend, kind)
