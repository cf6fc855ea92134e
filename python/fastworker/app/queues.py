"""``task_queues``: which queues there are, and which of them an exchange and a routing key
reach.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from fastworker.app.nearest import did_you_mean
from fastworker.errors import ImproperlyConfigured, QueueNotFound


@dataclass(frozen=True)
class Queue:
    """A queue and its binding.

    Attributes:
        name: As in ``-Q``.
        exchange: Name of the exchange it is bound to.
        exchange_type: ``direct``, ``topic`` or ``fanout``.
        routing_key: Of the binding; a pattern for ``topic``.
        max_priority: As it was declared; only RabbitMQ acts on it.
        arguments: RabbitMQ's (``x-…``), as it is declared with.
        is_durable: It outlives a restart of RabbitMQ.
        is_auto_delete: RabbitMQ removes it with its last consumer.
        said: What else was said of it, by the names of kombu's ``Queue``; of its exchange under ``exchange``.
    """

    name: str
    exchange: str
    exchange_type: str
    routing_key: str
    max_priority: int | None = None
    arguments: Mapping[str, Any] = field(default_factory=dict, hash=False)
    is_durable: bool = True
    is_auto_delete: bool = False
    said: Mapping[str, Any] = field(default_factory=dict, hash=False)

    @property
    def is_fanout(self) -> bool:
        """Every worker that consumes it gets a copy."""
        return self.exchange_type == "fanout"

    def copies_for(self, node: str) -> str:
        """The queue in which a worker, by its node name, gets its copies; for one that ``is_fanout``."""
        return f"{self.name}.{node}"


class QueueTable:
    """The queues of an application.

    Args:
        setting: ``task_queues``: names, ``{name: {exchange, exchange_type, routing_key}}``, or
            kombu's ``Queue`` objects. None: only the default queue.
        default_queue: ``task_default_queue``.
        default_exchange: ``task_default_exchange``.
        default_type: ``task_default_exchange_type``.
        default_key: ``task_default_routing_key``.
        create_missing: Queues that are not listed are made up on first use
            (``task_create_missing_queues``).
        missing_type: Type of the exchanges of such queues.
        declared: From an exchange to what other programs have declared that it leads to: routing
            key, pattern (empty but for topics) and queue each.
        copies: From a fanout exchange to the queues that get copies of what is published there.
    """

    def __init__(
        self,
        setting: Any,
        *,
        default_queue: str,
        default_exchange: str,
        default_type: str,
        default_key: str,
        create_missing: bool,
        missing_type: str = "direct",
        declared: Callable[[str], Iterable[tuple[str, str, str]]] = lambda exchange: (),
        copies: Callable[[str], Iterable[str]] = lambda exchange: (),
    ) -> None:
        self._create_missing = create_missing
        self._missing_type = missing_type
        self._declared = declared
        self._copies = copies
        self._default = Queue(default_queue, default_exchange, default_type, default_key)
        listed = [self._read(entry) for entry in _entries(setting)]
        self._queues = {queue.name: queue for queue in listed} or {default_queue: self._default}

    @property
    def names(self) -> list[str]:
        """The listed queues."""
        return list(self._queues)

    @property
    def listed(self) -> list[Queue]:
        """The listed queues, and the default one."""
        return list({self._default.name: self._default, **self._queues}.values())

    def __getitem__(self, name: str) -> Queue:
        """The queue called ``name``.

        Raises:
            QueueNotFound: It is not listed, and missing ones are not made up.
        """
        found = self._queues.get(name)
        if found is not None:
            return found
        if self._is_of_copies(name):
            return Queue(name, name, "direct", name)
        if not self._create_missing:
            raise QueueNotFound(
                f"Queue {name!r} missing from task_queues ({', '.join(self._queues)})"
                f"{did_you_mean(name, self._queues)}; list it there or set "
                f"task_create_missing_queues=True"
            )
        return self._queues.setdefault(name, Queue(name, name, self._missing_type, name))

    def delivery_mode(self, name: str) -> Any:
        """What a listed queue's exchange says of its messages; None: nothing."""
        queue = self._queues.get(name)
        return None if queue is None else queue.said.get("exchange", {}).get("delivery_mode")

    def at_broker(self, name: str) -> list[str]:
        """The queues that lie at the broker for one: itself, or those in which workers get their copies."""
        entry = self._queues.get(name)
        if entry is None or not entry.is_fanout:
            return [name]
        return [own for own in self._copies(entry.exchange) if own.startswith(f"{name}.")]

    def _is_of_copies(self, name: str) -> bool:
        """Whether a worker gets its copies there; a retry goes back to that worker alone."""
        fanouts = [queue.name for queue in self._queues.values() if queue.is_fanout]
        return "@" in name and any(name.startswith(f"{fanout}.") for fanout in fanouts)

    def is_fanout(self, exchange: str) -> bool:
        """Whether a queue is listed that gets copies of what is published to this exchange."""
        return any(queue.is_fanout for queue in self._bound_to(exchange))

    def _bound_to(self, exchange: str) -> list[Queue]:
        listed = (*self._queues.values(), self._default)
        return [queue for queue in listed if queue.exchange == exchange]

    def add(self, name: str, exchange: str, exchange_type: str, routing_key: str) -> None:
        """List one more queue, unless one of this name is there."""
        self._queues.setdefault(name, Queue(name, exchange, exchange_type, routing_key))

    def reached_by(self, exchange: str, routing_key: str) -> list[str]:
        """The queues that a message to ``exchange`` with ``routing_key`` goes to; ``""`` is the
        default exchange.

        On a fanout exchange these are the queues in which workers get their copies, whatever the
        routing key, and none is as good as some.

        Raises:
            QueueNotFound: None, and it is not a fanout exchange.
        """
        if not exchange:
            return [self[routing_key].name]
        if self.is_fanout(exchange):
            return list(self._copies(exchange))
        bound = self._bound_to(exchange)
        names = dict.fromkeys(queue.name for queue in bound if _matches(queue, routing_key))
        for key, pattern, name in self._declared(exchange):
            if re.match(pattern, routing_key) if pattern else key == routing_key:
                names[name] = None
        if not names:
            raise QueueNotFound(
                f"no queue is bound to exchange {exchange!r} with routing key {routing_key!r}, "
                f"neither in task_queues nor by a worker; "
                "use queue=…, or list the queue with this exchange and routing_key"
            )
        return list(names)

    def _read(self, entry: Any) -> Queue:
        if isinstance(entry, str):
            return Queue(entry, entry, "direct", entry)
        if isinstance(entry, tuple):
            name, options = entry
            if not isinstance(options, Mapping):
                return self._read(options)
            exchange = options.get("exchange") or self._default.exchange
            # The default type is the default exchange's; another one is direct unless it says.
            other = "direct" if options.get("exchange") else self._default.exchange_type
            kind = options.get("exchange_type") or getattr(exchange, "type", None) or other
            key = options.get("routing_key") or options.get("binding_key") or name
            exchange_name = str(getattr(exchange, "name", exchange))
            return Queue(
                str(name),
                exchange_name,
                str(kind),
                str(key),
                options.get("max_priority"),
                dict(options.get("queue_arguments") or {}),
                bool(options.get("durable", True)),
                bool(options.get("auto_delete", False)),
                _said_in(options),
            )
        name = getattr(entry, "name", None)
        if not name:
            raise ImproperlyConfigured(
                f"task_queues: {entry!r} is not a queue: expected a name, a mapping of names to "
                f"options, or Queue(…)"
            )
        exchange = getattr(entry, "exchange", None)
        exchange_name = getattr(exchange, "name", exchange) or self._default.exchange
        kind = getattr(exchange, "type", None) or self._default.exchange_type
        key = getattr(entry, "routing_key", None) or self._default.routing_key
        # The name of kombu's Broadcast is made up by each process, and the alias is what users say.
        name = (getattr(entry, "alias", None) if kind == "fanout" else None) or name
        return Queue(
            str(name),
            str(exchange_name),
            str(kind),
            str(key),
            getattr(entry, "max_priority", None),
            _arguments(entry),
            getattr(entry, "durable", True) is not False,
            bool(getattr(entry, "auto_delete", False)),
            _said(entry),
        )


