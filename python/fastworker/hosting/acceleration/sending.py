"""In the place of ``app.send_task``: the short cut of a plain call.

A call is plain when nothing but Celery itself has a say in it. Whatever else it is, and whatever goes wrong, Celery's
own ``send_task`` carries it out as if we were not there.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from celery import signals
from celery._state import get_current_worker_task
from celery.utils.functional import maybe_list

from fastworker import _core
from fastworker.errors import OperationalError
from fastworker.hosting.acceleration import untouched
from fastworker.hosting.acceleration.lane import ROUTED, Lane, open_lane
from fastworker.hosting.acceleration.producer import QuickProducer

if TYPE_CHECKING:
    from celery import Celery
    from celery.result import AsyncResult

    from fastworker.hosting.acceleration.road import Road

#: A call with any of these is not plain, nor is one where one of the others is more than nothing.
_UNSAID = (
    "eta",
    "expires",
    "compression",
    "shadow",
    "connection",
    "publisher",
    "router",
    "route_name",
)
_NOTHING = ("countdown", "retries", "replaced_task_nesting", "immediate", "mandatory")
_OF_THE_CALL = (
    "task_id", "producer", "link", "link_error", "result_cls", "task_type", "ignore_result", "add_to_parent",
    "group_id", "group_index", "chord", "chain", "reply_to", "root_id", "parent_id",
)  # fmt: skip
_KNOWN = frozenset((*ROUTED, *_UNSAID, *_NOTHING, *_OF_THE_CALL))
#: Calls mostly have none of these, and are alike then.
_OWN = (
    "task_id", "producer", "link", "link_error", "group_id", "group_index", "chord", "chain", "root_id", "parent_id",
)  # fmt: skip


class _Local(threading.local):
    """What a thread knows.

    Attributes:
        lanes: By all that decides which lane it is.
        last: What the last plain call of each task said that had nothing of its own, and its lane.
    """

    def __init__(self) -> None:
        self.lanes: dict[Any, Lane] = {}
        self.last: dict[str, tuple[dict[str, Any], Lane]] = {}


class QuickSend:
    """``app.send_task``.

    Args:
        celery: The application.
        road: Its way to the broker.
    """

    def __init__(self, celery: Celery, road: Road) -> None:
        self._celery = celery
        self._road = road
        self._local = _Local()

    def __call__(
        self, name: str, args: Any = None, kwargs: Any = None, *rest: Any, **said: Any
    ) -> AsyncResult:
        """As Celery's."""
        lane = self._lane(name, args, kwargs, rest, said)
        if lane is None:
            return self._as_ever(name, args, kwargs, *rest, **said)
        get = said.get
        task_id = get("task_id") or _core.new_id()
        producer = get("producer")
        try:
            task_id, envelope = lane.member(
                args or (),
                kwargs or {},
                task_id,
                get("root_id") or None,
                get("parent_id"),
                get("group_id"),
                get("group_index"),
                _embedded(get("link"), get("link_error"), get("chain"), get("chord")),
            )
        except Exception:
            # What has no form in JSON, Celery refuses in its own words.
            return self._as_ever(name, args, kwargs, **said)
        if lane.on_task_call is not None:
            lane.on_task_call(producer, task_id)
        if producer is not None:
            producer.hand_over(
                envelope,
                lambda: self._through_pool(name, args, kwargs, {**said, "task_id": task_id}),
            )
        else:
            self._road.catch_up()
            try:
                self._road.publisher.publish([envelope])
            except OperationalError:
                return self._through_pool(name, args, kwargs, {**said, "task_id": task_id})
        result = (get("result_cls") or self._celery.AsyncResult)(task_id)
        result.ignored = get("ignore_result")
        return result

    def _as_ever(self, name: str, *args: Any, **kwargs: Any) -> AsyncResult:
        return type(self._celery).send_task(self._celery, name, *args, **kwargs)

    def _through_pool(
        self, name: str, args: Any, kwargs: Any, said: Mapping[str, Any]
    ) -> AsyncResult:
        """On a producer of Celery's: ours has just failed."""
        celery = self._celery
        with type(celery).producer_or_acquire(celery) as producer:
            return self._as_ever(name, args, kwargs, **{**said, "producer": producer})

    def _lane(
        self, name: str, args: Any, kwargs: Any, rest: tuple[Any, ...], said: dict[str, Any]
    ) -> Lane | None:
        """The lane for a call, if it is plain."""
        if (
            rest
            or signals.before_task_publish.receivers
            or signals.after_task_publish.receivers
            or signals.task_sent.receivers
            or not untouched.sends_itself(self._celery)
            or get_current_worker_task() is not None
            or not isinstance(args or (), (list, tuple))
            or not isinstance(kwargs or {}, Mapping)
        ):
            return None
        last = self._local.last.get(name)
        if last is not None and last[0] == said and last[1].is_open():
            return last[1]
        lane = self._lane_of(name, said)
        if lane is not None and not any(map(said.get, _OWN)):
            self._local.last[name] = said, lane
        return lane

    def _lane_of(self, name: str, said: dict[str, Any]) -> Lane | None:
        """The same, as far as what the call says decides it."""
        if not said.keys() <= _KNOWN:
            return None
        get = said.get
        for option in _UNSAID:
            if get(option) is not None:
                return None
        for option in _NOTHING:
            if get(option):
                return None
        producer = get("producer")
        if producer is not None and not isinstance(producer, QuickProducer):
            return None
        task = get("task_type")
        key = (name, get("ignore_result"), *map(get, ROUTED))
        try:
            lane = self._lanes.get(key)
        except TypeError:  # a queue that cannot be looked up
            return None
        if lane is None or not lane.is_open():
            lane = self._open(key, name, said, task)
        if lane is None or get("reply_to") not in (None, lane.reply_to):
            return None
        return lane

    def _open(self, key: Any, name: str, said: dict[str, Any], task: Any) -> Lane | None:
        # Without a task, Celery looks for its options, and warns where all tasks are eager.
        if task is None and (name in self._celery._tasks or self._celery.conf.task_always_eager):
            return None
        lane = open_lane(self._road, name, said, said.get("ignore_result"), task)
        if lane is not None:
            self._lanes[key] = lane
        return lane

    @property
    def _lanes(self) -> dict[Any, Lane]:
        return self._local.lanes


def _embedded(link: Any, link_error: Any, chain: Any, chord: Any) -> bytes | None:
    """The third element of the body; None: nothing is in it."""
    if link is None and link_error is None and chain is None and chord is None:
        return None
    callbacks, errbacks = maybe_list(link), maybe_list(link_error)
    return _core.dumps(
        {"callbacks": callbacks, "errbacks": errbacks, "chain": chain, "chord": chord}
    )
