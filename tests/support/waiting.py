"""Waiting for what other processes do: a condition with a deadline, never a bare sleep."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

# Short enough that a test does not notice, long enough that polling costs nothing.
POLL_S = 0.02


def wait_until(
    condition: Callable[[], T], what: str, timeout_s: float = 15.0, poll_s: float = POLL_S
) -> T:
    """Return the first truthy value of ``condition()``.

    For conditions that only another process can make true and that send no signal, such as the
    length of a queue.

    Args:
        condition: Asked every ``poll_s`` seconds; must not have side effects.
        what: What is waited for, as the end of "waited for …".
        timeout_s: Seconds until the wait is given up.
        poll_s: Seconds between two questions.

    Raises:
        TimeoutError: Not truthy in time; the text has ``what`` and the last value.
    """
    deadline = time.monotonic() + timeout_s
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() >= deadline:
            raise TimeoutError(f"waited {timeout_s} s for {what}; last value {value!r}")
        time.sleep(poll_s)