def queue_table(conf: Any, **lookups: Any) -> QueueTable:
    """The queues that these settings list.

    Args:
        conf: The settings.
        lookups: ``declared`` and ``copies`` of ``QueueTable``.
    """
    return QueueTable(
        conf.task_queues,
        default_queue=conf.task_default_queue,
        default_exchange=conf.task_default_exchange,
        default_type=conf.task_default_exchange_type,
        default_key=conf.task_default_routing_key,
        create_missing=bool(conf.task_create_missing_queues),
        missing_type=conf.task_create_missing_queue_exchange_type or "direct",
        **lookups,
    )


#: Attributes of kombu's ``Queue``, RabbitMQ's argument for each, and how many of its units make one of theirs.
_ARGUMENTS = (
    ("expires", "x-expires", 1000),
    ("message_ttl", "x-message-ttl", 1000),
    ("max_length", "x-max-length", 1),
    ("max_length_bytes", "x-max-length-bytes", 1),
)


#: Attributes of kombu's ``Queue`` that ``inspect active_queues`` shows; and of its ``Exchange``.
_SAID = (
    *(
        "queue_arguments",
        "binding_arguments",
        "consumer_arguments",
        "exclusive",
        "no_ack",
        "alias",
        "no_declare",
    ),
    *("expires", "message_ttl", "max_length", "max_length_bytes", "max_priority"),
)
_SAID_OF_EXCHANGE = (
    "arguments",
    "durable",
    "passive",
    "auto_delete",
    "delivery_mode",
    "no_declare",
)


