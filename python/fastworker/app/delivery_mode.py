"""``delivery_mode``: whether RabbitMQ has to store a message on disk. Other brokers store all of them."""

from __future__ import annotations

from typing import Any

from fastworker.errors import ImproperlyConfigured

_MODES = {1: True, 2: False, "1": True, "2": False, "transient": True, "persistent": False}


def is_transient(mode: Any) -> bool:
    """Whether it is the mode of messages that a restart of the broker may lose.

    Args:
        mode: 1 or ``transient``, 2 or ``persistent``; None is persistent.

    Raises:
        ImproperlyConfigured: It is none of these.
    """
    if mode is None:
        return False
    try:
        return _MODES[mode.lower() if isinstance(mode, str) else mode]
    except (KeyError, TypeError):
        raise ImproperlyConfigured(
            f"delivery_mode (task_default_delivery_mode) is {mode!r}: expected 2 or 'persistent', or 1 or 'transient'"
        ) from None
