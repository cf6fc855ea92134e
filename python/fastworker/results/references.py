"""What a message names instead of holding it: the results of a chord's header, and the steps of a chain that are still
to run. They are in the result store, once, however many messages name them.

Only workers of ours understand references: a Celery worker fails the task, as one that it does not know.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fastworker import _core, states
from fastworker.errors import MissingReferenceError
from fastworker.results.application import current_application
from fastworker.results.member_failure import MemberFailure
from fastworker.serialize.exclusive import Exclusive, register

if TYPE_CHECKING:
    from fastworker.results.application import ResultApp
    from fastworker.results.backend import Backend

#: So many documents come with one answer of the store.
PAGE = 1_000
#: Steps are kept so long after one of them was read: one may be told to wait for days.
STEPS_S = 7 * 86_400


@dataclass(frozen=True)
class ResultsReference(Exclusive):
    """The results of a chord's header, in the place of their list.

    Attributes:
        name: Under which the parts of the header are kept.
        size: How many there are.
    """

    name: str
    size: int

    def values(self, backend: Backend) -> list[Any]:
        """The list, read page by page.

        Raises:
            MissingReferenceError: Some or all of it is gone.
        """
        values: list[Any] = []
        # Where results live elsewhere the body is published first, and its chord's parts get their name afterwards:
        # they may be renamed at any moment, and stay under the group's id when the worker dies in between.
        group_id = self.name.rpartition("~")[0]
        for doc in _kept(backend, (self.name, group_id, self.name), self.size, None):
            task_id, state, value = backend.decode_part(doc)
            is_failure = state in states.PROPAGATE_STATES
            values.append(MemberFailure(task_id, state, value) if is_failure else value)
        return values


class StoredSteps(Exclusive):
    """The rest of a chain, last step first, as the list that a message's ``chain`` is otherwise: what becomes of it
    here are the index -1, the slice ``[:-1]`` and adding steps that come before the others.

    Args:
        segments: Names and counts of what is stored; the first runs last.
        tail: Steps that run before all of them, last one first.
        last_id: The task whose result is the chain's.
    """

    def __init__(
        self, segments: list[tuple[str, int]], tail: list[Any], last_id: str | None
    ) -> None:
        self.segments = segments
        self.tail = tail
        self.last_id = last_id

    @classmethod
    def stored(
        cls,
        keep: Callable[[str, list[bytes]], Any],
        before: Any,
        steps: list[Any],
        last_id: str | None,
    ) -> StoredSteps:
        """What a chain's message carries once ``keep`` has stored the steps.

        Args:
            keep: Takes a name and documents.
            before: What runs after ``steps``: a list, or what this returned.
            steps: Last one first.
            last_id: The task whose result is the chain's.

        Raises:
            TypeError, ValueError: A step has no JSON form; nothing was stored.
        """
        segments = list(before.segments) if isinstance(before, StoredSteps) else []
        inline = before.tail if isinstance(before, StoredSteps) else list(before)
        docs = [_core.dumps(step) for step in (*inline, *steps)]
        name = f"steps-{_core.new_id()}"
        keep(name, docs)
        last_id = before.last_id if isinstance(before, StoredSteps) else last_id
        return cls([*segments, (name, len(docs))], [], last_id)

    def __len__(self) -> int:
        return sum(count for _, count in self.segments) + len(self.tail)

    def __iter__(self) -> Iterator[Any]:
        backend = current_application().backend
        for name, count in self.segments:
            yield from map(_core.loads, _kept(backend, (name,), count, STEPS_S))
        yield from self.tail

    def __reversed__(self) -> Iterator[Any]:
        yield from list(self)[::-1]

    def __getitem__(self, index: Any) -> Any:
        """
        Raises:
            MissingReferenceError: The step is gone.
        """
        if index == slice(None, -1):
            if self.tail:
                return StoredSteps(self.segments, self.tail[:-1], self.last_id)
            *rest, (name, count) = self.segments
            left = [*rest, (name, count - 1)] if count > 1 else rest
            return StoredSteps(left, [], self.last_id)
        if index != -1:
            return list(self)[index]
        if self.tail:
            return self.tail[-1]
        name, count = self.segments[-1]
        docs = current_application().backend.store.kept(name, count - 1, 1, STEPS_S)
        if not docs:
            raise _missing(name)
        return _core.loads(docs[0])

    def __add__(self, steps: list[Any]) -> StoredSteps:
        return StoredSteps(self.segments, [*self.tail, *steps], self.last_id)

    def __repr__(self) -> str:
        return f"<{len(self)} steps, stored>"


def _kept(backend: Backend, names: Sequence[str], count: int, ttl_s: int | None) -> Iterator[bytes]:
    """Documents, page by page, under the first of the names that has them."""
    first = 0
    while first < count:
        size = min(PAGE, count - first)
        pages = (backend.store.kept(name, first, size, ttl_s) for name in names)
        docs = next((page for page in pages if page), [])
        if not docs:
            raise _missing(names[0])
        yield from docs
        first += len(docs)


def _missing(name: str) -> MissingReferenceError:
    return MissingReferenceError(
        f"what the message refers to as {name!r} is not in the result store: it has expired (result_chord_expires), "
        "somebody deleted it, the server evicts keys (maxmemory-policy), or this worker has another result_backend "
        "than who published it"
    )


class _Arrivals:
    """Whether this process has ever read a reference to results: only then are arguments looked at."""

    any = False


def _arrived(fields: dict[str, Any]) -> ResultsReference:
    _Arrivals.any = True
    return ResultsReference(**fields)


def with_values(args: Any, app: ResultApp) -> Any:
    """Arguments with the results that they refer to, which are read from the application's store.

    Raises:
        MissingReferenceError: They are gone.
    """
    if not _Arrivals.any or not any(type(arg) is ResultsReference for arg in args):
        return args
    backend = app.backend
    return [arg.values(backend) if type(arg) is ResultsReference else arg for arg in args]


def _steps_fields(steps: StoredSteps) -> dict[str, Any]:
    return {"segments": steps.segments, "tail": steps.tail, "last_id": steps.last_id}


def _steps_of(fields: dict[str, Any]) -> StoredSteps:
    segments = [(name, count) for name, count in fields["segments"]]
    return StoredSteps(segments, fields["tail"], fields["last_id"])


register(ResultsReference, vars, _arrived)
register(StoredSteps, _steps_fields, _steps_of)
