"""``self.request`` in a worker: what the message says, read only when somebody asks.

Most tasks never look at their request. So what is pushed for a call is a small object that knows the ids that
publishing needs, and becomes the whole `Context` when any other attribute is touched.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastworker import states
from fastworker._core import dumps, loads
from fastworker.app.batches import BatchContext
from fastworker.app.context import Context
from fastworker.app.state import get_current_worker_task
from fastworker.results.tuples import result_from_tuple

if TYPE_CHECKING:
    from fastworker._core import Call, ChildLink

#: Headers that have an attribute of their own; the others are the user's and become ``request.headers``.
_KNOWN_HEADERS = frozenset(
    {
        "lang",
        "task",
        "id",
        "shadow",
        "eta",
        "expires",
        "group",
        "group_index",
        "retries",
        "timelimit",
        "root_id",
        "parent_id",
        "argsrepr",
        "kwargsrepr",
        "origin",
        "ignore_result",
        "replaced_task_nesting",
        "stamped_headers",
        "stamps",
        "compression",
        "redelivered",
        "meth",
    }
)
_NOTHING_EMBEDDED = dict.fromkeys(("callbacks", "errbacks", "chain", "chord"))


def request_fields(
    call: Call, args: Any, kwargs: dict[str, Any], embed: dict[str, Any] | None, node: str
) -> dict[str, Any]:
    """Every attribute of ``self.request`` that a worker sets. Source: celery-contract 9.10."""
    # Celery has all headers as attributes, and those who trace tasks look for theirs there.
    fields: dict[str, Any] = loads(call.headers) or {}
    properties: dict[str, Any] = loads(call.properties) or {}
    info = properties.get("delivery_info") or {}
    custom = None if fields.keys() <= _KNOWN_HEADERS else _take_custom(fields)
    hard, soft = fields.get("timelimit") or (None, None)
    is_redelivered = (
        call.is_redelivered
        or fields.get("redelivered")
        or info.get("redelivered")
        or call.attempt > 1
    )
    retries = fields.get("retries") or 0
    fields.update(_NOTHING_EMBEDDED)
    if embed:
        fields.update(embed)
    fields.update(
        {
            "id": call.id,
            "task": call.task,
            "args": args,
            "kwargs": kwargs,
            "root_id": call.root_id,
            "parent_id": call.parent_id,
            "hostname": node,
            "called_directly": False,
            "is_eager": False,
            "retries": retries,
            "headers": custom,
            "properties": properties,
            "reply_to": properties.get("reply_to"),
            "correlation_id": properties.get("correlation_id"),
            "time_limit": hard,
            "soft_time_limit": soft,
            "delivery_info": {
                "exchange": info.get("exchange", ""),
                "routing_key": info.get("routing_key", call.queue),
                "priority": properties.get("priority", 0),
                "redelivered": bool(is_redelivered),
            },
        }
    )
    return fields


def _take_custom(fields: dict[str, Any]) -> dict[str, Any] | None:
    """The user's own headers; None: there are none. Stamps are taken out of ``fields``."""
    for name in fields.get("stamps") or ():
        if name not in _KNOWN_HEADERS:
            fields.pop(name, None)
    return {name: value for name, value in fields.items() if name not in _KNOWN_HEADERS} or None


class Trail(list[Any]):
    """The results of what the running task has published so far; what is appended here is noted by the link.

    Args:
        link: It keeps them, and writes them into the task's result.
    """

    def __init__(self, link: ChildLink) -> None:
        super().__init__(result_from_tuple(loads(text.encode())) for text in link.children())
        self._link = link

    def append(self, result: Any) -> None:
        """Note what was published, given its result or a task's id."""
        if isinstance(result, str):
            result = result_from_tuple(((result, None), None))
        super().append(result)
        self._link.add_child(dumps(result.as_tuple()).decode())


class WorkerRequest:
    """The request of a running task; any attribute beyond the ids reads the message."""

    __slots__ = ("_context", "_link", "_parts", "id", "parent_id", "root_id")
    called_directly = False
    is_eager = False
    is_batch = False

    id: str
    root_id: str
    parent_id: str | None
    _parts: tuple[Call, Any, dict[str, Any], dict[str, Any] | None, str]
    _link: ChildLink
    _context: Context | None

    def __init__(
        self,
        call: Call,
        args: Any,
        kwargs: dict[str, Any],
        embed: dict[str, Any] | None,
        node: str,
        link: ChildLink,
    ) -> None:
        # By the slots: ``__setattr__`` is for what the task sets.
        _set_id(self, call.id)
        _set_root_id(self, call.root_id)
        _set_parent_id(self, call.parent_id)
        _set_parts(self, (call, args, kwargs, embed, node))
        _set_link(self, link)
        _set_context(self, None)

    def full(self) -> Context:
        """Everything that the message says; read once."""
        context = self._context
        if context is None:
            context = self._context = Context(request_fields(*self._parts))
        return context

    def __getattr__(self, name: str) -> Any:
        return getattr(self.full(), name)

    def __setattr__(self, name: str, value: Any) -> None:
        if name in WorkerRequest.__slots__:
            object.__setattr__(self, name, value)
        else:
            setattr(self.full(), name, value)

    @property
    def call(self) -> Call:
        """What the worker was given."""
        return self._parts[0]

    @property
    def link(self) -> ChildLink:
        """The link of the child that runs it."""
        return self._link

    @property
    def children(self) -> Trail:
        """Results of the tasks that this one has published so far."""
        return Trail(self._link)

    def __repr__(self) -> str:
        return repr(self.full())


_SLOTS: Any = WorkerRequest
_set_id, _set_root_id, _set_parent_id = (
    getattr(_SLOTS, name).__set__ for name in ("id", "root_id", "parent_id")
)
_set_parts, _set_link, _set_context = (
    getattr(_SLOTS, name).__set__ for name in ("_parts", "_link", "_context")
)


def request_of(task_id: str, state: str | None) -> WorkerRequest | None:
    """The request of the call with this id, if it runs here, alone or in a batch; a ``state`` of it is to be stored."""
    task = get_current_worker_task()
    request: Any = task.request if task is not None else None
    if isinstance(request, BatchContext):
        batch, request = request, request.members.get(task_id)
        if request is not None and state in states.READY_STATES:
            batch.stored.add(task_id)
    is_it = isinstance(request, WorkerRequest) and request.id == task_id
    return request if is_it else None
