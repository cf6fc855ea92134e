"""``app.control``: orders and questions to running workers. Names and return values are Celery's.

Source: celery/app/control.py; celery-contract 8.
"""

from __future__ import annotations

import fnmatch
import json
import os
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from fastworker.app.mailbox import Mailbox
from fastworker.app.revokes import RevokeTerms
from fastworker.app.signum import signum
from fastworker.errors import ImproperlyConfigured

if TYPE_CHECKING:
    from fastworker.app.app import FastWorker

#: The signal that ends a task when nothing else is said.
TERM_SIGNAME = "SIGQUIT" if os.environ.get("REMAP_SIGTERM") == "SIGQUIT" else "SIGTERM"

Replies = list[dict[str, Any]] | None


def flatten_reply(reply: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """``[{node: reply}, …]`` as one dict; of nodes with the same name the last one counts."""
    nodes: dict[str, Any] = {}
    for item in reply:
        nodes.update(item)
    return nodes


def match(node: str, pattern: str, matcher: str | None = None) -> bool:
    """Whether a node's name fits a pattern: ``glob`` (the default) or ``pcre``."""
    if matcher == "pcre":
        return re.match(pattern, node) is not None
    return fnmatch.fnmatch(node, pattern)


class Inspect:
    """Questions to workers: ``app.control.inspect().active()``.

    Each method returns ``{node: answer}``, or None when no node answered in time.

    Args:
        destination: Node names; one name as text: its answer alone is returned. None: every node.
        timeout: Seconds of silence after which nobody else is waited for.
        callback: Called with each ``{node: answer}`` as it comes.
        connection: Ignored: fastworker manages its connections.
        app: Whose workers.
        limit: Answers that are enough.
        pattern: Nodes by a pattern instead.
        matcher: ``glob`` or ``pcre``.
    """

    app: FastWorker

    def __init__(
        self,
        destination: str | Sequence[str] | None = None,
        timeout: float = 1.0,
        callback: Callable[[Any], object] | None = None,
        connection: Any = None,
        app: FastWorker | None = None,
        limit: int | None = None,
        pattern: str | None = None,
        matcher: str | None = None,
    ) -> None:
        if app is not None:
            self.app = app
        self.destination = destination
        self.timeout = timeout
        self.callback = callback
        self.limit = limit
        self.pattern = pattern
        self.matcher = matcher

    def _request(self, command: str, **kwargs: Any) -> Any:
        named = self.destination
        replies = self.app.control.broadcast(
            command,
            arguments=kwargs,
            destination=[named] if isinstance(named, str) else named,
            callback=self.callback,
            limit=self.limit,
            timeout=self.timeout,
            reply=True,
            pattern=self.pattern,
            matcher=self.matcher,
        )
        if not replies:
            return None
        by_node = flatten_reply(replies)
        if isinstance(named, str):
            return by_node.get(named)
        if self.pattern:
            return {
                node: reply
                for node, reply in by_node.items()
                if match(node, self.pattern, self.matcher)
            }
        return by_node

    def report(self) -> Any:
        """``{"ok": text}``: software, settings."""
        return self._request("report")

    def clock(self) -> Any:
        """``{"clock": number}``: the node's logical time."""
        return self._request("clock")

    def active(self, safe: bool | None = None) -> Any:
        """Tasks that run now, as a list of dicts ``id name args kwargs type hostname time_start
        acknowledged delivery_info worker_pid``.

        Args:
            safe: Give the arguments' representations instead of decoding them.
        """
        return self._request("active", safe=safe)

    def scheduled(self, safe: bool | None = None) -> Any:
        """Tasks that wait at a worker for their eta: a list of ``{eta, priority, request}``. Those
        that are due later wait in the broker: ``fastworker parked list``.
        """
        return self._request("scheduled")

    def reserved(self, safe: bool | None = None) -> Any:
        """Tasks that a worker has and has not started."""
        return self._request("reserved")

    def stats(self) -> Any:
        """Figures about the node; see celery-contract 8.3."""
        return self._request("stats")

    def revoked(self) -> Any:
        """Ids of revoked tasks."""
        return self._request("revoked")

    def registered(self, *taskinfoitems: str) -> Any:
        """Names of tasks, each with the attributes asked for."""
        return self._request("registered", taskinfoitems=taskinfoitems)

    registered_tasks = registered

    def ping(self, destination: Sequence[str] | None = None) -> Any:
        """``{"ok": "pong"}``."""
        if destination:
            self.destination = destination
        return self._request("ping")

    def active_queues(self) -> Any:
        """The queues that a worker consumes, each as kombu describes it."""
        return self._request("active_queues")

    def query_task(self, *ids: Any) -> Any:
        """``{id: [state, info]}`` of tasks that a worker has; unknown ones are left out."""
        if len(ids) == 1 and isinstance(ids[0], list | tuple):
            ids = tuple(ids[0])
        return self._request("query_task", ids=ids)

    def conf(self, with_defaults: bool = False) -> Any:
        """The node's settings."""
        return self._request("conf", with_defaults=with_defaults)

    def hello(self, from_node: str, revoked: Any = None) -> Any:
        """What a starting Celery worker asks its neighbours."""
        return self._request("hello", from_node=from_node, revoked=revoked)

    def memsample(self) -> Any:
        """How much memory the node's main process has, as text; kept for ``memdump``."""
        return self._request("memsample")

    def memdump(self, samples: int = 10) -> Any:
        """What ``memsample`` has read since this was asked last, at most so many lines of it; and
        what there is now, after a garbage collection.
        """
        return self._request("memdump", samples=samples)

    def objgraph(self, type: str = "Request", n: int = 200, max_depth: int = 10) -> Any:
        """``{"filename": …}``: a picture, on the node, of what refers to objects of a type in its main
        process. Needs the library objgraph there.
        """
        return self._request("objgraph", num=n, max_depth=max_depth, type=type)


class Control:
    """Orders to workers. All take ``destination=`` (node names), ``reply=True`` (wait, and return
    ``[{node: answer}, …]``), ``timeout=`` and what else ``broadcast`` takes.

    Args:
        app: Whose workers.
    """

    Mailbox = Mailbox

    def __init__(self, app: FastWorker) -> None:
        self.app = app
        self.mailbox = self.Mailbox(app)
        if app.conf.control_queue_durable and app.conf.control_queue_exclusive:
            raise ImproperlyConfigured(
                "control_queue_durable and control_queue_exclusive cannot both be True (exclusive queues are "
                "automatically deleted and cannot be durable)."
            )

    @property
    def inspect(self) -> type[Inspect]:
        """The class of questions; call it."""
        return type("Inspect", (Inspect,), {"app": self.app})

    def purge(self, connection: Any = None) -> int:
        """Remove all waiting messages of the configured queues; returns how many there were. What a worker holds and
        what is parked stays: ``app.parked.cancel(queue=…)``.
        """
        table, publisher = self.app.publishing.settings.queues, self.app.publishing.publisher
        return sum(publisher.purge(own) for name in table.names for own in table.at_broker(name))

    discard_all = purge

    def revoke(
        self,
        task_id: str | Iterable[str],
        destination: Sequence[str] | None = None,
        terminate: bool = False,
        signal: str | int = TERM_SIGNAME,
        **kwargs: Any,
    ) -> Replies:
        """Have tasks not run: wherever they wait, on every worker that runs now or later.

        The broker remembers the ids, for ``CELERY_WORKER_REVOKE_EXPIRES`` seconds (3 hours) and up
        to ``CELERY_WORKER_REVOKES_MAX`` (50,000) of them. Tasks that are parked there because their
        eta is far are taken out at once, whenever they are due. With ``destination`` only the named
        nodes are told.

        Args:
            task_id: One id, or several.
            destination: Node names; None: every node.
            terminate: If a task runs, end it, and its process with it. Workers that are cut off from the broker do
                so when they are connected again.
            signal: By this signal.

        Raises:
            ValueError: ``terminate``, and no signal is called so.
        """
        number = signum(signal) if terminate else None
        ids = [task_id] if isinstance(task_id, str) else [str(one) for one in task_id]
        is_for_all = destination is None and not kwargs.get("pattern")
        if is_for_all:
            self._remember(ids, [], number)
        arguments = {"task_id": ids if not isinstance(task_id, str) else task_id}
        arguments |= {"terminate": terminate, "signal": signal}  # type: ignore[dict-item]
        replies = self.broadcast("revoke", destination=destination, arguments=arguments, **kwargs)
        if is_for_all:
            # After the id is remembered: what is parked from now on meets that.
            self.app.parked.revoked(*ids)
        return replies

    def revoke_by_stamped_headers(
        self,
        headers: Mapping[str, Any],
        destination: Sequence[str] | None = None,
        terminate: bool = False,
        signal: str | int = TERM_SIGNAME,
        **kwargs: Any,
    ) -> Replies:
        """The same for all tasks that carry one of these stamps.

        Args:
            headers: ``{stamp: value or list of values}``.
            destination: Node names; None: every node.
            terminate: If a task runs, end it, and its process with it.
            signal: By this signal.

        Raises:
            ValueError: ``terminate``, and no signal is called so.
        """
        number = signum(signal) if terminate else None
        if destination is None and not kwargs.get("pattern"):
            self._remember([], stamp_pairs(headers), number)
        arguments = {"headers": dict(headers), "terminate": terminate, "signal": signal}
        return self.broadcast(
            "revoke_by_stamped_headers", destination=destination, arguments=arguments, **kwargs
        )

    def terminate(
        self,
        task_id: str | Iterable[str],
        destination: Sequence[str] | None = None,
        signal: str | int = TERM_SIGNAME,
        **kwargs: Any,
    ) -> Replies:
        """``revoke(terminate=True)``."""
        return self.revoke(task_id, destination, terminate=True, signal=signal, **kwargs)

    def _remember(
        self, ids: Sequence[str], stamps: Sequence[tuple[str, str]], terminate: int | None
    ) -> None:
        terms = RevokeTerms.from_environment()
        self.mailbox.client.mark_revoked(ids, stamps, terminate, terms.expires_s, terms.most)

    def ping(
        self, destination: Sequence[str] | None = None, timeout: float = 1.0, **kwargs: Any
    ) -> Replies:
        """``[{node: {"ok": "pong"}}, …]``."""
        return self.broadcast(
            "ping", reply=True, arguments={}, destination=destination, timeout=timeout, **kwargs
        )

    def rate_limit(
        self,
        task_name: str,
        rate_limit: int | str | None,
        destination: Sequence[str] | None = None,
        **kwargs: Any,
    ) -> Replies:
        """Change the rate limit of a task."""
        arguments = {"task_name": task_name, "rate_limit": rate_limit}
        return self.broadcast("rate_limit", destination=destination, arguments=arguments, **kwargs)

    def add_consumer(
        self,
        queue: str,
        exchange: str | None = None,
        exchange_type: str = "direct",
        routing_key: str | None = None,
        options: Mapping[str, Any] | None = None,
        destination: Sequence[str] | None = None,
        **kwargs: Any,
    ) -> Replies:
        """Have workers consume one more queue."""
        arguments = {
            "queue": queue,
            "exchange": exchange,
            "exchange_type": exchange_type,
            "routing_key": routing_key,
            **(options or {}),
        }
        return self.broadcast(
            "add_consumer", destination=destination, arguments=arguments, **kwargs
        )

    def cancel_consumer(
        self, queue: str, destination: Sequence[str] | None = None, **kwargs: Any
    ) -> Replies:
        """Have workers consume a queue no longer."""
        return self.broadcast(
            "cancel_consumer", destination=destination, arguments={"queue": queue}, **kwargs
        )

    def pause_queue(
        self, queue: str, destination: Sequence[str] | None = None, **kwargs: Any
    ) -> Replies:
        """Pause a queue: no worker of fastworker's, running now or started later, takes tasks from
        it until it is resumed. Publishing goes on. What runs may finish; what a worker holds and has
        not started goes back to the queue at once. Ours; Celery's workers know nothing of it.

        Args:
            queue: Its name.
            destination: The nodes that are told to give back what they hold; the pause is for all.
        """
        self.mailbox.client.pause_queue(queue)
        return self.broadcast(
            "pause_queue", destination=destination, arguments={"queue": queue}, **kwargs
        )

    def resume_queue(
        self, queue: str, destination: Sequence[str] | None = None, **kwargs: Any
    ) -> Replies:
        """End the pause of a queue, for all workers. Ours."""
        self.mailbox.client.resume_queue(queue)
        return self.broadcast(
            "resume_queue", destination=destination, arguments={"queue": queue}, **kwargs
        )

    def paused_queues(self) -> list[str]:
        """The names of the paused queues, sorted. Ours."""
        return self.mailbox.client.paused_queues()

    def time_limit(
        self,
        task_name: str,
        soft: float | None = None,
        hard: float | None = None,
        destination: Sequence[str] | None = None,
        **kwargs: Any,
    ) -> Replies:
        """Change the time limits of a task, in seconds; for what starts from now on."""
        arguments = {"task_name": task_name, "hard": hard, "soft": soft}
        return self.broadcast("time_limit", arguments=arguments, destination=destination, **kwargs)

    def enable_events(self, destination: Sequence[str] | None = None, **kwargs: Any) -> Replies:
        """Have workers publish events about tasks."""
        return self.broadcast("enable_events", arguments={}, destination=destination, **kwargs)

    def disable_events(self, destination: Sequence[str] | None = None, **kwargs: Any) -> Replies:
        """Have workers stop publishing events about tasks."""
        return self.broadcast("disable_events", arguments={}, destination=destination, **kwargs)

    def pool_grow(
        self, n: int = 1, destination: Sequence[str] | None = None, **kwargs: Any
    ) -> Replies:
        """Have pools grow by ``n`` processes."""
        return self.broadcast("pool_grow", arguments={"n": n}, destination=destination, **kwargs)

    def pool_shrink(
        self, n: int = 1, destination: Sequence[str] | None = None, **kwargs: Any
    ) -> Replies:
        """Have pools shrink by ``n`` processes."""
        return self.broadcast("pool_shrink", arguments={"n": n}, destination=destination, **kwargs)

    def autoscale(
        self, max: int, min: int, destination: Sequence[str] | None = None, **kwargs: Any
    ) -> Replies:
        """Change the bounds of autoscaling."""
        return self.broadcast(
            "autoscale", arguments={"max": max, "min": min}, destination=destination, **kwargs
        )

    def shutdown(self, destination: Sequence[str] | None = None, **kwargs: Any) -> Replies:
        """Have workers finish and exit."""
        return self.broadcast("shutdown", arguments={}, destination=destination, **kwargs)

    def pool_restart(
        self,
        modules: Sequence[str] | None = None,
        reload: bool = False,
        reloader: Any = None,
        destination: Sequence[str] | None = None,
        **kwargs: Any,
    ) -> Replies:
        """Have pools start anew, in workers with ``worker_pool_restarts``: new processes import the
        application, and whatever has changed in it; the old ones end what they run, and take
        nothing more.

        Args:
            modules: What else the new ones import.
            reload: Celery's; new processes have read all code anew.
            reloader: Celery's, likewise.
            destination: Node names; None: every node.
        """
        arguments = {"modules": modules, "reload": reload, "reloader": reloader}
        return self.broadcast(
            "pool_restart", arguments=arguments, destination=destination, **kwargs
        )

    def heartbeat(self, destination: Sequence[str] | None = None, **kwargs: Any) -> Replies:
        """Have workers send a heartbeat event at once."""
        return self.broadcast("heartbeat", arguments={}, destination=destination, **kwargs)

    def election(self, id: str, topic: str, action: Any = None, connection: Any = None) -> None:
        """Celery's gossip; fastworker's workers take no part, and say so in their log."""
        self.broadcast("election", arguments={"id": id, "topic": topic, "action": action})

    def broadcast(
        self,
        command: str,
        arguments: Mapping[str, Any] | None = None,
        destination: Sequence[str] | None = None,
        connection: Any = None,
        reply: bool = False,
        timeout: float | None = 1.0,
        limit: int | None = None,
        callback: Callable[[Any], object] | None = None,
        channel: Any = None,
        pattern: str | None = None,
        matcher: str | None = None,
        **extra_kwargs: Any,
    ) -> Replies:
        """Send any command, also one of your own.

        Args:
            command: Its name.
            arguments: Its keyword arguments; ``extra_kwargs`` are added.
            destination: Node names; None: every node.
            connection: Ignored: fastworker manages its connections.
            reply: Wait for replies.
            timeout: Seconds of silence after which nobody else is waited for.
            limit: Replies that are enough.
            callback: Called with each reply as it comes.
            channel: Ignored.
            pattern: Nodes by a pattern instead.
            matcher: ``glob`` or ``pcre``.

        Returns:
            ``[{node: reply}, …]``; None without ``reply``.

        Raises:
            ValueError: ``destination`` is not a list of names.
            OperationalError: The broker cannot be reached.
        """
        if destination is not None and not isinstance(destination, list | tuple):
            raise ValueError(f"destination must be a list/tuple not {type(destination)}")
        return self.mailbox.broadcast(
            command,
            {**(arguments or {}), **extra_kwargs},
            destination=destination,
            pattern=pattern,
            matcher=matcher,
            reply=reply,
            timeout=timeout,
            limit=limit,
            callback=callback,
        )


def stamp_pairs(headers: Mapping[str, Any]) -> list[tuple[str, str]]:
    """``{stamp: value or values}`` as pairs of name and JSON value."""
    return [
        (str(name), json.dumps(value))
        for name, values in headers.items()
        for value in (values if isinstance(values, list | tuple | set | frozenset) else [values])
    ]
