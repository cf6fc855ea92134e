"""The results of the members of a streamed group, by their place: made when they are asked for, not kept."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Protocol

from fastworker import _core
from fastworker.results.application import ResultApp
from fastworker.results.async_result import AsyncResult
from fastworker.results.stream_ids import StreamIds

#: A stream of more members keeps none of them: its generator's items are dropped as they are published, and its result
#: makes the members' results when they are asked for. Below it is a group like any other; a member takes about 700
#: bytes.
KEPT = 10_000
#: The key in stored results that Celery's form has a list in place of.
_MARK = "fastworker stream"


class _App(Protocol):
    @property
    def AsyncResult(self) -> Any: ...


class StreamMembers(Sequence[Any]):
    """Results by place.

    A member whose id is of the stream's making costs nothing. One with an id of its own, or that is a group at its end,
    is kept.

    Args:
        app: Whose results.
        seed: What the ids are made of, a UUID; None draws one.
        size: How many there are so far.
        others: The kept ones by place.
        ignored: The tasks do not store their results.
    """

    def __init__(
        self,
        app: _App,
        seed: str | None = None,
        size: int = 0,
        others: dict[int, Any] | None = None,
        ignored: bool | None = False,
    ) -> None:
        self.app: Any = app
        self.seed = seed or _core.new_id()
        #: Members published, or frozen, so far.
        self.size = size
        self._others = others if others is not None else {}
        self.ignored = ignored
        #: Reads what is left of a stream that is only frozen.
        self.read_all: Callable[[], object] | None = None
        self._fresh: list[str] = []

    def next_id(self) -> str:
        """The id for the next member, which ``take`` is told of."""
        if not self._fresh:
            self._fresh = _core.stream_ids(self.seed, self.size, 256)[::-1]
        return self._fresh[-1]

    def take(self, result: Any) -> None:
        """Add the result of the next member."""
        own = self.next_id()
        self._fresh.pop()
        is_own = (
            isinstance(result, AsyncResult)
            and result.id == own
            and result.parent is None
            and result._backend is None
            and result.ignored == self.ignored
        )
        if not is_own:
            self._others[self.size] = result
        self.size += 1

    @property
    def has_groups(self) -> bool:
        """A member is a group at its end."""
        return any(not isinstance(other, AsyncResult) for other in self._others.values())

    def __len__(self) -> int:
        if self.read_all is not None:
            self.read_all()
            self.read_all = None
        return self.size

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return [self._at(place) for place in range(len(self))[index]]
        try:
            return self._at(range(self.size if 0 <= index < self.size else len(self))[index])
        except IndexError:
            raise IndexError(f"member {index} of a stream of {len(self)}") from None

    def __iter__(self) -> Iterator[Any]:
        place = 0
        while place < self.size or place < len(self):
            some = min(self.size - place, 1000)
            for task_id in _core.stream_ids(self.seed, place, some):
                yield self._others[place] if place in self._others else self._result(task_id)
                place += 1

    def _at(self, place: int) -> Any:
        if place in self._others:
            return self._others[place]
        return self._result(_core.stream_ids(self.seed, place, 1)[0])

    def _result(self, task_id: str) -> Any:
        result = self.app.AsyncResult(task_id)
        result.ignored = self.ignored
        return result

    def __eq__(self, other: object) -> bool:
        if isinstance(other, StreamMembers):
            mine = self.seed, len(self), self._others
            return mine == (other.seed, len(other), other._others)
        return list(self) == other if isinstance(other, list) else NotImplemented

    __hash__ = None  # type: ignore[assignment]

    def batches(self, size: int) -> Iterator[list[Any]]:
        """All, ``size`` at a time."""
        for start in range(0, len(self), size):
            yield self[start : start + size]

    @property
    def plain_ids(self) -> StreamIds | None:
        """The ids of all members; None when some are kept."""
        return None if self._others else StreamIds(self.seed, range(len(self)))

    # ------------------------------------------------------------------------------------------------ as they travel

    def stored(self) -> dict[str, Any]:
        """How they are stored, in the place of the list of tuples that Celery has; its clients refuse it with an error
        where they would take an empty list for a group that has ended.
        """
        others = [[place, other.as_tuple()] for place, other in self._others.items()]
        return {_MARK: [self.seed, len(self), others, bool(self.ignored)]}


def members_from(stored: Mapping[str, Any], app: ResultApp) -> StreamMembers:
    """The members that ``stored()`` stands for.

    Raises:
        ValueError: It is no such thing.
    """
    from fastworker.results.tuples import result_from_tuple

    try:
        seed, size, others, ignored = stored[_MARK]
        kept = {int(place): result_from_tuple(other, app) for place, other in others}
        return StreamMembers(app, str(seed), int(size), kept, bool(ignored))
    except (KeyError, TypeError, ValueError) as exc:
        raise ValueError(
            f"members of a group: expected a list, or {{{_MARK!r}: [seed, size, others, ignored]}}, "
            f"not {stored!r}"
        ) from exc
