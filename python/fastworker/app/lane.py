"""The short cut of publishing: ``task.delay(…)`` with nothing unusual about the task, the call or
the configuration.

All that stays the same between two calls is prepared once, in a ``MessagePlan``; a call then costs
one trip into Rust and one small result object. A lane is good until something it was built from
changes: the configuration (its version), the link or the process (the epoch), a receiver of a
publishing signal, or an attribute of the task (``Task`` drops its lane on every assignment).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastworker import _core
from fastworker.app.arguments import encode_error
from fastworker.app.link import Address, is_collecting, link_to, usable_link
from fastworker.app.link import state as link_state
from fastworker.app.naming import anonymous_node
from fastworker.app.rate_limits import key_spec
from fastworker.app.state import get_current_worker_task, task_stack
from fastworker.errors import OperationalError
from fastworker.greenlets import at_work
from fastworker.serialize import registry
from fastworker.serialize.saferepr import saferepr
from fastworker.signals import after_task_publish, before_task_publish, task_sent

if TYPE_CHECKING:
    from fastworker.app.task import Task
    from fastworker.results.async_result import AsyncResult

#: With any other option set, on the task or by its route, a call takes the long road.
_PLAIN_OPTIONS = frozenset(
    {
        "queue",
        "exchange",
        "routing_key",
        "priority",
        "serializer",
        "delivery_mode",
        "time_limit",
        "soft_time_limit",
    }
)


class Lane:
    """A prepared way for one task, in this process.

    Args:
        task: The task.
        plan: Its message plan.
        link: The link the plan publishes through; None when it publishes on a connection.
        version: Of the configuration that the plan was made from.
        address: Of the broker.
        queue: Where its messages go.
    """

    __slots__ = (
        "_address",
        "_codecs",
        "_conf",
        "_epoch",
        "_ignored",
        "_link",
        "_may_use_link",
        "_plan",
        "_result",
        "_send",
        "_task",
        "_version",
        "queue",
        "reply_to",
    )

    def __init__(
        self,
        task: Task[..., Any],
        plan: _core.MessagePlan,
        link: Any,
        version: int,
        address: Address,
        queue: str,
    ) -> None:
        app = task.app
        self._task = task
        self._plan = plan
        self._send = plan.send
        self._link = link
        self._address = address
        self._may_use_link = link_to(address) is not None
        self._version = version
        self._conf = app.conf
        self._epoch = link_state.epoch
        self._codecs = registry.changes
        self._ignored = task.ignore_result
        self._result = app.AsyncResult
        self.queue = queue
        #: What its messages have as their sender.
        self.reply_to = app.thread_oid

    @property
    def plan(self) -> _core.MessagePlan:
        """For bulk publishing."""
        return self._plan

    def result(self, task_id: str) -> AsyncResult[Any]:
        """The result of a call that was published on it."""
        result: AsyncResult[Any] = self._result(task_id)
        result.ignored = self._ignored
        return result

    def is_open(self) -> bool:
        """Nothing that the lane was built from has changed."""
        return not (
            self._epoch != link_state.epoch
            or self._version != self._conf.version
            or self._codecs != registry.changes
            or before_task_publish.has_receivers
            or after_task_publish.has_receivers
            or task_sent.has_receivers
            or (
                self._may_use_link
                and link_state.link is not None
                and link_state.link.is_usable != (self._link is not None)
            )
            or (link_state.threads and usable_link(self._address) is not self._link)
        )

    def send(self, args: Any, kwargs: Any) -> AsyncResult[Any]:
        """Publish one call.

        Raises:
            EncodeError: An argument cannot be serialised; nothing was published.
            OperationalError: Not confirmed, also not after ``task_publish_retry_policy``.
        """
        parent = get_current_worker_task() if task_stack.top is not None else None
        try:
            if parent is None:
                task_id = self._send(args, kwargs, None, None)
            else:
                request = parent.request
                task_id = self._send(args, kwargs, request.root_id or request.id, request.id)
        except (TypeError, ValueError) as exc:
            raise encode_error(self._task.name, "json", args, kwargs, exc, _core.dumps) from exc
        except OperationalError:
            if not self._task.app.publishing.settings.retry:
                raise
            # The long road repeats as the policy says. Not the same id: nobody knows the one that
            # was lost.
            return self._task.publish(args, kwargs)
        result = self.result(task_id)
        # A link keeps the list of what its running task has published itself.
        if parent is not None and self._link is None:
            parent.add_trail(result)
        return result


def open_lane(task: Task[..., Any]) -> Lane | None:
    """A lane for ``task``; None when calls of it must take the long road for now."""
    app = task.app
    settings = app.publishing.settings
    has_receivers = (
        before_task_publish.has_receivers
        or after_task_publish.has_receivers
        or task_sent.has_receivers
    )
    if has_receivers or settings.sends_events:
        return None
    if settings.is_eager or settings.inherits_priority or is_collecting():
        return None
    if not settings.router.is_static or settings.compression or settings.protocol != 2:
        return None
    if not task.has_plain_publishing() or key_spec(task) is not None:
        return None
    options = settings.router.route(task.exec_options(), task.name)
    serializer = options.get("serializer") or settings.serializer
    if (
        not options.keys() <= _PLAIN_OPTIONS
        or serializer != "json"
        or not registry.is_builtin("json")
    ):
        return None
    destination = settings.router.destination(options)
    if settings.sends_transient(options, destination):
        return None
    # What an exchange leads to is asked anew each time: workers come and go.
    if len(destination.queues) != 1 or destination.exchange:
        return None
    address = app.broker.write_address
    link = usable_link(address)
    if link is None and at_work() is not None:
        # A plan publishes on the connection itself, which would keep every greenlet waiting.
        return None
    if settings.expects_replies and not task.ignore_result:
        app.publishing.expect_replies()
    priority = options.get("priority")
    plan = _core.MessagePlan(
        link if link is not None else app.publishing.publisher,
        task=task.name,
        queue=destination.queues[0],
        priority=None if priority is None else min(max(int(priority), 0), 9),
        origin=anonymous_node(),
        reply_to=app.thread_oid,
        ignore_result=task.ignore_result,
        soft_time_limit=options.get("soft_time_limit"),
        time_limit=options.get("time_limit"),
        saferepr=lambda value: saferepr(value, 1024, settings.repr_levels),
    )
    return Lane(task, plan, link, settings.version, address, destination.queues[0])
