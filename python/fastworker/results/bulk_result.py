"""``BulkResult``: the results of one bulk publish, whose ids are made when somebody looks at them."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import aclosing
from typing import Any, overload

from fastworker import states
from fastworker.results.application import ResultApp
from fastworker.results.async_result import AsyncResult, ResultBase
from fastworker.results.in_order import BATCH, ametas_in_order, metas_in_order, value_of
from fastworker.results.joining import assert_will_not_block
from fastworker.results.progress import Pace, Progress, Tally
from fastworker.results.progress_bar import bar
from fastworker.results.stream_ids import StreamIds


class BulkResult(ResultBase, Sequence[AsyncResult[Any]]):
    """The results of ``Task.map_async``, in the order of the calls; as large for ten calls as for ten million.

    Args:
        ids: Of the messages.
        app: Whose results.
        ignored: The task does not store its results: ``join`` returns Nones at once.
        began: When publishing began, of ``time.monotonic``; None: nobody knows.
    """

    __slots__ = ("_app", "_ids", "_pace", "ignored")

    def __init__(
        self, ids: StreamIds, app: ResultApp, ignored: bool = False, began: float | None = None
    ) -> None:
        self._ids = ids
        self._app = app
        self._pace = Pace(began)
        self.ignored = ignored

    def __len__(self) -> int:
        return len(self._ids)

    def __iter__(self) -> Iterator[AsyncResult[Any]]:
        """An ``AsyncResult`` each, made as you go."""
        return map(self._result, self._ids)

    @overload
    def __getitem__(self, index: int) -> AsyncResult[Any]: ...
    @overload
    def __getitem__(self, index: slice) -> BulkResult: ...
    def __getitem__(self, index: int | slice) -> AsyncResult[Any] | BulkResult:
        if isinstance(index, slice):
            return self._part(index)
        try:
            return self._result(self._ids[index])
        except IndexError:
            raise IndexError(f"result {index} of {len(self)}") from None

    def _part(self, of: slice) -> BulkResult:
        return BulkResult(self._ids[of], self._app, self.ignored)

    def ids(self) -> Iterator[str]:
        """The ids as text."""
        return iter(self._ids)

    # --------------------------------------------------------------------------------------- waiting

    def iter_values(
        self, timeout: float | None = None, propagate: bool = True, progress: bool = False
    ) -> Iterator[Any]:
        """The values in order, each as soon as it and those before it are there; memory stays that
        of one batch.

        Args:
            timeout: Seconds for all together; None waits for ever.
            propagate: Raise the first exception met. False: yield it.
            progress: Draw a bar in a terminal or a notebook.

        Raises:
            TimeoutError: Not all were done in time; a later call starts again at the first.
            RuntimeError: Called inside a task.
        """
        if self.ignored:
            yield from (None for _ in range(self._calls()))
            return
        assert_will_not_block()
        deadline = None if timeout is None else time.monotonic() + timeout
        position = 0
        with bar(progress, self._calls()) as shown:
            for ids in self._ids.batches(BATCH):
                for meta in metas_in_order(self._app.backend, ids, deadline):
                    shown.step(meta["status"] != states.SUCCESS, self._size_of(position))
                    yield from self._values(value_of(meta, propagate), meta, position)
                    position += 1

    def join(
        self, timeout: float | None = None, propagate: bool = True, progress: bool = False
    ) -> list[Any]:
        """All values, in order; arguments as in ``iter_values``."""
        return list(self.iter_values(timeout, propagate, progress))

    get = join

    async def aiter_values(
        self, timeout: float | None = None, propagate: bool = True
    ) -> AsyncGenerator[Any, None]:
        """``iter_values`` for a coroutine: waits without blocking the loop.

        Raises:
            TimeoutError: Not all were done in time.
            OperationalError: The store has not answered for some seconds.
            RuntimeError: Called inside a task.
        """
        if self.ignored:
            for _ in range(self._calls()):
                yield None
            return
        assert_will_not_block()
        deadline = None if timeout is None else time.monotonic() + timeout
        position = 0
        for ids in self._ids.batches(BATCH):
            results = [self._result(task_id) for task_id in ids]
            async with aclosing(ametas_in_order(results, deadline)) as metas:
                async for meta in metas:
                    for value in self._values(value_of(meta, propagate), meta, position):
                        yield value
                    position += 1

    async def aget(self, timeout: float | None = None, propagate: bool = True) -> list[Any]:
        """``join`` for a coroutine."""
        async with aclosing(self.aiter_values(timeout, propagate)) as values:
            return [value async for value in values]

    def _calls(self) -> int:
        """Values in all."""
        return len(self)

    def _size_of(self, position: int) -> int:
        """Values of the message at this place."""
        return 1

    def _values(self, value: Any, meta: dict[str, Any], position: int) -> Iterator[Any]:
        """The values of one message."""
        yield value

    # ---------------------------------------------------------------------------------------- asking

    def progress(self, exact: bool = False) -> Progress:
        """How many calls have returned and failed, how fast, and when all will have ended.

        Up to 10,000 are counted, a round trip for every thousand; more are estimated from 2,000 of them, which is right
        to about a thousandth where tasks end in the order in which they were published.

        Args:
            exact: Count them however many there are.

        Raises:
            ValueError: The task ignores its results, so nobody knows.
        """
        return self._tally(exact).take()

    async def aprogress(self, exact: bool = False) -> Progress:
        """``progress`` for a coroutine.

        Raises:
            OperationalError: The store has not answered for some seconds.
        """
        return await self._tally(exact).atake()

    def _tally(self, exact: bool) -> Tally:
        if self.ignored:
            raise ValueError(f"progress of {self!r}: the task ignores its results (ignore_result)")
        return Tally(self, len(self), self._pace, exact, self._size_of, self._calls())

    def completed_count(self) -> int:
        """How many messages' calls have returned by now."""
        return self._count(frozenset({states.SUCCESS}))

    def ready(self) -> bool:
        """All have run."""
        return self._count(states.READY_STATES) == len(self)

    def successful(self) -> bool:
        """All returned."""
        return self.completed_count() == len(self)

    def _count(self, wanted: frozenset[str]) -> int:
        backend = self._app.backend
        return sum(
            meta["status"] in wanted
            for ids in self._ids.batches(BATCH)
            for meta in backend.get_many_meta(ids)
        )

    def forget(self) -> None:
        """Remove the stored results."""
        for ids in self._ids.batches(BATCH):
            self._app.backend.forget_many(ids)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {len(self)}>"

    def _result(self, task_id: str) -> AsyncResult[Any]:
        result: AsyncResult[Any] = self._app.AsyncResult(task_id)
        result.ignored = self.ignored
        return result


