"""Several results as one: ``ResultSet`` of any results, ``GroupResult`` of the tasks of a group."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any, ClassVar

from fastworker.errors import TimeoutError
from fastworker.results.application import ResultApp, current_application
from fastworker.results.async_result import ResultBase, tuple_of
from fastworker.results.joining import assert_will_not_block


class ResultSet(ResultBase):
    """Results that are waited for together.

    Args:
        results: In the order in which ``join`` returns their values.
        app: Whose results; None: the current application's.
    """

    bound_app: ClassVar[ResultApp | None] = None

    def __init__(
        self,
        results: Iterable[Any] = (),
        app: ResultApp | None = None,
        parent: ResultBase | None = None,
    ) -> None:
        self._app = app
        self.parent = parent
        self.results: list[Any] = results if isinstance(results, list) else list(results)

    @property
    def app(self) -> ResultApp:
        """The application whose results these are."""
        return self._app or self.bound_app or current_application()

    @property
    def children(self) -> list[Any]:
        """The results."""
        return self.results

    def add(self, result: Any) -> None:
        """Add a result that is not in the set yet."""
        if result not in self.results:
            self.results.append(result)

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
    ) -> list[Any]:
        """Wait for all and return their values in order; arguments as in ``AsyncResult.get``.

        Raises:
            TimeoutError: Not all were done within ``timeout`` seconds altogether.
        """
        if disable_sync_subtasks:
            assert_will_not_block()
        deadline = None if timeout is None else time.monotonic() + timeout
        values = []
        for result in self.results:
            left_s = None if deadline is None else deadline - time.monotonic()
            if left_s is not None and left_s <= 0 and not result.ready():
                raise TimeoutError("join operation timed out")
            value = result.get(
                timeout=left_s,
                propagate=propagate,
                interval=interval,
                no_ack=no_ack,
                on_interval=on_interval,
                disable_sync_subtasks=disable_sync_subtasks,
            )
            if callback is not None:
                callback(result.id, value)
            values.append(value)
        return values

    join = join_native = get

    def ready(self) -> bool:
        """All have run."""
        return all(result.ready() for result in self.results)

    def successful(self) -> bool:
        """All returned."""
        return all(result.successful() for result in self.results)

    def failed(self) -> bool:
        """At least one raised."""
        return any(result.failed() for result in self.results)

    def revoke(
        self,
        connection: Any = None,
        terminate: bool = False,
        signal: str | int | None = None,
        wait: bool = False,
        timeout: float | None = None,
    ) -> None:
        """Have none of the tasks run; arguments as in ``AsyncResult.revoke``. One order for all."""
        ids = [task_id for result in self.results for task_id in _ids(result)]
        if ids:
            order: dict[str, Any] = {"terminate": terminate, "reply": wait}
            if signal is not None:
                order["signal"] = signal
            if timeout is not None:
                order["timeout"] = timeout
            self.app.control.revoke(ids, **order)

    def waiting(self) -> bool:
        """At least one has not run."""
        return not self.ready()

    def completed_count(self) -> int:
        """How many returned."""
        return sum(1 for result in self.results if result.successful())

    def maybe_throw(
        self, callback: Callable[[str, Any], object] | None = None, propagate: bool = True
    ) -> None:
        """Raise the exception of the first that failed; does not wait."""
        for result in self.results:
            result.maybe_throw(callback=callback, propagate=propagate)

    maybe_reraise = maybe_throw

    def forget(self) -> None:
        """Remove all stored results."""
        for result in self.results:
            result.forget()

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

    def __init__(
        self,
        id: str | None = None,
        results: Iterable[Any] = (),
        parent: ResultBase | None = None,
        app: ResultApp | None = None,
    ) -> None:
        super().__init__(results, app, parent)
        self.id = id

    def as_tuple(self) -> tuple[Any, Any]:
        """``((id, parent's tuple), [members' tuples])``."""
        return tuple_of(self)

    def __bool__(self) -> bool:
        return bool(self.id or self.results)

    def __eq__(self, other: object) -> bool:
        if isinstance(other, GroupResult):
            return other.id == self.id and other.results == self.results
        return other == self.id if isinstance(other, str) else NotImplemented

    def __hash__(self) -> int:  # type: ignore[override]
        return hash(self.id)

    def __repr__(self) -> str:
        return f"<GroupResult: {self.id} [{', '.join(str(r.id) for r in self.results)}]>"


def _ids(result: Any) -> Iterator[str]:
    """The id of a result, or those of the results in a set."""
    if isinstance(result, ResultSet):
        for member in result.results:
            yield from _ids(member)
    else:
        yield result.id
