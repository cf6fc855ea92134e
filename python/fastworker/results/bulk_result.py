"""``BulkResult``: the results of one bulk publish, 16 bytes each until somebody looks at one."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any, overload

from fastworker import states
from fastworker.errors import TimeoutError
from fastworker.results.application import ResultApp
from fastworker.results.async_result import AsyncResult, ResultBase
from fastworker.results.joining import assert_will_not_block
from fastworker.results.remote_error import with_remote_traceback

_ID_BYTES = 16
#: Documents asked for at once: a few hundred kilobytes of small results, one round trip.
_BATCH = 1000
#: Longest wait for one document before all missing ones are asked for again, seconds: the one that
#: blocks is pushed, but it may have come between the question and the wait.
_SLICE_S = 1.0


class BulkResult(ResultBase):
    """The results of ``Task.map_async``, in the order of the calls.

    Args:
        ids: The ids, 16 bytes each.
        app: Whose results.
        ignored: The task does not store its results: ``join`` returns Nones at once.
    """

    __slots__ = ("_app", "_ids", "ignored")

    def __init__(self, ids: bytes, app: ResultApp, ignored: bool = False) -> None:
        self._ids = ids
        self._app = app
        self.ignored = ignored

    def __len__(self) -> int:
        return len(self._ids) // _ID_BYTES

    def __iter__(self) -> Iterator[AsyncResult[Any]]:
        """An ``AsyncResult`` each, made as you go."""
        return map(self._result, range(len(self)))

    @overload
    def __getitem__(self, index: int) -> AsyncResult[Any]: ...
    @overload
    def __getitem__(self, index: slice) -> BulkResult: ...
    def __getitem__(self, index: int | slice) -> AsyncResult[Any] | BulkResult:
        if isinstance(index, slice):
            ids = b"".join(self._raw(i) for i in range(*index.indices(len(self))))
            return BulkResult(ids, self._app, self.ignored)
        position = index + len(self) if index < 0 else index
        if not 0 <= position < len(self):
            raise IndexError(f"result {index} of {len(self)}")
        return self._result(position)

    def ids(self) -> Iterator[str]:
        """The ids as text."""
        return map(self._id, range(len(self)))

    def iter_values(self, timeout: float | None = None, propagate: bool = True) -> Iterator[Any]:
        """The values in order, each as soon as it and those before it are there; memory stays that
        of one batch.

        Args:
            timeout: Seconds for all together; None waits for ever.
            propagate: Raise the first exception met. False: yield it.

        Raises:
            TimeoutError: Not all were done in time; a later call starts again at the first.
        """
        if self.ignored:
            yield from (None for _ in range(len(self)))
            return
        assert_will_not_block()
        deadline = None if timeout is None else time.monotonic() + timeout
        for start in range(0, len(self), _BATCH):
            ids = [self._id(i) for i in range(start, min(start + _BATCH, len(self)))]
            for meta in self._wait_for(ids, deadline):
                value = meta["result"]
                if propagate and meta["status"] in states.PROPAGATE_STATES:
                    exc = value if isinstance(value, BaseException) else Exception(value)
                    raise with_remote_traceback(exc, meta.get("traceback"))
                yield value

    def join(self, timeout: float | None = None, propagate: bool = True) -> list[Any]:
        """All values, in order; arguments as in ``iter_values``."""
        return list(self.iter_values(timeout, propagate))

    get = join

    def _wait_for(self, ids: list[str], deadline: float | None) -> Iterator[dict[str, Any]]:
        """Ready documents of one batch, in order."""
        backend = self._app.backend
        done: dict[str, dict[str, Any]] = {}
        missing = ids
        position = 0
        while True:
            documents = backend.store.get_many(missing) if missing else []
            seen: bytes | None = None
            unready: list[str] = []
            for task_id, doc in zip(missing, documents, strict=True):
                meta = backend.decode(task_id, doc)
                if meta["status"] in states.READY_STATES:
                    done[task_id] = meta
                else:
                    seen = doc if not unready else seen
                    unready.append(task_id)
            missing = unready
            while position < len(ids) and ids[position] in done:
                yield done.pop(ids[position])
                position += 1
            if position == len(ids):
                return
            left_s = _SLICE_S if deadline is None else min(_SLICE_S, deadline - time.monotonic())
            if left_s <= 0:
                raise TimeoutError(
                    f"join operation timed out: {len(missing)} results or more are missing"
                )
            # The first missing one is the one that blocks; when it comes, others have come too.
            backend.wait_for_change(missing[0], seen, left_s)

    def completed_count(self) -> int:
        """How many have returned by now."""
        return self._count(frozenset({states.SUCCESS}))

    def ready(self) -> bool:
        """All have run."""
        return self._count(states.READY_STATES) == len(self)

    def successful(self) -> bool:
        """All returned."""
        return self.completed_count() == len(self)

    def _count(self, wanted: frozenset[str]) -> int:
        backend = self._app.backend
        total = 0
        for start in range(0, len(self), _BATCH):
            ids = [self._id(i) for i in range(start, min(start + _BATCH, len(self)))]
            total += sum(1 for meta in backend.get_many_meta(ids) if meta["status"] in wanted)
        return total

    def forget(self) -> None:
        """Remove the stored results."""
        for start in range(0, len(self), _BATCH):
            ids = [self._id(i) for i in range(start, min(start + _BATCH, len(self)))]
            self._app.backend.forget_many(ids)

    def __repr__(self) -> str:
        return f"<BulkResult of {len(self)}>"

    def _result(self, index: int) -> AsyncResult[Any]:
        result: AsyncResult[Any] = self._app.AsyncResult(self._id(index))
        result.ignored = self.ignored
        return result

    def _id(self, index: int) -> str:
        digits = self._raw(index).hex()
        return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"

    def _raw(self, index: int) -> bytes:
        return self._ids[index * _ID_BYTES : (index + 1) * _ID_BYTES]
