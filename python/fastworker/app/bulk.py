"""Bulk publishing: one call per item, hundreds to a round trip, 16 bytes kept of each."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from fastworker import _core
from fastworker.app.arguments import encode_error
from fastworker.app.lane import open_lane
from fastworker.app.publish import Batch, Parcel
from fastworker.app.state import get_current_worker_task
from fastworker.results.bulk_result import BulkResult

if TYPE_CHECKING:
    from fastworker.app.task import Task


def publish_many(
    task: Task[..., Any], calls: Iterable[Sequence[Any]], options: Mapping[str, Any]
) -> BulkResult:
    """Publish one call per sequence of positional arguments.

    Without options, and when nothing else is unusual, all goes through one message plan; otherwise
    each call is packed by itself. Either way many share a round trip, and what is kept of each is
    its id. The results are not counted as children of a running task: there may be millions.

    Raises:
        As ``Task.apply_async``; what came before the bad item is published.
    """
    app = task.bound_app()
    ignored = bool(options.get("ignore_result", task.ignore_result))
    lane = None if options else open_lane(task)
    if lane is None:
        return BulkResult(_publish_in_batches(task, calls, options), app, ignored)
    parent = get_current_worker_task()
    root_id = None if parent is None else parent.request.root_id or parent.request.id
    parent_id = None if parent is None else parent.request.id
    feed = _Feed(task, calls)
    try:
        ids = lane.plan.send_many(feed, root_id, parent_id, None)
    except (TypeError, ValueError) as exc:
        if feed.problem is exc:  # the iterable, or an argument check: not ours to explain
            raise
        raise encode_error(task.name, "json", feed.current, {}, exc, _core.dumps) from exc
    return BulkResult(ids, app, ignored)


def _publish_in_batches(
    task: Task[..., Any], calls: Iterable[Sequence[Any]], options: Mapping[str, Any]
) -> bytes:
    """The ids, 16 bytes each. A call that cannot be packed raises after those before it are
    published.
    """
    from fastworker.app.calling import pack_or_run

    ids = bytearray()
    batch = Batch(task.bound_app())
    try:
        for args in calls:
            made = pack_or_run(task, tuple(args), {**options, "add_to_parent": False})
            if isinstance(made, Parcel):
                batch.add(made)
                made = made.result
            ids += uuid.UUID(made.id).bytes
    finally:
        batch.flush()
    return bytes(ids)


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

    def __next__(self) -> tuple[Any, ...]:
        try:
            self.current = tuple(next(self._calls))
            if self._task.typing:
                self._task.check_arguments(self.current, {})
        except BaseException as exc:
            self.problem = exc
            raise
        return self.current
