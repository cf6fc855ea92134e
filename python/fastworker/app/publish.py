"""Station 1, publish: takes a call and its options, gives bytes on a queue and an ``AsyncResult``.

This is the road for calls with anything unusual about them; ``lane.py`` is the short cut for
``task.delay(…)``. What may go wrong: an argument that cannot be serialised (``EncodeError``,
nothing was published), no such queue (``QueueNotFound``), a broker that does not confirm after all
retries (``OperationalError``; the message may still have arrived).
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fastworker import _core, signals
from fastworker.app import link as links
from fastworker.app.arguments import encode_error
from fastworker.app.deliver import Announcement, aannounce, adeliver, announce, deliver
from fastworker.app.link import set_link
from fastworker.app.message import Call, TaskMessage, build
from fastworker.app.options import split_options
from fastworker.app.publishing import PublishSettings
from fastworker.app.rate_limits import key_of
from fastworker.app.routing import Destination
from fastworker.app.state import get_current_worker_task
from fastworker.canvas.copying import plain
from fastworker.canvas.signature import as_list
from fastworker.errors import AlwaysEagerIgnored, ImproperlyConfigured
from fastworker.serialize import compression, registry
from fastworker.serialize.exclusive import MARK, written

if TYPE_CHECKING:
    from fastworker.app.app import FastWorker
    from fastworker.results.async_result import AsyncResult

__all__ = ["asend_task", "send_task", "set_link"]

_HIGHEST_PRIORITY_NUMBER = 9
#: Parcels of a batch: as many as a message plan sends at once.
BATCH = 256


def send_task(app: FastWorker, name: str, *args: Any, **options: Any) -> AsyncResult[Any]:
    """Publish one call; arguments as for ``pack``.

    Raises:
        EncodeError, QueueNotFound, OperationalError: See above.
        TypeError: An option that there is none of.
    """
    parcel = pack(app, name, *args, **options)
    deliver(app, parcel.envelopes, parcel.retry_policy)
    if parcel.announcement is not None:
        announce(app, parcel.announcement, parcel.retry_policy)
    return parcel.delivered()


async def asend_task(app: FastWorker, name: str, *args: Any, **options: Any) -> AsyncResult[Any]:
    """``send_task`` for a coroutine: waits for the broker without blocking the loop.

    Cancelled while it waits, the call may be published or not.
    """
    parcel = pack(app, name, *args, **options)
    await adeliver(app, parcel.envelopes, parcel.retry_policy)
    if parcel.announcement is not None:
        await aannounce(app, parcel.announcement, parcel.retry_policy)
    return parcel.delivered()


@dataclass(frozen=True)
class Parcel:
    """A call as bytes, not handed over yet.

    Attributes:
        envelopes: One a queue.
        announcement: What programs of kombu are told on a fanout exchange, besides.
        retry_policy: How often to try. None: once.
        result: What its caller will get.
    """

    envelopes: list[links.Envelope]
    announcement: Announcement | None
    retry_policy: Mapping[str, Any] | None
    _message: TaskMessage
    _destination: Destination
    result: AsyncResult[Any]
    _parent: Any
    #: It is told to monitors.
    _app: FastWorker | None

    def delivered(self) -> AsyncResult[Any]:
        """The broker has it: tell receivers and the parent task. Returns the result."""
        _announce(self._message, self._destination)
        if self._app is not None:
            self._app.events.task_sent(self._message, self._destination)
        if self._parent is not None:
            self._parent.add_trail(self.result)
        return self.result


def pack(
    app: FastWorker,
    name: str,
    args: Sequence[Any] | None = None,
    kwargs: Mapping[str, Any] | None = None,
    *,
    task_type: Any = None,
    result_cls: Any = None,
    add_to_parent: bool = True,
    route_name: str | None = None,
    **options: Any,
) -> Parcel:
    """Everything of a publish but the handing over.

    Args:
        app: Whose configuration and connection.
        name: Registered name of the task; it need not be known here.
        args: Positional arguments.
        kwargs: Keyword arguments.
        task_type: The task, when its options are in ``options`` already. None: those of the task of
            this name, if one is registered here, count too.
        result_cls: Makes the result from an id.
        add_to_parent: Count it as a child of the task that runs here.
        route_name: Name to route by, if another.
        options: Those of ``Task.apply_async``.
    """
    settings = app.publishing.settings
    if task_type is None:
        if settings.is_eager:
            warnings.warn(
                AlwaysEagerIgnored("task_always_eager has no effect on send_task"), stacklevel=4
            )
        task_type = app.registered_task(name)
        if task_type is not None:
            options = {**task_type.exec_options(), **options}
    args, kwargs = args or (), kwargs or {}
    routed = settings.router.route(options, route_name or name, args, kwargs, task_type)
    # What only the caller may say (eta=None clears a task's default) is kept as it was said.
    call_fields, publish_options = split_options({**options, **routed})
    parent = get_current_worker_task()
    _inherit(call_fields, publish_options, parent, settings)
    call = Call(
        task_id=call_fields.pop("task_id", None) or _core.new_id(),
        name=name,
        args=args,
        kwargs=kwargs,
        link=as_list(call_fields.pop("link", None)) or None,
        link_error=as_list(call_fields.pop("link_error", None)) or None,
        reply_to=call_fields.pop("reply_to", None) or app.thread_oid,
        **call_fields,
    )
    _check_limits(call)
    if settings.expects_replies and not call.ignore_result:
        app.publishing.expect_replies()
    if settings.protocol != 2:
        raise ImproperlyConfigured(
            f"task_protocol {settings.protocol!r}: expected 2; protocol 1 is read from others but "
            f"not written"
        )
    message = build(call, now=app.now(), repr_levels=settings.repr_levels)
    key = None if task_type is None else key_of(task_type, args, kwargs)
    if key is not None:
        message.headers["rate_limit_key"] = key
    message.headers.update(publish_options.get("headers") or {})
    result = (result_cls or app.AsyncResult)(call.task_id)
    result.ignored = call.ignore_result
    teller = app if settings.sends_events else None
    family = parent if add_to_parent else None
    return _packed(settings, message, publish_options, result, family, teller)


def _inherit(
    call_fields: dict[str, Any],
    publish_options: dict[str, Any],
    parent: Any,
    settings: PublishSettings,
) -> None:
    """Ids, and if configured the priority, of the task that runs here."""
    if parent is None or (call_fields.get("root_id") and call_fields.get("parent_id")):
        return
    request = parent.request
    call_fields["root_id"] = call_fields.get("root_id") or request.root_id or request.id
    call_fields["parent_id"] = call_fields.get("parent_id") or request.id
    if settings.inherits_priority and publish_options.get("priority") is None:
        publish_options["priority"] = (request.delivery_info or {}).get("priority")


def _check_limits(call: Call) -> None:
    if call.soft_time_limit and call.time_limit and call.soft_time_limit > call.time_limit:
        raise ValueError("soft_time_limit must be less than or equal to time_limit")


def _packed(
    settings: PublishSettings,
    message: TaskMessage,
    options: Mapping[str, Any],
    result: AsyncResult[Any],
    parent: Any,
    teller: FastWorker | None,
) -> Parcel:
    destination = settings.router.destination(options)
    policy = {**settings.retry_policy, **(options.get("retry_policy") or {})}
    if options.get("priority") is not None:
        message.properties["priority"] = options["priority"]
    if options.get("correlation_id") is not None:
        message.properties["correlation_id"] = options["correlation_id"]
    if signals.before_task_publish.has_receivers:
        signals.before_task_publish.send(
            sender=message.headers["task"],
            body=message.body,
            exchange=destination.exchange,
            routing_key=destination.routing_key,
            declare=list(destination.queues),
            headers=message.headers,
            properties=message.properties,
            retry_policy=policy,
        )
    envelopes, announcement = _envelopes(
        message,
        destination,
        serializer=options.get("serializer") or settings.serializer,
        compress_with=options.get("compression") or settings.compression,
        is_transient=settings.sends_transient(options, destination),
    )
    retry = options.get("retry")
    may_retry = settings.retry if retry is None else retry
    policy_in_force = policy if may_retry else None
    return Parcel(
        envelopes, announcement, policy_in_force, message, destination, result, parent, teller
    )


def _announce(message: TaskMessage, destination: Destination) -> None:
    name = message.headers["task"]
    if signals.after_task_publish.has_receivers:
        signals.after_task_publish.send(
            sender=name,
            body=message.body,
            headers=message.headers,
            exchange=destination.exchange,
            routing_key=destination.routing_key,
        )
    if signals.task_sent.has_receivers:
        signals.task_sent.send(
            sender=name,
            task_id=message.headers["id"],
            task=name,
            args=message.body[0],
            kwargs=message.body[1],
            eta=message.headers["eta"],
            taskset=message.headers["group"],
        )


def _envelopes(
    message: TaskMessage,
    destination: Destination,
    *,
    serializer: str,
    compress_with: str | None,
    is_transient: bool,
) -> tuple[list[links.Envelope], Announcement | None]:
    """One envelope a queue, and for a fanout exchange what programs of kombu are told.

    Raises:
        EncodeError: Names the task and the argument.
    """
    chosen = registry.get(serializer)
    args, kwargs, embed = message.body
    before = written()
    try:
        body = chosen.dumps((args, kwargs, plain(embed)))
    except Exception as exc:  # serializers raise what they like
        raise encode_error(
            message.headers["task"], serializer, args, kwargs, exc, chosen.dumps
        ) from exc
    if compress_with:
        body, message.headers["compression"] = compression.compress(body, compress_with)
    priority = int(message.properties.get("priority") or 0)
    # Brokers have ten levels; a larger number (RabbitMQ's) is the least urgent of them.
    level = min(max(priority, 0), _HIGHEST_PRIORITY_NUMBER)
    said = message.headers
    if written() != before:
        said = {**said, "task": MARK + said["task"]}
    headers = _core.dumps(said)

    def write(queue: str, announced_on: str | None = None) -> bytes:
        return _core.write_envelope(
            headers=headers,
            correlation_id=message.properties["correlation_id"],
            reply_to=message.properties["reply_to"],
            priority=level,
            queue=queue,
            expiration_ms=message.properties.get("expiration"),
            content_type=chosen.content_type,
            content_encoding=chosen.content_encoding,
            body=body,
            announced_on=announced_on,
            is_transient=is_transient,
        )

    envelopes = [(queue, level, write(queue)) for queue in destination.queues]
    if not destination.is_fanout:
        return envelopes, None
    exchange, key = destination.exchange, destination.routing_key
    return envelopes, (exchange, key, write(key, exchange))
