"""Facts about a worker in the forms of ``inspect stats``.

Source: celery-contract 8.3.
"""

from __future__ import annotations

import os
import resource
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, unquote, urlsplit

from fastworker import greenlets
from fastworker.app import amqp
from fastworker.app.masking import mask_url

if TYPE_CHECKING:
    from fastworker.app.app import FastWorker
    from fastworker.worker.lane import Lane

_PORTS = {
    "redis": 6379,
    "rediss": 6379,
    "valkey": 6379,
    "valkeys": 6379,
    "amqp": 5672,
    "pyamqp": 5672,
    "amqps": 5671,
}
_USAGE = (
    "utime", "stime", "maxrss", "ixrss", "idrss", "isrss", "minflt", "majflt", "nswap", "inblock", "oublock",
    "msgsnd", "msgrcv", "nsignals", "nvcsw", "nivcsw",
)  # fmt: skip


def pool_info(
    app: FastWorker, pool: str, concurrency: int | None, snapshot: Mapping[str, Any]
) -> dict[str, Any]:
    """The pool: which one, how many tasks it runs at once, in which processes, and how they are spread.

    Args:
        app: Its settings.
        pool: Which one.
        concurrency: Tasks at once, at the start.
        snapshot: As ``_core.Worker.snapshot`` gives it, of a node or a lane.
    """
    conf = app.conf
    if pool == "solo":
        return {
            "implementation": f"fastworker.child.main:{pool}",
            "max-concurrency": 1,
            "processes": [os.getpid()],
            "max-tasks-per-child": None,
            "put-guarded-by-semaphore": True,
            "timeouts": [],
        }
    children = sorted(zip(snapshot["pids"], snapshot["writes"], strict=True))
    info = {
        "implementation": f"fastworker.child.main:{pool}",
        "max-concurrency": concurrency,
        "processes": [pid for pid, _ in children],
        "max-tasks-per-child": conf.worker_max_tasks_per_child or "N/A",
        "put-guarded-by-semaphore": False,
        "timeouts": [conf.task_soft_time_limit or 0, conf.task_time_limit or 0],
        "writes": _writes([writes for _, writes in children], snapshot["busy"]),
    }
    if pool == "threads":
        info["threads"] = concurrency
    if pool in greenlets.NAMES:
        running = sum(task["stage"] == "active" for task in snapshot["tasks"])
        info["running-threads"] = running
        info["free-threads"] = max(0, (concurrency or 0) - running)
    return info


def _writes(counts: Sequence[int], busy: int) -> dict[str, Any]:
    """How many tasks each child was given, in the words of Celery's prefork pool: ``raw`` their numbers, ``all`` their
    parts of the whole, ``inqueues`` how many children there are and have a task. Source:
    celery/concurrency/asynpool.py, ``human_write_stats``.
    """
    total = sum(counts)
    return {
        "total": total,
        "avg": f"{1 / len(counts) if total else 0:.2f}",
        "all": ", ".join(f"{count / total if total else 0:.2f}" for count in counts),
        "raw": ", ".join(map(str, counts)),
        "strategy": "fair",
        "inqueues": {"total": len(counts), "active": busy},
    }


def autoscaler_info(bounds: tuple[int, int] | None, current: int) -> dict[str, Any]:
    """The entry of a pool that scales by itself: its most and fewest children, and how many there are; else nothing."""
    if bounds is None:
        return {}
    return {"autoscaler": {"max": bounds[0], "min": bounds[1], "current": current, "qty": 0}}


#: Of what has ended.
NOTHING_HELD: Mapping[str, Any] = {"tasks": [], "pids": [], "writes": [], "busy": 0}


def lane_info(app: FastWorker, lane: Lane, snapshot: Mapping[str, Any]) -> dict[str, Any]:
    """One lane, in the words that ``inspect stats`` has for a node."""
    most = lane.settings.max_tasks_per_child
    return {
        **autoscaler_info(lane.autoscale, len(snapshot["pids"])),
        "pool": {
            **pool_info(app, lane.pool, lane.concurrency, snapshot),
            "max-tasks-per-child": most or "N/A",
        },
        "queues": list(lane.queues),
        "prefetch_count": lane.settings.prefetch,
    }


def broker_info(app: FastWorker) -> dict[str, Any]:
    """The broker's address without its password, as kombu's ``Connection.info``."""
    conf = app.conf
    urls = app.broker.read_url.split(";")
    parts = urlsplit(urls[0])
    is_file = (
        parts.scheme.startswith("sqlite") or "socket" in parts.scheme or parts.scheme == "unix"
    )
    path = parts.path if is_file else parts.path.strip("/")
    nameless = "/" if amqp.is_amqp(urls[0]) else "0"
    host = parse_qs(parts.query).get("virtual_host", [unquote(path) or nameless])[0]
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
        # Celery's have the passwords.
        "alternates": [mask_url(url) for url in urls] if len(urls) > 1 else [],
        "credential_provider": None,
    }


def resource_usage() -> dict[str, float]:
    """``getrusage(2)`` of this process."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return {name: getattr(usage, f"ru_{name}") for name in _USAGE}
