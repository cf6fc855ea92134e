"""The options of batch tasks: ``batch`` and ``batch_timeout``."""

from __future__ import annotations

import math
from typing import Any

from fastworker.errors import ImproperlyConfigured

#: Seconds that a call waits for others when the task does not say.
DEFAULT_TIMEOUT_S = 1.0
#: Most calls of one batch: they are all in memory at once, here and in the child.
MOST_CALLS = 100_000


def check_batch(task: Any) -> None:
    """
    Args:
        task: A task, or its class.

    Raises:
        ImproperlyConfigured: ``batch`` or ``batch_timeout`` cannot be used.
    """
    most, timeout_s = task.batch, task.batch_timeout
    if most is None:
        raise ImproperlyConfigured(
            f"task {task.name!r} has a batch_timeout and no batch: say how many calls it takes at most, such as "
            f"batch=100"
        )
    if isinstance(most, bool) or not isinstance(most, int) or not 1 <= most <= MOST_CALLS:
        raise ImproperlyConfigured(
            f"batch of task {task.name!r} is {most!r}: expected a whole number of calls from 1 to {MOST_CALLS:,}, such "
            f"as 100"
        )
    is_number = isinstance(timeout_s, int | float) and not isinstance(timeout_s, bool)
    if timeout_s is not None and not (is_number and math.isfinite(timeout_s) and timeout_s >= 0):
        raise ImproperlyConfigured(
            f"batch_timeout of task {task.name!r} is {timeout_s!r}: expected seconds, such as 0.5"
        )
    # Its function takes a list of calls, and a call any arguments.
    task.typing = False


def batch_terms(task: Any) -> tuple[int, float] | None:
    """Most calls of a batch, and seconds that one waits for others; None: the task takes calls one by one.

    Raises:
        ImproperlyConfigured: As ``check_batch``.
    """
    if task.batch is None and task.batch_timeout is None:
        return None
    check_batch(task)
    timeout_s = DEFAULT_TIMEOUT_S if task.batch_timeout is None else float(task.batch_timeout)
    return task.batch, timeout_s