def _said(entry: Any) -> dict[str, Any]:
    said = _chosen(entry, _SAID)
    exchange = _chosen(getattr(entry, "exchange", None), _SAID_OF_EXCHANGE)
    return {**said, "exchange": exchange} if exchange else said


def _said_in(options: Mapping[str, Any]) -> dict[str, Any]:
    """The same of a mapping, where what is said of the exchange stands beside it; as kombu's ``Queue.from_dict``."""
    said = {name: options[name] for name in _SAID if options.get(name) is not None}
    exchange = {
        "durable": options.get("exchange_durable", options.get("durable")),
        "auto_delete": options.get("exchange_auto_delete", options.get("auto_delete")),
        "arguments": options.get("exchange_arguments"),
        "delivery_mode": options.get("delivery_mode"),
    }
    return {
        **said,
        "exchange": {name: value for name, value in exchange.items() if value is not None},
    }


def _chosen(thing: Any, names: Iterable[str]) -> dict[str, Any]:
    """Attributes of kombu's objects, and of ours, which keep them as options."""
    options = getattr(thing, "options", {})
    values = ((name, options.get(name, getattr(thing, name, None))) for name in names)
    return {name: value for name, value in values if value is not None}


def _arguments(entry: Any) -> dict[str, Any]:
    arguments = dict(getattr(entry, "queue_arguments", None) or {})
    for attribute, name, units in _ARGUMENTS:
        value = getattr(entry, attribute, None)
        if value is not None:
            arguments[name] = int(value * units)
    return arguments


def _entries(setting: Any) -> Iterable[Any]:
    if setting is None:
        return ()
    return setting.items() if isinstance(setting, Mapping) else setting


def key_to_pattern(routing_key: str) -> str:
    """A topic's routing key as kombu writes it down: a regular expression. Source:
    kombu/transport/virtual/exchange.py, ``TopicExchange.key_to_pattern``.
    """
    wildcards = {"*": r"[^\.]+", "#": ".*?"}
    words = "".join(
        char if char.isalnum() or char in ".#*" else "\\000" if char == "\000" else "\\" + char
        for char in routing_key
    ).split(".")
    return "^{}$".format(r"\.".join(wildcards.get(word, word) for word in words))


def _matches(queue: Queue, routing_key: str) -> bool:
    if queue.exchange_type != "topic":
        return queue.routing_key == routing_key
    # AMQP's patterns: * is one word, # any number of words.
    words = [
        {"*": r"[^.]+", "#": r".*"}.get(word, re.escape(word))
        for word in queue.routing_key.split(".")
    ]
    pattern = r"\.".join(words).replace(r"\..*", r"(\..*)?").replace(r".*\.", r"(.*\.)?")
    return re.fullmatch(pattern, routing_key) is not None
