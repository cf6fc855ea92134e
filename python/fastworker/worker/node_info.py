"""Facts about a worker in the forms of ``inspect stats`` and ``inspect active_queues``.

Source: celery-contract 8.2, 8.3.
"""

from __future__ import annotations

import resource
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, unquote, urlsplit

from fastworker.errors import QueueNotFound

if TYPE_CHECKING:
    from fastworker.app.app import FastWorker
    from fastworker.app.queues import QueueTable
    from fastworker.worker.lane import Lane

_PORTS = {"redis": 6379, "rediss": 6379, "valkey": 6379, "valkeys": 6379}
_USAGE = (
    "utime", "stime", "maxrss", "ixrss", "idrss", "isrss", "minflt", "majflt", "nswap", "inblock", "oublock",
    "msgsnd", "msgrcv", "nsignals", "nvcsw", "nivcsw",
)  # fmt: skip


def queue_info(table: QueueTable, name: str, max_priority: int | None) -> dict[str, Any]:
    """One consumed queue as kombu's ``Queue.as_dict`` gives it. ``max_priority``: ``task_queue_max_priority``."""
    try:
        queue = table[name]
        exchange, kind, key = queue.exchange, queue.exchange_type, queue.routing_key
        own_most = queue.max_priority
    except QueueNotFound:
        exchange, kind, key, own_most = name, "direct", name, None
    unset = (
        "alias",
        "no_declare",
        "expires",
        "message_ttl",
        "max_length",
        "max_length_bytes",
    )
    return {
        "name": name,
        "exchange": {
            "name": exchange,
            "type": kind,
            "arguments": None,
            "durable": True,
            "passive": False,
            "auto_delete": False,
            "delivery_mode": None,
            "no_declare": False,
        },
        "routing_key": key,
        "queue_arguments": None if max_priority is None else {"x-max-priority": max_priority},
        "binding_arguments": None,
        "consumer_arguments": None,
        "durable": True,
        "exclusive": False,
        "auto_delete": False,
        "no_ack": False,
        "bindings": [],
        **dict.fromkeys(unset),
        "max_priority": own_most,
    }


def pool_info(
    app: FastWorker, pool: str, concurrency: int | None, pids: list[int]
) -> dict[str, Any]:
    """The pool: which one, how many tasks it runs at once, and in which processes."""
    conf = app.conf
    return {
        "implementation": f"fastworker.child.main:{pool}",
        "max-concurrency": concurrency,
        "processes": sorted(pids),
        "max-tasks-per-child": conf.worker_max_tasks_per_child or "N/A",
        "put-guarded-by-semaphore": False,
        "timeouts": [conf.task_soft_time_limit or 0, conf.task_time_limit or 0],
    }


def autoscaler_info(bounds: tuple[int, int] | None, current: int) -> dict[str, Any]:
    """The entry of a pool that scales by itself: its most and fewest children, and how many there are; else nothing."""
    if bounds is None:
        return {}
    return {"autoscaler": {"max": bounds[0], "min": bounds[1], "current": current, "qty": 0}}


def lane_info(app: FastWorker, lane: Lane, pids: list[int]) -> dict[str, Any]:
    """One lane, in the words that ``inspect stats`` has for a node."""
    most = lane.settings.max_tasks_per_child
    return {
        **autoscaler_info(lane.autoscale, len(pids)),
        "pool": {
            **pool_info(app, lane.pool, lane.concurrency, pids),
            "max-tasks-per-child": most or "N/A",
        },
        "queues": list(lane.queues),
        "prefetch_count": lane.settings.prefetch,
    }


def broker_info(app: FastWorker) -> dict[str, Any]:
    """The broker's address without its password, as kombu's ``Connection.info``."""
    conf = app.conf
    parts = urlsplit(app.broker.read_url.partition(";")[0])
    is_file = (
        parts.scheme.startswith("sqlite") or "socket" in parts.scheme or parts.scheme == "unix"
    )
    path = parts.path if is_file else parts.path.strip("/")
    host = parse_qs(parts.query).get("virtual_host", [path or "0"])[0]
    return {
        "hostname": parts.hostname,
        "userid": unquote(parts.username) if parts.username else None,
        "virtual_host": host,
        "port": None if is_file else parts.port or _PORTS.get(parts.scheme),
        "insist": False,
        "ssl": bool(conf.broker_use_ssl) or parts.scheme in ("rediss", "valkeys"),
        "transport": parts.scheme,
        "connect_timeout": conf.broker_connection_timeout,
        "transport_options": dict(conf.broker_transport_options or {}),
        "login_method": conf.broker_login_method,
        "uri_prefix": None,
        "heartbeat": conf.broker_heartbeat,
        "failover_strategy": conf.broker_failover_strategy or "round-robin",
        "alternates": [],
        "credential_provider": None,
    }


def resource_usage() -> dict[str, float]:
    """``getrusage(2)`` of this process."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return {name: getattr(usage, f"ru_{name}") for name in _USAGE}
