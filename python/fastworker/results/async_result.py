"""``AsyncResult``: what ``.delay()`` returns; asks for the state of a task, and waits for its
result.
"""

from __future__ import annotations

import sys
import time
from collections import deque
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import closing
from datetime import datetime
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar

from fastworker import states
from fastworker.errors import IncompleteStream, TimeoutError
from fastworker.results.application import ResultApp, current_application
from fastworker.results.joining import assert_will_not_block
from fastworker.results.remote_error import with_remote_traceback

if TYPE_CHECKING:
    from fastworker.results.graph import DependencyGraph, GraphFormatter

R = TypeVar("R")

#: Longest wait in one call, seconds; only a bound. Rust looks for signals such as Ctrl-C while it waits.
_SLICE_S = 3600.0
#: Members of a group that are watched by who waits for what follows it.
_FOLLOWED = 10_000


class ResultBase:
    """Root of everything that stands for a task's result."""

    __slots__ = ()


class AsyncResult(ResultBase, Generic[R]):
    """The result of one task, wherever it runs.

    Args:
        id: The task's id.
        backend: Where to ask; None: the application's.
        task_name: Ignored; Celery has it.
        app: Whose result; None: the application's that made the class, else the current one.
        parent: The result of the task before this one in a chain.

    Raises:
        ValueError: ``id`` is None.
    """

    __slots__ = (
        "__weakref__",
        "_app",
        "_backend",
        "_cache",
        "_callbacks",
        "_errbacks",
        "_glimpse",
        "id",
        "ignored",
        "parent",
    )

    TimeoutError = TimeoutError
    #: Set in the class that ``app.AsyncResult`` returns.
    bound_app: ClassVar[ResultApp | None] = None

    id: str
    parent: AsyncResult[Any] | None
    #: The task does not store its result: ``get()`` returns None at once.
    ignored: bool | None

    def __init__(
        self,
        id: str,
        backend: Any = None,
        task_name: str | None = None,
        app: ResultApp | None = None,
        parent: AsyncResult[Any] | None = None,
    ) -> None:
        if id is None:
            raise ValueError(f"AsyncResult requires valid id, not {type(id)}")
        self.id = id
        self._backend = backend
        self._app = app
        self.parent = parent
        self._cache: dict[str, Any] | None = None
        self._glimpse = states.PENDING
        self._callbacks: list[Callable[[Any], object]] | None = None
        self._errbacks: list[Callable[[BaseException], object]] | None = None
        self.ignored = False

    @property
    def app(self) -> ResultApp:
        """The application whose result this is."""
        return self._app or self.bound_app or current_application()

    @app.setter
    def app(self, app: ResultApp | None) -> None:
        self._app = app

    @property
    def backend(self) -> Any:
        """Where the result is."""
        return self._backend if self._backend is not None else self.app.backend

    @backend.setter
    def backend(self, backend: Any) -> None:
        self._backend = backend

    # -------------------------------------------------------------------------------------- waiting

    def get(
        self,
        timeout: float | None = None,
        propagate: bool = True,
        interval: float = 0.5,
        no_ack: bool = True,
        follow_parents: bool = True,
        callback: Callable[[str, Any], object] | None = None,
        on_message: Callable[[dict[str, Any]], object] | None = None,
        on_interval: Callable[[], object] | None = None,
        disable_sync_subtasks: bool = True,
        EXCEPTION_STATES: Collection[str] = states.EXCEPTION_STATES,
        PROPAGATE_STATES: Collection[str] = states.PROPAGATE_STATES,
    ) -> R:
        """Wait until the task is done and return what it returned.

        Args:
            timeout: Seconds; None waits for ever.
            propagate: Raise the task's exception, with the worker's traceback as its cause. False:
                return it.
            interval: Seconds between two calls of ``on_interval``; results are pushed where the store can.
            no_ack: Ignored; for queue-based stores.
            follow_parents: Also raise the exception of a task earlier in the chain, as soon as it fails. The members
                of a group of more than 10,000 are not looked at: what waits for them fails too.
            callback: Called with ``(id, value)`` once it is there.
            on_message: Called with every document that arrives while waiting.
            on_interval: Called every ``interval``.
            disable_sync_subtasks: Refuse to wait inside a task.
            EXCEPTION_STATES: Ignored, as in Celery.
            PROPAGATE_STATES: Ignored, as in Celery.

        Raises:
            TimeoutError: Not done in time. The task goes on.
            RuntimeError: Called inside a task.
        """
        if self.ignored:
            return None  # type: ignore[return-value]
        if disable_sync_subtasks:
            assert_will_not_block()
        deadline = None if timeout is None else time.monotonic() + timeout
        earlier: list[AsyncResult[Any]] = []
        if follow_parents and propagate and self.parent is not None:
            from fastworker.results.gathering import throw_settled

            earlier = self._earlier()
            throw_settled(earlier, deadline)
        if self._cache is None and not self._has_cached():
            unready = [one for one in earlier if not one._is_settled()]
            if unready:
                self._wait_with(unready, deadline, interval, on_interval, on_message)
            else:
                self._wait(deadline, interval, on_interval, on_message)
        return self.maybe_throw(propagate=propagate, callback=callback)

    wait = get

    async def aget(
        self,
        timeout: float | None = None,
        propagate: bool = True,
        follow_parents: bool = True,
        callback: Callable[[str, Any], object] | None = None,
        disable_sync_subtasks: bool = True,
    ) -> R:
        """``get`` for a coroutine: waits without blocking the loop.

        Any number of coroutines wait through one thread and one connection of the store. Cancelling
        ends the wait, not the task.

        Args:
            timeout: Seconds; None waits for ever.
            propagate: As for ``get``, like all others.

        Raises:
            TimeoutError: Not done in time. The task goes on.
            OperationalError: The store has not answered for some seconds.
            RuntimeError: Called inside a task.
        """
        if self.ignored:
            return None  # type: ignore[return-value]
        if disable_sync_subtasks:
            assert_will_not_block()
        if self._cache is None and not self._has_cached():
            from fastworker.results.awaiting import await_ready

            earlier = self._earlier() if follow_parents and propagate else []
            await await_ready(self, timeout, earlier)
        return self.maybe_throw(propagate=propagate, callback=callback)

    def _value(self, propagate: bool) -> Any:
        """What a ready one is in a list of values; None when it is not stored."""
        return None if self.ignored else self.maybe_throw(propagate=propagate)

    def _wait(
        self,
        deadline: float | None,
        interval: float,
        on_interval: Callable[[], object] | None,
        on_message: Callable[[dict[str, Any]], object] | None,
    ) -> None:
        """Fill the cache with a ready document."""
        backend = self.backend
        slice_s = interval if on_interval is not None else _SLICE_S
        next_tick = time.monotonic() + slice_s
        seen: bytes | None = None
        while True:
            until = next_tick if deadline is None else min(next_tick, deadline)
            doc = backend.wait_for_change(self.id, seen, max(0.0, until - time.monotonic()))
            if doc is not None:
                seen = doc
                meta = backend.decode(self.id, doc)
                if on_message is not None:
                    on_message(meta)
                if self._keep_if_ready(meta):
                    return
            now = time.monotonic()
            if deadline is not None and now >= deadline:
                raise TimeoutError("The operation timed out.")
            if now >= next_tick:
                if on_interval is not None:
                    on_interval()
                next_tick = time.monotonic() + slice_s

    def _wait_with(
        self,
        earlier: list[AsyncResult[Any]],
        deadline: float | None,
        interval: float,
        on_interval: Callable[[], object] | None,
        on_message: Callable[[dict[str, Any]], object] | None,
    ) -> None:
        """The same, or raise the exception of the first of ``earlier`` that fails."""
        from fastworker.results.gathering import as_they_are_stored

        def own_message(meta: dict[str, Any]) -> None:
            if on_message is not None and meta.get("task_id") == self.id:
                on_message(meta)

        backend = self.backend
        # What runs elsewhere has been looked at; only this store can wait for several at a time.
        watched = [*(one for one in earlier if one.backend is backend), self]
        waiting = as_they_are_stored(backend, watched, deadline, interval, on_interval, own_message)
        with closing(waiting) as came:
            for one in came:
                if one is self:
                    return
                if not one.ignored:
                    one.maybe_throw()

    def maybe_throw(
        self, propagate: bool = True, callback: Callable[[str, Any], object] | None = None
    ) -> R:
        """Return the result, or raise the exception of a failed task; does not wait.

        Args:
            propagate: False: return the exception.
            callback: Called with ``(id, value)`` unless the exception is raised.
        """
        meta = self._get_task_meta()
        value = meta["result"]
        if propagate and meta["status"] in states.PROPAGATE_STATES:
            exc = value if isinstance(value, BaseException) else Exception(value)
            as_frames = bool(self.app.conf.task_remote_tracebacks)
            raise with_remote_traceback(exc, meta.get("traceback"), as_frames)
        if callback is not None:
            callback(self.id, value)
        return value  # type: ignore[no-any-return]

    maybe_reraise = maybe_throw

    def _earlier(self) -> list[AsyncResult[Any]]:
        """The single results of what has to succeed before it runs, first one first: members of groups and headers
        among them, unless there are very many.
        """
        from fastworker.results.gathering import leaves

        line = [node for node in self._parents() if not _is_large(node) and not _bears(node)]
        return list(leaves(reversed(line)))

    def _parents(self) -> Iterator[AsyncResult[Any]]:
        node = self.parent
        while node is not None:
            yield node
            node = node.parent

    # --------------------------------------------------------------------------------------- asking

    def ready(self) -> bool:
        """The task has run: it succeeded, failed or was revoked."""
        return self.state in states.READY_STATES

    def successful(self) -> bool:
        """The task returned."""
        return self.state == states.SUCCESS

    def failed(self) -> bool:
        """The task raised."""
        return self.state == states.FAILURE

    def throw(
        self, exc: BaseException | None = None, tb: Any = None, propagate: bool = True
    ) -> None:
        """Raise ``exc`` as what became of the task, after those who gave ``then`` an ``on_error`` were told.

        Args:
            exc: None: the exception that is being handled.
            tb: Its traceback, in place of its own.
            propagate: False: only tell them.

        Raises:
            BaseException: ``exc``.
        """
        exc = exc if exc is not None else sys.exc_info()[1]
        if exc is None:
            raise RuntimeError(f"throw() of {self!r}: give the exception; none is being handled")
        errbacks, self._errbacks = self._errbacks, None
        self._callbacks = None
        for errback in errbacks or ():
            errback(exc)
        if propagate:
            raise exc if tb is None else exc.with_traceback(tb)

    def exists(self) -> bool:
        """The store has a document of this id; a waiting task has none, and neither has one that
        never was.
        """
        return bool(self.backend.task_result_exists(self.id))

    def known(self, *queues: str) -> bool:
        """There is, or was, such a task: something is stored of it, or its message is in the broker. An id that nobody
        has published is PENDING for ever, as in Celery; here one can tell.

        What is stored is asked for first, which is one round trip. Then what waits and what is leased is read through:
        some seconds for a million messages, so do not poll with this. False too of a task whose result is ignored or
        has expired, once it has run.

        Args:
            queues: Where it may wait, besides the application's own queues and those that its tasks are routed to.

        Raises:
            OperationalError: Store or broker does not answer.
        """
        if self._cache is not None:
            return True
        # It may have run while the broker was looked through.
        return self._is_stored() or self.app.is_in_broker(self.id, queues) or self._is_stored()

    async def aknown(self, *queues: str) -> bool:
        """``known`` for a coroutine, looked for by a thread."""
        import asyncio

        return await asyncio.to_thread(self.known, *queues)

    def _is_stored(self) -> bool:
        return self.backend.persistent and self.exists()

    @property
    def state(self) -> str:
        """Now: PENDING (waiting, or unknown), STARTED, RETRY, SUCCESS, FAILURE, REVOKED, or the
        task's own.
        """
        return self._get_task_meta()["status"]  # type: ignore[no-any-return]

    status = state

    @property
    def result(self) -> Any:
        """What the task returned, its exception, or what it last said of its progress."""
        return self._get_task_meta()["result"]

    info = result

    @property
    def traceback(self) -> str | None:
        """The worker's traceback as text, of a failed task."""
        return self._get_task_meta().get("traceback")

    @property
    def children(self) -> Any:
        """Results of the tasks that this one published; None while it has not run."""
        return self._get_task_meta().get("children")

    @property
    def date_done(self) -> datetime | None:
        """When it was done; None while it is not."""
        value = self._get_task_meta().get("date_done")
        return datetime.fromisoformat(value) if isinstance(value, str) else value

    @property
    def name(self) -> str | None:
        """The task's name; like the following only with ``result_extended``."""
        return self._get_task_meta().get("name")

    @property
    def args(self) -> Any:
        """Positional arguments."""
        return self._get_task_meta().get("args")

    @property
    def kwargs(self) -> Any:
        """Keyword arguments."""
        return self._get_task_meta().get("kwargs")

    @property
    def worker(self) -> str | None:
        """Name of the node that ran it."""
        return self._get_task_meta().get("worker")

    @property
    def retries(self) -> int | None:
        """How often it was retried."""
        return self._get_task_meta().get("retries")

    @property
    def queue(self) -> str | None:
        """The queue it came from."""
        return self._get_task_meta().get("queue")

    @property
    def task_id(self) -> str:
        """The same as ``id``."""
        return self.id

    @task_id.setter
    def task_id(self, id: str) -> None:
        self.id = id

    @property
    def supports_native_join(self) -> bool:
        """Celery's name for: many results can be asked for at once."""
        return True

    def _get_task_meta(self) -> dict[str, Any]:
        if self._cache is not None:
            return self._cache
        meta: dict[str, Any] = self.backend.get_task_meta(self.id)
        self._keep_if_ready(meta)
        return meta

    def _has_cached(self) -> bool:
        """Take the document that ``result_cache_max`` has kept, if there is one. Backends of others keep none."""
        cached = getattr(self.backend, "cached", None)
        meta = None if cached is None else cached(self.id)
        return meta is not None and self._keep_if_ready(meta)

    def _is_settled(self) -> bool:
        """Nothing has to be asked for: it is known to be ready, or never stored."""
        return self._cache is not None or bool(self.ignored)

    def _keep(self, meta: dict[str, Any]) -> bool:
        """Take a document that came together with others; True: it is final."""
        self._glimpse = meta["status"]
        return self._keep_if_ready(meta)

    def _seen_state(self) -> str:
        """The state when it was looked at last."""
        if self._cache is not None:
            return self._cache["status"]  # type: ignore[no-any-return]
        return self._glimpse

    def _keep_if_ready(self, meta: dict[str, Any]) -> bool:
        """Remember a final document, so that it is asked for once."""
        if meta["status"] not in states.READY_STATES:
            return False
        if meta.get("children"):
            from fastworker.results.tuples import result_from_tuple

            meta["children"] = [result_from_tuple(child, self.app) for child in meta["children"]]
        self._cache = meta
        callbacks, self._callbacks, self._errbacks = self._callbacks, None, None
        for callback in callbacks or ():
            callback(self)
        return True

    # ------------------------------------------------------------------------------------- changing

    def forget(self) -> None:
        """Remove the stored result, and those of the tasks before it in the chain."""
        self._cache = None
        self.backend.forget(self.id)
        for ancestor in self._parents():
            if not isinstance(ancestor, AsyncResult):  # the header of a chord forgets its own
                ancestor.forget()
                return
            ancestor._cache = None
            ancestor.backend.forget(ancestor.id)

    def revoke(
        self,
        connection: Any = None,
        terminate: bool = False,
        signal: str | int | None = None,
        wait: bool = False,
        timeout: float | None = None,
    ) -> None:
        """Have the task not run, wherever it waits.

        Args:
            connection: Ignored: fastworker manages its connections.
            terminate: If it runs, end it, and its process with it.
            signal: By this signal; None: ``SIGTERM``.
            wait: Wait for the workers' replies.
            timeout: Seconds of silence after which nobody else is waited for; None: 1.

        Raises:
            OperationalError: The broker cannot be reached.
        """
        self.app.control.revoke(self.id, **_order(terminate, signal, wait, timeout))

    def revoke_by_stamped_headers(
        self,
        headers: Mapping[str, Any],
        connection: Any = None,
        terminate: bool = False,
        signal: str | int | None = None,
        wait: bool = False,
        timeout: float | None = None,
    ) -> None:
        """Have all tasks with one of these stamps not run; ``headers`` is ``{stamp: value or
        values}``, the other arguments are those of ``revoke``.
        """
        order = _order(terminate, signal, wait, timeout)
        self.app.control.revoke_by_stamped_headers(headers, **order)

    def then(
        self,
        callback: Callable[[Any], object],
        on_error: Callable[[BaseException], object] | None = None,
        weak: bool = False,
    ) -> Callable[[Any], object]:
        """Call ``callback`` with this result once it is ready; returns the callback.

        As in Celery that is when somebody in this process learns of it, by waiting or asking, and in their thread; at
        once when it is known to be ready.

        Args:
            callback: Gets the result.
            on_error: Called with the exception of a callback that raises, and with what ``throw`` is given; None lets
                it through.
            weak: Ignored.
        """
        called = callback if on_error is None else guarded(callback, on_error)
        if self._cache is not None:
            called(self)
        else:
            self._callbacks = [*(self._callbacks or ()), called]
            if on_error is not None:
                self._errbacks = [*(self._errbacks or ()), on_error]
        return callback

    # ------------------------------------------------------------------------------------- the tree

    def iterdeps(
        self, intermediate: bool = False
    ) -> Iterator[tuple[AsyncResult[Any] | None, AsyncResult[Any]]]:
        """This result and those of its children, theirs and so on, as ``(parent, result)``.

        Raises:
            IncompleteStream: One is not ready, unless ``intermediate``.
        """
        waiting: deque[tuple[AsyncResult[Any] | None, AsyncResult[Any]]] = deque([(None, self)])
        while waiting:
            parent, node = waiting.popleft()
            yield parent, node
            if node.ready():
                waiting.extend((node, child) for child in node.children or ())
            elif not intermediate:
                raise IncompleteStream(f"task {node.id} has not finished")

    def collect(
        self, intermediate: bool = False, **kwargs: Any
    ) -> Iterator[tuple[AsyncResult[Any], Any]]:
        """``(result, its value)`` for the whole tree, waiting for each; ``kwargs`` go to
        ``get``.
        """
        for _, node in self.iterdeps(intermediate=intermediate):
            yield node, node.get(**kwargs)

    @property
    def graph(self) -> DependencyGraph:
        """``build_graph()``."""
        return self.build_graph()

    def build_graph(
        self, intermediate: bool = False, formatter: GraphFormatter | None = None
    ) -> DependencyGraph:
        """What the task published, and what that published, as a graph; ``graph.to_dot(file)`` draws it.

        Args:
            intermediate: Leave out what tasks that are not ready may publish. False: there must be none.
            formatter: How it is drawn.

        Raises:
            IncompleteStream: A task is not ready, unless ``intermediate``.
        """
        from fastworker.results.graph import DependencyGraph, GraphFormatter

        graph = DependencyGraph(formatter=formatter or GraphFormatter(root=self.id, shape="oval"))
        for parent, node in self.iterdeps(intermediate=intermediate):
            graph.add_arc(node)
            if parent is not None:
                graph.add_edge(parent, node)
        return graph

    def get_leaf(self) -> Any:
        """The value of the last result of the tree."""
        value = None
        for _, node in self.iterdeps():
            value = node.get()
        return value

    # ------------------------------------------------------------------------------------- identity

    def as_tuple(self) -> tuple[Any, Any]:
        """``((id, parent's tuple), None)``: how results are stored."""
        return tuple_of(self)

    def as_list(self) -> list[str]:
        """The ids of this result and of those before it in the chain."""
        return [self.id, *(node.id for node in self._parents())]

    def __str__(self) -> str:
        return str(self.id)

    def __hash__(self) -> int:
        return hash(self.id)

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: {self.id}>"

    def __eq__(self, other: object) -> bool:
        if isinstance(other, AsyncResult):
            return bool(other.id == self.id)
        return other == self.id if isinstance(other, str) else NotImplemented

    def __copy__(self) -> AsyncResult[R]:
        return type(self)(self.id, self._backend, None, self._app, self.parent)

    def __reduce__(self) -> tuple[Any, ...]:
        return AsyncResult, (self.id, None, None, None, self.parent)


