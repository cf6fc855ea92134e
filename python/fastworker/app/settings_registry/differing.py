"""Where fastworker's default is not Celery's, and why; a test holds every other one equal."""

from __future__ import annotations

from typing import Any, NamedTuple


class Difference(NamedTuple):
    """A default that differs: Celery's value, ours, and the reason."""

    celery: Any
    ours: Any
    reason: str


DIFFERING: dict[str, Difference] = {
    "task_acks_late": Difference(
        celery=False,
        ours=True,
        reason="Nothing is lost: a task whose process dies is delivered again, at most "
        "task_max_deliveries times. Set it to False for tasks that must never run twice.",
    ),
}
