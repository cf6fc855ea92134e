"""How long a worker waits for a broker that is away: ``broker_connection_retry`` and its like.

Celery bounds the number of attempts, and pauses longer before each: 2 s, 4 s, … up to 30 s. Our worker tries every two
seconds at the latest, so that it is back soon, and gives up when Celery's would: after the time that so many retries
take there. Source: kombu/utils/functional.py, ``retry_over_time``; celery/worker/consumer/consumer.py.
"""

from __future__ import annotations

from typing import Any

#: Celery's pauses: the first, by how much each is longer than the one before, and the longest; seconds.
_FIRST_S, _STEP_S, _LONGEST_S = 2.0, 2.0, 30.0

#: Seconds (None: for ever), and the setting that says so.
Patience = tuple[float | None, str]


def patience_at_start(conf: Any) -> Patience:
    """How long a broker is waited for that is away when the worker starts."""
    retries = conf.broker_connection_retry_on_startup
    if retries is None:
        return patience(conf)
    return _bounded(conf) if retries else (0.0, "broker_connection_retry_on_startup=False")


def patience(conf: Any) -> Patience:
    """How long one is that goes away later."""
    return (
        _bounded(conf) if conf.broker_connection_retry else (0.0, "broker_connection_retry=False")
    )


def _bounded(conf: Any) -> Patience:
    most = conf.broker_connection_max_retries
    if most is None:
        return None, "broker_connection_max_retries=None"
    return retrying_s(int(most)), f"broker_connection_max_retries={most}"


def retrying_s(retries: int) -> float:
    """Seconds that so many retries take in Celery, pauses alone."""
    growing = int(_LONGEST_S / _STEP_S)
    rising = min(retries, growing)
    at_first = rising * _FIRST_S + _STEP_S * rising * (rising - 1) / 2
    return at_first + max(0, retries - growing) * _LONGEST_S