def _is_large(result: Any) -> bool:
    """A set of so many results that whoever waits for what follows them does not look at each."""
    return not isinstance(result, AsyncResult) and len(result) > _FOLLOWED


def _bears(result: Any) -> bool:
    """A header whose chord's body runs although members fail."""
    return bool(getattr(result, "bears_failures", False))


def tuple_of(result: Any) -> tuple[Any, Any]:
    """``((id, parent's tuple), members' tuples)`` of a result or a set of them, however long the chain before it is."""
    line = [result]
    while (parent := line[-1].parent) is not None:
        line.append(parent)
    known: Any = None
    for node in reversed(line):
        members = getattr(node, "results", None)
        inner = None if members is None else _stored(members)
        known = (node.id, known), inner
    return known  # type: ignore[no-any-return]


def _stored(members: Any) -> Any:
    from fastworker.results.stream_members import KEPT, StreamMembers

    # A frozen stream may turn out to be short.
    if isinstance(members, StreamMembers) and len(members) > KEPT:
        return members.stored()
    return [member.as_tuple() for member in members]


def _order(
    terminate: bool, signal: str | int | None, wait: bool, timeout: float | None
) -> dict[str, Any]:
    """Arguments of ``app.control``'s methods."""
    order: dict[str, Any] = {"terminate": terminate, "reply": wait}
    if signal is not None:
        order["signal"] = signal
    if timeout is not None:
        order["timeout"] = timeout
    return order


def guarded(
    callback: Callable[[Any], object], on_error: Callable[[BaseException], object]
) -> Callable[[Any], object]:
    """``callback``, whose exceptions ``on_error`` gets."""

    def called(result: Any) -> None:
        try:
            callback(result)
        except Exception as exc:
            on_error(exc)

    return called
