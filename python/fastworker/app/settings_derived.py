"""Settings whose value is looked for in more than one place.

The command line passes ``--broker`` and ``--result-backend`` on as environment variables, so that
every process of a worker sees the same ones; they win over the configuration, as in Celery.
``FASTWORKER_…`` wins over ``CELERY_…``, so that both workers can run in one environment.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

Lookup = Callable[[str], Any]
"""From a setting's name to its plain value, None when unset."""

BROKER_URL = "BROKER_URL"
RESULT_BACKEND = "RESULT_BACKEND"


def from_environment(name: str) -> str | None:
    """``FASTWORKER_<name>``, else ``CELERY_<name>``; None when neither is set or it is empty."""
    return os.environ.get(f"FASTWORKER_{name}") or os.environ.get(f"CELERY_{name}") or None


def _broker_url(plain: Lookup) -> Any:
    return from_environment(BROKER_URL) or plain("broker_url") or plain("broker_host")


def _broker_read_url(plain: Lookup) -> Any:
    return from_environment("BROKER_READ_URL") or plain("broker_read_url") or _broker_url(plain)


def _broker_write_url(plain: Lookup) -> Any:
    return from_environment("BROKER_WRITE_URL") or plain("broker_write_url") or _broker_url(plain)


def _result_backend(plain: Lookup) -> Any:
    return from_environment(RESULT_BACKEND) or plain("result_backend")


def _default_exchange(plain: Lookup) -> Any:
    return plain("task_default_exchange") or plain("task_default_queue")


def _default_routing_key(plain: Lookup) -> Any:
    return plain("task_default_routing_key") or plain("task_default_queue")


def _timezone(plain: Lookup) -> Any:
    """Django's TIME_ZONE counts too: Django projects hand over their whole settings module."""
    return plain("timezone") or plain("TIME_ZONE")


DERIVED: dict[str, Callable[[Lookup], Any]] = {
    "broker_url": _broker_url,
    "broker_read_url": _broker_read_url,
    "broker_write_url": _broker_write_url,
    "result_backend": _result_backend,
    "task_default_exchange": _default_exchange,
    "task_default_routing_key": _default_routing_key,
    "timezone": _timezone,
}
