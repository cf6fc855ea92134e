"""The task by which ``start_worker`` sees that its worker works."""

from __future__ import annotations

from fastworker.app.shared import shared_task


@shared_task(name="celery.ping")
def ping() -> str:
    """Answers ``pong``."""
    return "pong"
