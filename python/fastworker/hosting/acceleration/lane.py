"""Calls of one task with the same options, in one thread of a client: all that stays the same between two of them.

It is Celery's own code that is asked where such a call goes and what is in its message, once. A lane is good until
something that it was made from changes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from celery.backends.base import Backend
from celery.utils.nodenames import anon_nodename
from celery.utils.saferepr import saferepr

from fastworker import _core
from fastworker.hosting.acceleration import untouched
from fastworker.hosting.redis_backend import redis_backend

if TYPE_CHECKING:
    from celery import Celery

    from fastworker.hosting.acceleration.road import Road

_PERSISTENT = (2, "2", "persistent")
#: A short value that is less deep than this is written as Python writes it.
_REPR_LEVELS = 3
#: What ``send_task`` gets for each call of a task, and the route is asked for with.
ROUTED = (
    "queue",
    "exchange",
    "routing_key",
    "priority",
    "serializer",
    "delivery_mode",
    "time_limit",
    "soft_time_limit",
)


class Lane:
    """A prepared message.

    Args:
        road: The way to the broker.
        plan: The message.
        on_task_call: What the result backend wants to be told, before the message is published; None: nothing.

    Attributes:
        member: Makes the envelope of a call.
        reply_to: This thread's id.
    """

    __slots__ = (
        "_amqp", "_changes", "_conf", "_epoch", "_names", "_road", "_router", "_sender",
        "_values", "member", "on_task_call", "reply_to",
    )  # fmt: skip

    def __init__(self, road: Road, plan: _core.MessagePlan, on_task_call: Any, sender: Any) -> None:
        celery = road.celery
        self._road = road
        self._epoch = road.epoch
        self._amqp = celery.amqp
        self._router = celery.amqp.router
        self._sender = sender
        self._conf = celery.conf
        self._changes = celery.conf.changes
        self._names = tuple(self._changes)
        self._values = tuple(self._changes.values())
        self.member = plan.member
        self.on_task_call = on_task_call
        self.reply_to = celery.thread_oid

    def is_open(self) -> bool:
        """Nothing has changed: no fork, no other router or sender, no setting in ``app.conf``."""
        changes = self._changes
        return (
            self._epoch is self._road.epoch
            and self._amqp.router is self._router
            and self._amqp.send_task_message is self._sender
            and self._conf.changes is changes
            and tuple(changes.values()) == self._values
            and tuple(changes) == self._names
        )


def open_lane(
    road: Road, name: str, said: Mapping[str, Any], ignore_result: bool | None, task: Any
) -> Lane | None:
    """A lane for calls of the task ``name``; None when they have to take Celery's way.

    Args:
        road: The way to the broker.
        name: The task's name.
        said: Options of the call, those of the task among them.
        ignore_result: As the header will have it.
        task: The task, for the router.
    """
    celery = road.celery
    conf, amqp = celery.conf, celery.amqp
    sender = untouched.sender_of(celery)
    if road.why_not() is not None or sender is None or not untouched.makes_our_messages(celery):
        return None
    if (
        conf.task_send_sent_event
        or not untouched.has_own_json()
        or not untouched.is_static(amqp.router)
    ):
        return None
    # Before Celery 5.7 it is no setting.
    levels = conf.get("task_repr_maxlevels", _REPR_LEVELS)
    if levels < _REPR_LEVELS or amqp.argsrepr_maxsize != amqp.kwargsrepr_maxsize:
        return None
    options = {key: said[key] for key in ROUTED if said.get(key) is not None}
    routed = amqp.router.route(dict(options), name, (), {}, task)
    if not routed.keys() <= {*ROUTED, "exchange_type"}:
        return None
    queue = _direct_queue(celery, routed)
    if queue is None or not road.is_declared(queue):
        return None
    is_json = (routed.get("serializer") or conf.task_serializer) == "json"
    priority = routed.get("priority")
    if not is_json or conf.task_compression or not (priority is None or _is_level(priority)):
        return None
    size = amqp.argsrepr_maxsize
    plan = _core.MessagePlan(
        road.publisher,
        task=name,
        queue=queue,
        priority=priority,
        origin=anon_nodename(),
        reply_to=celery.thread_oid,
        ignore_result=ignore_result,
        soft_time_limit=said.get("soft_time_limit"),
        time_limit=said.get("time_limit"),
        saferepr=lambda value: saferepr(value, size, maxlevels=levels),
    )
    told = None if ignore_result else _on_task_call(celery.backend)
    return None if told is False else Lane(road, plan, told, sender)


def _direct_queue(celery: Celery, options: Mapping[str, Any]) -> str | None:
    """The queue whose name is the routing key on the default exchange; None: it is another exchange, or a message that
    does not outlive the server. Source: celery/app/amqp.py, ``send_task_message``."""
    queue, exchange = options.get("queue"), options.get("exchange")
    if queue is None and exchange is None:
        queue = celery.amqp.default_queue
    if isinstance(queue, str):
        queue = celery.amqp.queues[queue]
    if queue is None or (exchange and options.get("routing_key")):
        return None
    of_queue = queue.exchange
    mode = options.get("delivery_mode") or getattr(of_queue, "delivery_mode", None)
    kind = options.get("exchange_type") or getattr(of_queue, "type", "direct")
    if kind != "direct" or (mode or celery.conf.task_default_delivery_mode) not in _PERSISTENT:
        return None
    return str(queue.name)


def _is_level(priority: Any) -> bool:
    return type(priority) is int and 0 <= priority <= 9


def _on_task_call(backend: Any) -> Any:
    """What to tell the backend of each call: None: nothing, False: Celery has to."""
    own = vars(backend).get("on_task_call")
    if own is not None:
        return own if getattr(own, "is_needed", True) else None
    kind = type(backend).on_task_call
    if kind is Backend.on_task_call:
        return None
    redis = redis_backend()
    return backend.on_task_call if redis is not None and kind is redis.on_task_call else False
