"""Bulk publishing: one call per item, or a chunk of them to a message; hundreds of messages to a round trip, and
nothing kept of any.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterable, AsyncIterator, Iterable, Iterator, Mapping, Sequence
from itertools import chain, islice
from typing import TYPE_CHECKING, Any

from fastworker import _core
from fastworker.app.arguments import encode_error
from fastworker.app.calling import pack_or_run
from fastworker.app.lane import Lane, open_lane
from fastworker.app.outbox import Outbox
from fastworker.app.publish import Parcel
from fastworker.app.queue_room import QueueRoom, bound_of
from fastworker.app.state import get_current_worker_task
from fastworker.canvas.copying import plain
from fastworker.results.bulk_result import BulkResult, ChunkedResult
from fastworker.results.stream_ids import StreamIds

if TYPE_CHECKING:
    from fastworker.app.task import Task

#: More calls than anybody makes.
_ALL = 2**62
#: Where a task's calls go, and how: this much a message of many calls takes over from the task that is called in it.
_ROUTING = (
    "compression",
    "delivery_mode",
    "exchange",
    "priority",
    "queue",
    "routing_key",
    "serializer",
)


def publish_many(
    task: Task[..., Any],
    calls: Iterable[Sequence[Any]],
    chunksize: int | None,
    options: Mapping[str, Any],
) -> BulkResult:
    """Publish one call per sequence of positional arguments.

    Without options, and when nothing else is unusual, all goes through one message plan; otherwise
    each call is packed by itself. Either way many share a round trip. The results are not counted as children of a
    running task: there may be millions.

    Args:
        task: What is called.
        calls: Read as they are published.
        chunksize: Calls in a message; None: one, of the task itself.
        options: Of ``Task.apply_async``, and ``max_queue_length``.

    Raises:
        As ``Task.apply_async``; what came before the bad item is published.
        ValueError: ``chunksize`` or ``max_queue_length`` is no such number.
    """
    bulk = _Bulk(task, chunksize, options)
    lane = bulk.lane()
    if lane is not None:
        _publish_on(lane, bulk, _Feed(task, calls))
        return bulk.result()
    outbox = bulk.outbox()
    try:
        for packed in map(bulk.packed, bulk.messages(calls)):
            if packed is not None:
                outbox.take(packed)
    finally:
        outbox.flush()
    return bulk.result()


async def apublish_many(
    task: Task[..., Any],
    calls: Iterable[Sequence[Any]] | AsyncIterable[Sequence[Any]],
    chunksize: int | None,
    options: Mapping[str, Any],
) -> BulkResult:
    """The same for a coroutine: neither the broker nor a full queue blocks the loop."""
    bulk = _Bulk(task, chunksize, options)
    outbox = bulk.outbox()
    try:
        async for args in bulk.amessages(calls):
            packed = bulk.packed(args)
            if packed is not None:
                outbox.take(packed, is_awaited=True)
                await outbox.arelieve()
    finally:
        await outbox.aflush()
    return bulk.result()


class _Bulk:
    """One bulk publish.

    Args:
        task: What is called.
        chunksize: Calls in a message; None: one, of the task itself.
        options: Of the calls.
    """

    def __init__(
        self, task: Task[..., Any], chunksize: int | None, options: Mapping[str, Any]
    ) -> None:
        is_number = isinstance(chunksize, int) and not isinstance(chunksize, bool)
        if chunksize is not None and not (is_number and chunksize >= 1):
            raise ValueError(f"chunksize={chunksize!r}: expected a number of calls, at least 1")
        if options.get("task_id") is not None:
            raise ValueError(
                f"task_id={options['task_id']!r}: each call of a bulk publish gets an id of its own"
            )
        self.task = task
        self.app = task.bound_app()
        self.chunksize = chunksize
        self.options = dict(options)
        self.ignored = bool(options.get("ignore_result", task.ignore_result))
        self.bound = bound_of(self.app, self.options.pop("max_queue_length", None))
        self.seed = _core.new_id()
        #: Messages made, and calls in them.
        self.count = self.calls = 0
        self._began = time.monotonic()
        self._ids = iter(StreamIds(self.seed, range(_ALL)))
        self._called = task
        self._fixed: tuple[Any, ...] = ()
        if chunksize is not None:
            routing = {key: value for key, value in task.exec_options().items() if key in _ROUTING}
            named = {"route_name": task.name, "ignore_result": self.ignored}
            self.options = {**routing, **named, **self.options}
            self._called = self.app.tasks["celery.starmap"]
            self._fixed = (plain(task.s()),)

    def lane(self) -> Lane | None:
        """The short cut, if there is one."""
        return open_lane(self.task) if self.chunksize is None and not self.options else None

    def outbox(self) -> Outbox:
        """A new one."""
        outbox = Outbox(self.app)
        outbox.room = QueueRoom(self.app, self.bound)
        return outbox

    def messages(self, calls: Iterable[Sequence[Any]]) -> Iterator[tuple[Any, ...]]:
        """The arguments of each message."""
        if self.chunksize is None:
            for args in calls:
                self.calls += 1
                yield tuple(args)
            return
        items = map(self._item, calls)
        while some := list(islice(items, self.chunksize)):
            self.calls += len(some)
            yield (*self._fixed, some)

    async def amessages(
        self, calls: Iterable[Sequence[Any]] | AsyncIterable[Sequence[Any]]
    ) -> AsyncIterator[tuple[Any, ...]]:
        """The same of calls that may have to be awaited."""
        if not isinstance(calls, AsyncIterable):
            for args in self.messages(calls):
                yield args
            return
        some: list[Sequence[Any]] = []
        async for call in calls:
            some.append(call)
            if len(some) == (self.chunksize or 1):
                for args in self.messages(some):
                    yield args
                some = []
        for args in self.messages(some):
            yield args

    def packed(self, args: tuple[Any, ...]) -> Parcel | None:
        """A message; None: the call ran here (``task_always_eager``)."""
        options = {**self.options, "add_to_parent": False, "task_id": next(self._ids)}
        made = pack_or_run(self._called, args, options)
        self.count += 1
        return made if isinstance(made, Parcel) else None

    def result(self) -> BulkResult:
        """Of what was published."""
        ids = StreamIds(self.seed, range(self.count))
        if self.chunksize is None:
            return BulkResult(ids, self.app, self.ignored, self._began)
        return ChunkedResult(ids, self.app, self.chunksize, self.calls, self.ignored, self._began)

    def _item(self, args: Sequence[Any]) -> Sequence[Any]:
        """The arguments of one call of a chunk, as they travel.

        Raises:
            TypeError: They do not fit the function.
        """
        args = tuple(args)
        if self.task.typing:
            self.task.check_arguments(args, {})
        dump_models = self.task.dump_models
        return args if dump_models is None else dump_models(args, {})[0]


def _publish_on(lane: Lane, bulk: _Bulk, feed: _Feed) -> None:
    """Publish through a message plan, as many at once as the queue has room for."""
    parent = get_current_worker_task()
    root_id = None if parent is None else parent.request.root_id or parent.request.id
    parent_id = None if parent is None else parent.request.id
    settings = bulk.app.publishing.settings
    policy = settings.retry_policy if settings.retry else None
    room = QueueRoom(bulk.app, bulk.bound)
    try:
        while feed.goes_on():
            some = islice(feed, room.take(lane.queue, _ALL, policy))
            bulk.count += lane.plan.send_many(some, root_id, parent_id, bulk.seed, bulk.count)
    except (TypeError, ValueError) as exc:
        if feed.problem is exc:  # the iterable, or an argument check: not ours to explain
            raise
        task = bulk.task
        raise encode_error(task.name, "json", feed.current, {}, exc, _core.dumps) from exc


class _Feed(Iterator[tuple[Any, ...]]):
    """The calls as tuples, checked; remembers which one is being serialised, and what went wrong
    before that.

    Args:
        task: For the check.
        calls: Sequences of arguments.
    """

    def __init__(self, task: Task[..., Any], calls: Iterable[Sequence[Any]]) -> None:
        self._task = task
        self._calls = iter(calls)
        self.current: tuple[Any, ...] = ()
        self.problem: BaseException | None = None

    def goes_on(self) -> bool:
        """There is one more, which is read now."""
        for call in self._calls:
            self._calls = chain((call,), self._calls)
            return True
        return False

    def __next__(self) -> tuple[Any, ...]:
        try:
            self.current = tuple(next(self._calls))
            if self._task.typing:
                self._task.check_arguments(self.current, {})
        except BaseException as exc:
            self.problem = exc
            raise
        return self.current
