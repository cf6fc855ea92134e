"""The options of ``apply_async``: which there are, and what becomes of each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from fastworker.app.message import Call
from fastworker.app.nearest import did_you_mean

_CALL = frozenset(f.name for f in fields(Call)) - {"name", "args", "kwargs", "stamps"}
_PUBLISH = frozenset(
    {
        "queue",
        "exchange",
        "exchange_type",
        "routing_key",
        "priority",
        "serializer",
        "compression",
        "headers",
        "retry",
        "retry_policy",
        "delivery_mode",
        "correlation_id",
    }
)
#: Accepted and without meaning here: connections of kombu's (publishing has one of its own, to the
#: application's broker), what kombu passes through, and what a copied ``delivery_info`` holds.
_WITHOUT_MEANING = frozenset(
    {
        "app",
        "chord_size",
        "confirm_timeout",
        "connection",
        "consumer_tag",
        "content_encoding",
        "content_type",
        "declare",
        "delivery_tag",
        "event_dispatcher",
        "expiration",
        "immediate",
        "immutable",
        "is_eager",
        "mandatory",
        "message_count",
        "producer",
        "publisher",
        "redelivered",
        "router",
        "timeout",
    }
)


def split_options(options: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Those that describe the call, and those that say how it is published.

    Raises:
        TypeError: An option that there is none of; names the nearest.
    """
    stamp_names = list(options.get("stamped_headers") or ())
    call: dict[str, Any] = {}
    publish: dict[str, Any] = {}
    for name, value in options.items():
        if name in _CALL:
            call[name] = value
        elif name in _PUBLISH:
            publish[name] = value
        elif name in stamp_names:
            call.setdefault("stamps", {})[name] = value
        elif name not in _WITHOUT_MEANING:
            raise TypeError(f"there is no option {name!r}{did_you_mean(name, _CALL | _PUBLISH)}")
    # Defaults of the message stand where the caller said None.
    return {k: v for k, v in call.items() if v is not None}, publish
