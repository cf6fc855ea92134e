"""``task_routes`` and the options of a call: to which queue a task goes."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fastworker.app.queues import QueueTable
from fastworker.app.symbols import symbol_by_name

#: ``(name, args, kwargs, options, task=task) -> route or None``.
RouteFunction = Callable[..., Any]


@dataclass(frozen=True)
class Destination:
    """Where a message goes.

    Attributes:
        queues: Names; one but for topic and fanout exchanges.
        exchange: As written to signals; ``""`` when the routing key is the queue's name.
        routing_key: As written to signals.
        is_fanout: Each of the queues gets a copy for its worker, and programs of kombu are told besides.
    """

    queues: tuple[str, ...]
    exchange: str
    routing_key: str
    is_fanout: bool = False


class Router:
    """Finds the destination of a call.

    Args:
        routes: ``task_routes``: a mapping of names, globs and compiled patterns to routes, a list
            of pairs, a function, the name of one, a class with ``route_for_task``, or a list of
            these.
        queues: The queues there are.
        default_queue: For calls that nothing routes.
    """

    def __init__(self, routes: Any, queues: QueueTable, default_queue: str) -> None:
        self._queues = queues
        self._default_queue = default_queue
        entries = () if routes is None else routes if _is_several(routes) else (routes,)
        self._functions = [_expand(entry) for entry in entries]
        #: The route of a task depends on its name alone, so it may be looked up once.
        self.is_static = all(isinstance(function, MapRoute) for function in self._functions)

    def route(
        self,
        options: Mapping[str, Any],
        name: str,
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
        task: Any = None,
    ) -> dict[str, Any]:
        """The options of the call with those of its route under them; a queue of the call's own
        wins over both.
        """
        given = {key: value for key, value in options.items() if value is not None}
        for function in self._functions:
            found = function(name, args, kwargs or {}, dict(given), task=task)
            if found is not None:
                route = {"queue": found} if isinstance(found, str) else dict(found)
                return {**route, **given}
        return given

    def destination(self, options: Mapping[str, Any]) -> Destination:
        """Where routed options lead.

        Raises:
            QueueNotFound: Nowhere.
        """
        exchange, routing_key = _name(options.get("exchange")), options.get("routing_key")
        queue = options.get("queue")
        if queue is None and exchange is None:
            queue = self._default_queue
        if queue is None:
            return self._reached_by(exchange or "", routing_key or "")
        entry = self._queues[_name(queue) or ""]
        if entry.exchange_type == "direct" and not (exchange and routing_key):
            return Destination((entry.name,), "", entry.name)
        exchange = entry.exchange if exchange is None else exchange
        return self._reached_by(exchange, routing_key or entry.routing_key)

    def _reached_by(self, exchange: str, routing_key: str) -> Destination:
        queues = tuple(self._queues.reached_by(exchange, routing_key))
        return Destination(queues, exchange, routing_key, self._queues.is_fanout(exchange))


class MapRoute:
    """A mapping as a route function: exact names first, then patterns in the order they were
    given.
    """

    def __init__(self, routes: Any) -> None:
        pairs = routes.items() if isinstance(routes, Mapping) else routes
        self._names: dict[str, Any] = {}
        self._patterns: list[tuple[re.Pattern[str], Any]] = []
        for key, route in pairs:
            if isinstance(key, re.Pattern):
                self._patterns.append((key, route))
            elif "*" in key:
                self._patterns.append((re.compile(fnmatch.translate(key)), route))
            else:
                self._names[key] = route

    def __call__(self, name: str, *args: Any, **kwargs: Any) -> Any:
        if name in self._names:
            return self._names[name]
        return next((route for pattern, route in self._patterns if pattern.match(name)), None)


def _is_several(routes: Any) -> bool:
    """A list of routes; a list of pairs is one route, though Celery wants it in a list of its own."""
    if not isinstance(routes, list | tuple):
        return False
    return not all(
        isinstance(entry, tuple) and len(entry) == 2 and isinstance(entry[0], str | re.Pattern)
        for entry in routes
    )


def _expand(entry: Any) -> RouteFunction:
    if isinstance(entry, Mapping | list | tuple):
        return MapRoute(entry)
    function = symbol_by_name(entry)
    if hasattr(function, "route_for_task"):
        router = function() if isinstance(function, type) else function

        def call_old_router(
            name: str, args: Any, kwargs: Any, options: Any, task: Any = None
        ) -> Any:
            return router.route_for_task(name, args, kwargs)

        return call_old_router
    if not callable(function):
        raise TypeError(
            f"task_routes: {entry!r} is not a route: expected a mapping, a function, or the name "
            f"of one"
        )
    return function  # type: ignore[no-any-return]


def _name(thing: Any) -> str | None:
    """A queue or exchange may be given as kombu's object."""
    return None if thing is None else str(getattr(thing, "name", thing))
