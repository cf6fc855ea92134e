"""Several results as one: ``ResultSet`` of any results, ``GroupResult`` of the tasks of a group."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Generator, Iterable, Iterator
from contextlib import aclosing, closing
from typing import Any, ClassVar

from fastworker import states
from fastworker.errors import ImproperlyConfigured
from fastworker.results.application import ResultApp, current_application
from fastworker.results.async_result import AsyncResult, ResultBase, guarded, tuple_of
from fastworker.results.gathering import as_they_come, leaves, states_of
from fastworker.results.joining import assert_will_not_block
from fastworker.results.progress import Pace, Progress, Tally
from fastworker.results.progress_bar import bar


class ResultSet(ResultBase):
    """Results that are waited for together.

    Args:
        results: In the order in which ``join`` returns their values; sets among them count as one.
        app: Whose results; None: that of the first result, else the current application's.
        parent: The result of the task before them in a chain.
    """

    bound_app: ClassVar[ResultApp | None] = None

    def __init__(
        self,
        results: Iterable[Any] | None = (),
        app: ResultApp | None = None,
        parent: Any = None,
        **_: Any,
    ) -> None:
        self._app = app
        self.parent = parent
        self.results: list[Any] = results if isinstance(results, list) else list(results or ())
        #: When publishing began, of ``time.monotonic``; None: nobody knows.
        self.began: float | None = None
        self._known_pace: Pace | None = None

    @property
    def app(self) -> ResultApp:
        """The application whose results these are."""
        if self._app is None:
            first = self.results[0].app if self.results else None
            self._app = self.bound_app or first or current_application()
        return self._app

    @app.setter
    def app(self, app: ResultApp | None) -> None:
        self._app = app

    @property
    def backend(self) -> Any:
        """Where the results are."""
        return self.app.backend

    @property
    def supports_native_join(self) -> Any:
        """Many results can be asked for at once; None when there are none."""
        return self.results[0].supports_native_join if self.results else None

    # --------------------------------------------------------------------------------------- members

    def add(self, result: Any) -> None:
        """Add a result that is not in the set yet."""
        if result not in self.results:
            self.results.append(result)

    def remove(self, result: Any) -> None:
        """Take a result, or the one with this id, out of the set.

        Raises:
            KeyError: It is not in the set.
        """
        if isinstance(result, str):
            result = self.app.AsyncResult(result)
        try:
            self.results.remove(result)
        except ValueError:
            raise KeyError(result) from None

    def discard(self, result: Any) -> None:
        """``remove``, if it is in the set."""
        if result in self.results:
            self.results.remove(result)

    def update(self, results: Iterable[Any]) -> None:
        """Add those that are not in the set yet."""
        self.results.extend(result for result in results if result not in self.results)

    def clear(self) -> None:
        """Take all out."""
        self.results[:] = []

    # --------------------------------------------------------------------------------------- waiting

    def get(
        self,
        timeout: float | None = None,
        propagate: bool = True,
        interval: float = 0.5,
        callback: Callable[[str, Any], object] | None = None,
        no_ack: bool = True,
        on_message: Callable[[dict[str, Any]], object] | None = None,
        disable_sync_subtasks: bool = True,
        on_interval: Callable[[], object] | None = None,
        progress: bool = False,
    ) -> Any:
        """Wait for all and return their values in order.

        Args:
            timeout: Seconds for all together; None waits for ever.
            propagate: Raise the exception of the first task that is seen to have failed, without waiting for the
                others. False: it is in the list.
            interval: Seconds between two calls of ``on_interval``; the results themselves are pushed where the store
                can.
            callback: Called with ``(id, value)`` of each, as they come; nothing is returned then.
            no_ack: Ignored; for queue-based stores.
            on_message: Called with every document that arrives while waiting.
            disable_sync_subtasks: Refuse to wait inside a task.
            on_interval: Called every ``interval``.
            progress: Draw a bar in a terminal or a notebook.

        Raises:
            TimeoutError: Not all were done in time.
            RuntimeError: Called inside a task.
        """
        join = self.join_native if self.supports_native_join else self.join
        return join(
            timeout=timeout,
            propagate=propagate,
            interval=interval,
            callback=callback,
            no_ack=no_ack,
            on_message=on_message,
            disable_sync_subtasks=disable_sync_subtasks,
            on_interval=on_interval,
            **({"progress": True} if progress else {}),
        )

    def join_native(
        self,
        timeout: float | None = None,
        propagate: bool = True,
        interval: float = 0.5,
        callback: Callable[[str, Any], object] | None = None,
        no_ack: bool = True,
        on_message: Callable[[dict[str, Any]], object] | None = None,
        on_interval: Callable[[], object] | None = None,
        disable_sync_subtasks: bool = True,
        progress: bool = False,
    ) -> Any:
        """``get``; what is there costs a round trip for every thousand, the rest one subscription."""
        if disable_sync_subtasks:
            assert_will_not_block()
        report = None if callback is None else self._reporter(callback)
        members = list(leaves(self.results))
        with (
            bar(progress, len(members)) as shown,
            closing(as_they_come(members, timeout, interval, on_interval, on_message)) as came,
        ):
            for result in came:
                shown.step(result._seen_state() in states.PROPAGATE_STATES)
                if propagate:
                    result._value(propagate=True)
                if report is not None:
                    report(result)
        return None if callback is not None else self._values(propagate)

    def _reporter(self, callback: Callable[[str, Any], object]) -> Callable[[Any], None]:
        """What is told of every task that ended, and calls ``callback`` for each member of the set: for a set in it
        when all of its tasks have ended.
        """
        member_of: dict[int, Any] = {}
        left: dict[int, int] = {}
        for member in self.results:
            for leaf in leaves([member]):
                member_of[id(leaf)] = member
                left[id(member)] = left.get(id(member), 0) + 1

        def report(result: Any) -> None:
            member = member_of[id(result)]
            left[id(member)] -= 1
            if not left[id(member)]:
                is_set = isinstance(member, ResultSet)
                callback(member.id, (member._values if is_set else member._value)(propagate=False))

        return report

    def _values(self, propagate: bool) -> list[Any]:
        return [
            result._values(propagate)
            if isinstance(result, ResultSet)
            else result._value(propagate=propagate)
            for result in self.results
        ]

    def join(
        self,
        timeout: float | None = None,
        propagate: bool = True,
        interval: float = 0.5,
        callback: Callable[[str, Any], object] | None = None,
        no_ack: bool = True,
        on_message: Callable[[dict[str, Any]], object] | None = None,
        disable_sync_subtasks: bool = True,
        on_interval: Callable[[], object] | None = None,
        progress: bool = False,
    ) -> list[Any]:
        """``get``, whose ``callback`` is called in the order of the results; the list is empty then.

        Raises:
            ImproperlyConfigured: ``on_message`` was given.
        """
        if on_message is not None:
            raise ImproperlyConfigured("Backend does not support on_message callback")
        if disable_sync_subtasks:
            assert_will_not_block()
        members = list(leaves(self.results))
        with (
            bar(progress, len(members)) as shown,
            closing(as_they_come(members, timeout, interval, on_interval)) as came,
        ):
            for result in came:
                shown.step(result._seen_state() in states.PROPAGATE_STATES)
                if propagate:
                    result._value(propagate=True)
        values = self._values(propagate)
        if callback is None:
            return values
        for result, value in zip(self.results, values, strict=True):
            callback(result.id, value)
        return []

    def iter_native(
        self,
        timeout: float | None = None,
        interval: float = 0.5,
        no_ack: bool = True,
        on_message: Callable[[dict[str, Any]], object] | None = None,
        on_interval: Callable[[], object] | None = None,
    ) -> Generator[tuple[str, dict[str, Any]], None, None]:
        """``(id, document)`` of each task as it ends; arguments as for ``get``."""
        members = list(leaves(self.results))
        with closing(as_they_come(members, timeout, interval, on_interval, on_message)) as came:
            for result in came:
                yield result.id, result._get_task_meta()

    async def aget(
        self,
        timeout: float | None = None,
        propagate: bool = True,
        callback: Callable[[str, Any], object] | None = None,
        disable_sync_subtasks: bool = True,
    ) -> Any:
        """``get`` for a coroutine: waits without blocking the loop, and through one thread for all coroutines.

        Args:
            timeout: Seconds for all together; None waits for ever.
            propagate: As for ``get``, like all others.

        Raises:
            TimeoutError: Not all were done in time.
            OperationalError: The store has not answered for some seconds.
            RuntimeError: Called inside a task.
        """
        if disable_sync_subtasks:
            assert_will_not_block()
        from fastworker.results.awaiting import await_each

        report = None if callback is None else self._reporter(callback)
        async with aclosing(await_each(list(leaves(self.results)), timeout)) as came:
            async for result in came:
                if propagate:
                    result._value(propagate=True)
                if report is not None:
                    report(result)
        return None if callback is not None else self._values(propagate)

    async def __aiter__(self) -> AsyncIterator[AsyncResult[Any]]:
        """The results of the tasks as they end, those in sets among them too; does not block the loop."""
        assert_will_not_block()
        from fastworker.results.awaiting import await_each

        async with aclosing(await_each(list(leaves(self.results)), None)) as came:
            async for result in came:
                yield result

    # ---------------------------------------------------------------------------------------- asking

    def ready(self) -> bool:
        """All have run."""
        return all(state in states.READY_STATES for state in states_of(self.results))

    def waiting(self) -> bool:
        """At least one has not run."""
        return not self.ready()

    def successful(self) -> bool:
        """All returned."""
        return all(state == states.SUCCESS for state in states_of(self.results))

    def failed(self) -> bool:
        """At least one raised."""
        return any(state == states.FAILURE for state in states_of(self.results))

    def completed_count(self) -> int:
        """How many returned."""
        return sum(state == states.SUCCESS for state in states_of(self.results))

    def progress(self, exact: bool = False) -> Progress:
        """How many members have returned and failed, how fast, and when all will have ended.

        Up to 10,000 are counted, a round trip for every thousand that is not known to have ended; more are estimated
        from 2,000 of them, which is right to about a thousandth where tasks end in the order in which they were
        published. A set in the set counts as one.

        Args:
            exact: Count them however many there are.
        """
        return self._tally(exact).take()

    async def aprogress(self, exact: bool = False) -> Progress:
        """``progress`` for a coroutine.

        Raises:
            OperationalError: The store has not answered for some seconds.
        """
        return await self._tally(exact).atake()

    def _tally(self, exact: bool) -> Tally:
        return Tally(self.results, len(self.results), self._pace, exact)

    @property
    def _pace(self) -> Pace:
        if self._known_pace is None:
            self._known_pace = Pace(self.began)
        return self._known_pace

    def maybe_throw(
        self, callback: Callable[[str, Any], object] | None = None, propagate: bool = True
    ) -> None:
        """Raise the exception of the first that failed; does not wait."""
        for result in self.results:
            result.maybe_throw(callback=callback, propagate=propagate)

    maybe_reraise = maybe_throw

    def then(
        self,
        callback: Callable[[Any], object],
        on_error: Callable[[BaseException], object] | None = None,
        weak: bool = False,
    ) -> Callable[[Any], object]:
        """Call ``callback`` with this set once all are known to be ready; as ``AsyncResult.then``."""
        called = callback if on_error is None else guarded(callback, on_error)
        unready = {id(r): r for r in leaves(self.results) if not r._is_settled()}

        def one_more(result: Any) -> None:
            unready.pop(id(result), None)
            if not unready:
                called(self)

        if not unready:
            called(self)
        for result in list(unready.values()):
            result.then(one_more)
        return callback

    # -------------------------------------------------------------------------------------- changing

    def forget(self) -> None:
        """Remove all stored results, and those of the tasks before them."""
        alone: dict[int, tuple[Any, list[str]]] = {}
        for result in leaves(self.results):
            if result.parent is not None or type(result).forget is not AsyncResult.forget:
                result.forget()
                continue
            result._cache = None
            backend = result.backend
            alone.setdefault(id(backend), (backend, []))[1].append(result.id)
        for backend, ids in alone.values():
            backend.forget_many(ids)

    def revoke(
        self,
        connection: Any = None,
        terminate: bool = False,
        signal: str | int | None = None,
        wait: bool = False,
        timeout: float | None = None,
    ) -> None:
        """Have none of the tasks run; arguments as in ``AsyncResult.revoke``. One order for all."""
        ids = [result.id for result in leaves(self.results)]
        if ids:
            order: dict[str, Any] = {"terminate": terminate, "reply": wait}
            if signal is not None:
                order["signal"] = signal
            if timeout is not None:
                order["timeout"] = timeout
            self.app.control.revoke(ids, **order)

    def __iter__(self) -> Iterator[Any]:
        return iter(self.results)

    def __getitem__(self, index: int) -> Any:
        return self.results[index]

    def __len__(self) -> int:
        return len(self.results)

    def __eq__(self, other: object) -> bool:
        return other.results == self.results if isinstance(other, ResultSet) else NotImplemented

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: [{', '.join(str(r.id) for r in self.results)}]>"


class GroupResult(ResultSet):
    """The results of a group, under the group's id."""

    #: It is the header of a chord whose body runs although members fail: who waits for the body does not get their
    #: exceptions. Known where the chord was published only.
    bears_failures = False

    def __init__(
        self,
        id: str | None = None,
        results: Iterable[Any] | None = (),
        parent: Any = None,
        app: ResultApp | None = None,
        **_: Any,
    ) -> None:
        super().__init__(results, app, parent)
        self.id = id

    @property
    def children(self) -> list[Any]:
        """The results."""
        return self.results

    def save(self, backend: Any = None) -> Any:
        """Store which results these are, for ``restore``; kept as long as results are."""
        return (backend or self.backend).save_group(self.id, self)

    def delete(self, backend: Any = None) -> None:
        """Remove what ``save`` stored; the results stay."""
        (backend or self.backend).delete_group(self.id)

    @classmethod
    def restore(cls, id: str, backend: Any = None, app: ResultApp | None = None) -> Any:
        """The group that was saved under ``id``, None when there is none."""
        app = app or cls.bound_app or current_application()
        return (backend or app.backend).restore_group(id)

    def as_tuple(self) -> tuple[Any, Any]:
        """``((id, parent's tuple), [members' tuples])``."""
        return tuple_of(self)

    def __bool__(self) -> bool:
        return bool(self.id or self.results)

    def __eq__(self, other: object) -> bool:
        if isinstance(other, GroupResult):
            return (other.id, other.results, other.parent) == (self.id, self.results, self.parent)
        return other == self.id if isinstance(other, str) else NotImplemented

    def __hash__(self) -> int:  # type: ignore[override]
        return hash(self.id)

    def __str__(self) -> str:
        return str(self.id)

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: {self.id} [{', '.join(str(r.id) for r in self.results)}]>"

    def __reduce__(self) -> tuple[Any, ...]:
        return GroupResult, (self.id, list(self.results), self.parent)