class ChunkedResult(BulkResult):
    """The results of ``Task.map_async(…, chunksize=…)``: a sequence of the messages' results, whose values are lists;
    ``join`` and the like give the calls' values one by one.

    Args:
        ids: Of the messages.
        app: Whose results.
        chunksize: Calls in a message.
        calls: Calls in all; the last message has what is left.
        ignored: The task does not store its results.
        began: When publishing began, of ``time.monotonic``.
    """

    __slots__ = ("calls", "chunksize")

    def __init__(
        self,
        ids: StreamIds,
        app: ResultApp,
        chunksize: int,
        calls: int,
        ignored: bool = False,
        began: float | None = None,
    ) -> None:
        super().__init__(ids, app, ignored, began)
        self.chunksize = chunksize
        self.calls = calls

    def _calls(self) -> int:
        return self.calls

    def _size_of(self, position: int) -> int:
        return min(self.chunksize, self.calls - position * self.chunksize)

    def _values(self, value: Any, meta: dict[str, Any], position: int) -> Iterator[Any]:
        if meta["status"] == states.SUCCESS:
            yield from value
        else:
            # One that fails, fails all that share its message.
            yield from (value for _ in range(self._size_of(position)))

    def _part(self, of: slice) -> BulkResult:
        raise TypeError(
            f"{self!r} cannot be sliced: what is a part of it, messages or calls? Write "
            "itertools.islice(result.iter_values(), start, stop) for the values of calls"
        )

    def __repr__(self) -> str:
        return f"<ChunkedResult of {self.calls} calls in {len(self)} messages>"
