"""The clock that countdowns, ETAs, expiry, retries and rate limits are measured by, in this process.

It goes on by itself; a test moves it ahead, and what comes due by that runs at once: in a worker in a thread
(``fastworker.contrib.testing.worker``), or at the next ``drain``. Leases, time-outs of waiting and the time that
results are kept are real time. Python's own clocks are not touched, nor those of other processes.
"""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

from fastworker import _core
from fastworker.worker import embedded


def advance(by: float | timedelta) -> None:
    """Let time pass.

    Args:
        by: Seconds, or a timedelta.

    Raises:
        ValueError: Negative: a running clock does not go back.
    """
    _core.advance_clock(by.total_seconds() if isinstance(by, timedelta) else by)
    for worker in embedded.living():
        worker.clock_moved()


def now() -> datetime:
    """What this clock shows, in UTC."""
    return datetime.now(timezone.utc) + timedelta(microseconds=_core.clock_ahead_us())


def reset() -> bool:
    """Back to real time. False, and nothing done, while a worker runs in this process: its clock cannot go back."""
    if embedded.living():
        return False
    _core.reset_clock()
    return True
