"""``StreamResult``: the result of ``group(generator)`` with many members, as large for ten million as for eleven
thousand.
"""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Generator, Iterator
from contextlib import aclosing, closing
from typing import Any, NoReturn

from fastworker import states
from fastworker.results.async_result import AsyncResult
from fastworker.results.gathering import as_they_come, leaves, look
from fastworker.results.in_order import BATCH
from fastworker.results.joining import assert_will_not_block
from fastworker.results.progress import Tally
from fastworker.results.progress_bar import bar
from fastworker.results.result_set import GroupResult, ResultSet
from fastworker.results.stream_members import StreamMembers

#: Revoked ids that workers remember, unless CELERY_WORKER_REVOKES_MAX says otherwise.
_REVOKED = 50_000


class StreamResult(GroupResult):
    """A ``GroupResult`` that makes the results of its members when they are asked for, and keeps none.

    It waits for a thousand members at a time, in their order: what comes as tasks end, comes so within each thousand.

    Args:
        id: The group's.
        members: Results by place.
        parent: The result of the task before the group in a chain.
    """

    results: Any

    def __init__(self, id: str | None, members: StreamMembers, parent: Any = None) -> None:
        super().__init__(id, (), parent, app=members.app)
        self.results = members

    # --------------------------------------------------------------------------------------- waiting

    def iter_values(
        self,
        timeout: float | None = None,
        propagate: bool = True,
        interval: float = 0.5,
        on_message: Callable[[dict[str, Any]], object] | None = None,
        on_interval: Callable[[], object] | None = None,
        disable_sync_subtasks: bool = True,
        progress: bool = False,
    ) -> Iterator[Any]:
        """The values in the members' order, each as soon as it and those before it are there; memory stays that of a
        thousand. Arguments as for ``get``.

        Raises:
            TimeoutError: Not all were done in time; a later call starts again at the first.
            RuntimeError: Called inside a task.
        """
        each = self._in_order(
            timeout, propagate, interval, on_message, on_interval, disable_sync_subtasks, progress
        )
        return (value for _, value in each)

    def _in_order(
        self,
        timeout: float | None,
        propagate: bool,
        interval: float,
        on_message: Callable[[dict[str, Any]], object] | None,
        on_interval: Callable[[], object] | None,
        disable_sync_subtasks: bool,
        progress: bool,
    ) -> Iterator[tuple[Any, Any]]:
        """Members and their values."""
        if disable_sync_subtasks:
            assert_will_not_block()
        deadline = None if timeout is None else time.monotonic() + timeout
        with bar(progress, len(self)) as shown:
            for batch in self.results.batches(BATCH):
                tasks = list(leaves(batch))
                waiting = as_they_come(tasks, _left(deadline), interval, on_interval, on_message)
                given = 0
                with closing(waiting) as came:
                    for result in came:
                        if propagate:
                            result._value(propagate=True)
                        while given < len(batch) and _is_settled(batch[given]):
                            shown.step(_has_failed(batch[given]))
                            yield batch[given], _value(batch[given], propagate)
                            given += 1

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
        """As ``get`` of any group. With ``callback`` it holds a thousand values, and the list is empty then."""
        each = self._in_order(
            timeout, propagate, interval, on_message, on_interval, disable_sync_subtasks, progress
        )
        if callback is None:
            return [value for _, value in each]
        for member, value in each:
            callback(member.id, value)
        return []

    get = join

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
    ) -> list[Any]:
        """``join``, whose arguments have another order in Celery."""
        return self.join(
            timeout=timeout,
            propagate=propagate,
            interval=interval,
            callback=callback,
            on_message=on_message,
            disable_sync_subtasks=disable_sync_subtasks,
            on_interval=on_interval,
            progress=progress,
        )

    def iter_native(
        self,
        timeout: float | None = None,
        interval: float = 0.5,
        no_ack: bool = True,
        on_message: Callable[[dict[str, Any]], object] | None = None,
        on_interval: Callable[[], object] | None = None,
    ) -> Generator[tuple[str, dict[str, Any]], None, None]:
        """``(id, document)`` of each task as it ends; arguments as for ``get``."""
        deadline = None if timeout is None else time.monotonic() + timeout
        for batch in self.results.batches(BATCH):
            tasks = list(leaves(batch))
            waiting = as_they_come(tasks, _left(deadline), interval, on_interval, on_message)
            with closing(waiting) as came:
                for result in came:
                    yield result.id, result._get_task_meta()

    async def aiter_values(
        self, timeout: float | None = None, propagate: bool = True
    ) -> AsyncGenerator[Any, None]:
        """``iter_values`` for a coroutine: waits without blocking the loop.

        Raises:
            TimeoutError: Not all were done in time.
            OperationalError: The store has not answered for some seconds.
            RuntimeError: Called inside a task.
        """
        async with aclosing(self._ain_order(timeout, propagate)) as each:
            async for _, value in each:
                yield value

    async def _ain_order(
        self, timeout: float | None, propagate: bool
    ) -> AsyncGenerator[tuple[Any, Any], None]:
        from fastworker.results.awaiting import await_each

        deadline = None if timeout is None else time.monotonic() + timeout
        for batch in self.results.batches(BATCH):
            given = 0
            async with aclosing(await_each(list(leaves(batch)), _left(deadline))) as came:
                async for result in came:
                    if propagate:
                        result._value(propagate=True)
                    while given < len(batch) and _is_settled(batch[given]):
                        yield batch[given], _value(batch[given], propagate)
                        given += 1

    async def aget(
        self,
        timeout: float | None = None,
        propagate: bool = True,
        callback: Callable[[str, Any], object] | None = None,
        disable_sync_subtasks: bool = True,
    ) -> Any:
        """``get`` for a coroutine; arguments as for that of any group."""
        if disable_sync_subtasks:
            assert_will_not_block()
        values = []
        async with aclosing(self._ain_order(timeout, propagate)) as each:
            async for member, value in each:
                if callback is None:
                    values.append(value)
                else:
                    callback(member.id, value)
        return values if callback is None else None

    async def __aiter__(self) -> AsyncIterator[AsyncResult[Any]]:
        """The results of the tasks as they end."""
        assert_will_not_block()
        from fastworker.results.awaiting import await_each

        for batch in self.results.batches(BATCH):
            async with aclosing(await_each(list(leaves(batch)), None)) as came:
                async for result in came:
                    yield result

    # ---------------------------------------------------------------------------------------- asking

    def _tally(self, exact: bool) -> Tally:
        return Tally(self.results, self.results.size, self._pace, exact)

    def maybe_throw(
        self, callback: Callable[[str, Any], object] | None = None, propagate: bool = True
    ) -> None:
        """Raise the exception of the first that failed; does not wait."""
        for result in look(leaves(self.results)):
            if result._is_settled():
                result.maybe_throw(callback=callback, propagate=propagate)

    maybe_reraise = maybe_throw

    def then(self, callback: Any, on_error: Any = None, weak: bool = False) -> NoReturn:
        """
        Raises:
            TypeError: Always: nobody keeps the members, so nobody could tell when all have ended.
        """
        raise TypeError(
            f"then() of {self!r}: a stream keeps no results to call back for; write "
            "chord(members, body) to have a task called when all have ended"
        )

    # -------------------------------------------------------------------------------------- changing

    def forget(self) -> None:
        """Remove all stored results, a thousand to a round trip."""
        for batch in self.results.batches(BATCH):
            ResultSet(batch, app=self.app).forget()

    def revoke(self, *args: Any, **kwargs: Any) -> None:
        """Have none of the tasks run, as ``AsyncResult.revoke``.

        Raises:
            ValueError: There are more than workers remember.
        """
        if len(self) > _REVOKED:
            raise ValueError(
                f"revoke() of {self!r}: workers remember {_REVOKED} revoked tasks; stamp the group before it is "
                "published, group.stamp(batch=...), and write app.control.revoke_by_stamped_headers({'batch': ...})"
            )
        ResultSet(list(self.results), app=self.app).revoke(*args, **kwargs)

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: {self.id} of {self.results.size}>"

    def __reduce__(self) -> tuple[Any, ...]:
        from fastworker.results.tuples import result_from_tuple

        return result_from_tuple, (self.as_tuple(),)


def _left(deadline: float | None) -> float | None:
    return None if deadline is None else max(0.0, deadline - time.monotonic())


def _is_settled(member: Any) -> bool:
    return all(result._is_settled() for result in leaves([member]))


def _has_failed(member: Any) -> bool:
    return any(result._seen_state() != states.SUCCESS for result in leaves([member]))


def _value(member: Any, propagate: bool) -> Any:
    if isinstance(member, ResultSet):
        return member._values(propagate)
    return member._value(propagate=propagate)
