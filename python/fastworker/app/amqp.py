"""RabbitMQ beyond its URL: how queues are declared, and the settings that only it acts on.

Queues have to be declared as Celery declares them: RabbitMQ refuses a queue that exists with other arguments.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fastworker.app.queues import Queue, QueueTable

_SCHEMES = ("amqp", "amqps", "pyamqp")
#: Copies of a worker that was not heard of for so long are thrown away.
_COPIES_EXPIRE_MS = 3_600_000


def is_amqp(url: str) -> bool:
    """Whether this is the URL of a RabbitMQ broker."""
    return url.partition("://")[0].lower() in _SCHEMES


def options(conf: Any, queues: QueueTable) -> dict[str, str]:
    """Transport options that the settings of an application make.

    Args:
        conf: Its settings.
        queues: Its queues; those of fanout exchanges are each worker's own, and not among them.
    """
    default_type = conf.task_default_queue_type
    declared = {
        queue.name: _declared(queue, conf.task_queue_max_priority, is_default, default_type)
        for queue in queues.listed
        if not queue.is_fanout
        for is_default in [not conf.task_queues and queue.name == conf.task_default_queue]
    }
    missing = _typed({}, conf.task_create_missing_queue_type)
    if conf.task_queue_max_priority is not None:
        missing["x-max-priority"] = conf.task_queue_max_priority
    found = {
        "queues": json.dumps(
            {
                "queues": declared,
                "missing": missing,
                "missing_type": conf.task_create_missing_queue_exchange_type or "direct",
            }
        ),
        "native_delayed_delivery_queue_type": conf.broker_native_delayed_delivery_queue_type,
    }
    if "broker_heartbeat" in conf.without_defaults() and conf.broker_heartbeat:
        found["heartbeat"] = str(conf.broker_heartbeat)
    if conf.broker_login_method:
        found["login_method"] = conf.broker_login_method
    return found


def of_worker(
    options: Mapping[str, str],
    fanouts: Iterable[tuple[str, tuple[str, str, str]]],
    direct: Queue | None,
) -> dict[str, str]:
    """The same options, with the queues that are one worker's own.

    Args:
        options: Of ``options``.
        fanouts: Those in which it gets its copies: ``(queue, (exchange, routing key, own queue))`` each.
        direct: The one that ``worker_direct`` gives it.
    """
    topology = json.loads(options["queues"])
    for _queue, (exchange, routing_key, own) in fanouts:
        topology["queues"][own] = {
            "exchange": exchange,
            "type": "fanout",
            "routing_key": routing_key,
            "arguments": {"x-expires": _COPIES_EXPIRE_MS},
        }
    if direct is not None:
        topology["queues"][direct.name] = _declared(direct, None, False, "classic")
    return {**options, "queues": json.dumps(topology)}


def _declared(
    queue: Queue, most: int | None, is_default: bool, default_type: str
) -> dict[str, Any]:
    arguments = dict(queue.arguments)
    if is_default:
        arguments = _typed(arguments, default_type)
    most = most if queue.max_priority is None else queue.max_priority
    if most is not None:
        arguments.setdefault("x-max-priority", most)
    return {
        "exchange": queue.exchange,
        "type": queue.exchange_type,
        "routing_key": queue.routing_key,
        "durable": queue.is_durable,
        "auto_delete": queue.is_auto_delete,
        "arguments": arguments,
        "consumer_arguments": dict(queue.said.get("consumer_arguments") or {}),
    }


def _typed(arguments: dict[str, Any], kind: str | None) -> dict[str, Any]:
    """With the type, as Celery says it: only if it is not the classic one."""
    return {**arguments, "x-queue-type": kind} if kind == "quorum" else arguments
