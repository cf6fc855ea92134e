"""Whether what Celery and kombu do is still what they were written to do.

Error trackers, tracers and tests put functions of their own in the place of Celery's. Our short cut does not go past
them: what it would skip has to be Celery's own, asked for at every call, since such a function may come at any time.
"""

from __future__ import annotations

from collections.abc import Callable
from types import FunctionType, ModuleType
from typing import Any

from celery.app import amqp as celery_amqp
from celery.app import base as celery_base
from celery.app import routes as celery_routes
from celery.app.amqp import AMQP
from celery.app.base import Celery
from kombu import messaging as kombu_messaging
from kombu import serialization
from kombu.messaging import Producer
from kombu.utils import json as kombu_json


class Replaced:
    """Stands for a function that was not Celery's own when we came: nothing is identical to it."""


def _own(function: Any, module: ModuleType) -> Any:
    """``function`` if ``module`` defines it, else something that no function is."""
    is_own = type(function) is FunctionType and function.__globals__ is vars(module)
    return function if is_own else Replaced()


def _copy(types: dict[Any, Any] | None) -> dict[Any, Any] | None:
    return None if types is None else dict(types)


_SEND_TASK = _own(Celery.send_task, celery_base)
_PRODUCER_OR_ACQUIRE = _own(Celery.producer_or_acquire, celery_base)
_PUBLISH = _own(Producer.publish, kombu_messaging)
_INNER_PUBLISH = _own(Producer._publish, kombu_messaging)
_AS_TASK_V2 = _own(AMQP.as_task_v2, celery_amqp)
_MAP_ROUTE = _own(celery_routes.MapRoute.__call__, celery_routes)
_ROUTE = _own(celery_routes.Router.route, celery_routes)
_DUMPS = serialization.registry._encoders.get("json")
_LOADS = serialization.registry._decoders.get("application/json")
# None before kombu 5.3, which writes dates and the like in another form than we do, and reads them as text.
_TYPES = _copy(getattr(kombu_json, "_encoders", None))
_READ_TYPES = _copy(getattr(kombu_json, "_decoders", None))


#: What a message plan writes.
_HEADERS = frozenset((
    "argsrepr", "eta", "expires", "group", "group_index", "id", "ignore_result", "kwargsrepr", "lang", "origin",
    "parent_id", "replaced_task_nesting", "retries", "root_id", "shadow", "stamped_headers", "stamps", "task",
    "timelimit",
))  # fmt: skip
_PROPERTIES = frozenset(("correlation_id", "reply_to"))


def sends_itself(celery: Celery) -> bool:
    """Whether ``send_task`` of the application does what Celery's does, down to kombu's ``publish``."""
    return (
        type(celery).send_task is _SEND_TASK
        and Producer.publish is _PUBLISH
        and Producer._publish is _INNER_PUBLISH
    )


def acquires_itself(celery: Celery) -> bool:
    """Whether producers are acquired in Celery's way, and are kombu's."""
    return (
        type(celery).producer_or_acquire is _PRODUCER_OR_ACQUIRE
        and celery.amqp.Producer is Producer
        and Producer._publish is _INNER_PUBLISH
    )


def sender_of(celery: Celery) -> Callable[..., Any] | None:
    """What sends the application's messages, if Celery made it; None: somebody replaced it."""
    sender = celery.amqp.send_task_message
    made = AMQP._create_task_sender
    if type(sender) is not FunctionType or type(made) is not FunctionType:
        return None
    if made.__globals__ is not vars(celery_amqp) or sender.__code__ not in made.__code__.co_consts:
        return None
    return sender


def makes_our_messages(celery: Celery) -> bool:
    """Whether messages of tasks are made by Celery, and have the headers that ours have.

    Other releases may have others. The embedded part of the body has been the same since the second protocol.
    """
    make = celery.amqp.create_task_message
    if getattr(make, "__func__", None) is not _AS_TASK_V2:
        return False
    message = make("id", "name")
    return bool(message.headers.keys() == _HEADERS and message.properties.keys() == _PROPERTIES)


def is_static(router: Any) -> bool:
    """Whether a route follows from the task's name alone."""
    return (
        type(router) is celery_routes.Router
        and celery_routes.Router.route is _ROUTE
        and celery_routes.MapRoute.__call__ is _MAP_ROUTE
        and all(type(route) is celery_routes.MapRoute for route in router.routes)
    )


def has_own_json() -> bool:
    """Whether kombu's JSON is kombu's, for the types that kombu knows."""
    return (
        serialization.registry._encoders.get("json") is _DUMPS
        and _TYPES is not None
        and kombu_json._encoders == _TYPES
    )


def reads_own_json() -> bool:
    """The same for reading."""
    registry = serialization.registry
    return (
        registry._decoders.get("application/json") is _LOADS
        and "application/json" not in registry._disabled_content_types
        and _READ_TYPES is not None
        and kombu_json._decoders == _READ_TYPES
    )
