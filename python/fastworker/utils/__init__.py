"""Celery's public path for small things that user code imports."""

from __future__ import annotations


def uuid() -> str:
    """A new task id: a random UUID as 36 characters."""
    from fastworker import _core

    return _core.new_id()


gen_unique_id = uuid

__all__ = ["gen_unique_id", "uuid"]
