"""``LazyList``: a list made from an iterator as it is read, so that ``group(generator)`` begins to publish while the
generator still runs. Source: the behaviour of Celery's ``regen``.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable, Iterator
from typing import Any, SupportsIndex, overload

from fastworker.results.stream_members import KEPT


class LazyList(list[Any]):
    """Reads its iterator once, keeps what it has read, and can be read again; any serializer writes it as a list.

    Iterating reads one item ahead, so that whoever iterates can tell which item is the last. The length, an index from
    the end and comparing read all of it.

    An iterator that raises ends it: the exception is raised again each time it would be read on, since what was read is
    not all.

    Publishing drains it: beyond ``KEPT`` items none are kept, so that memory does not grow with the stream, and nothing
    can be read again.

    Args:
        items: What to read.
    """

    def __init__(self, items: Iterable[Any]) -> None:
        super().__init__()
        self._source = iter(items)
        self._is_done = False
        self._failure: BaseException | None = None
        #: How many items were given away and not kept.
        self._given_away = 0

    @property
    def is_complete(self) -> bool:
        """The iterator has been read to its end."""
        return self._is_done

    def read_all(self) -> LazyList:
        """Read what is left; returns itself."""
        while self._read():
            pass
        return self

    def drain(self) -> Iterator[Any]:
        """All items, for somebody who needs each once. More than ``KEPT`` are not kept: what reads from the first on
        afterwards raises.

        Raises:
            RuntimeError: They were not kept.
        """
        self._refuse_when_spent()
        index = 0
        while index < super().__len__() or (index < KEPT and self._read()):
            yield super().__getitem__(index)
            index += 1
        while not self._is_done and self._read():
            if not self._given_away:
                self._given_away = super().__len__() - 1
            item = super().pop()
            super().clear()
            self._given_away += 1
            yield item

    def _refuse_when_spent(self) -> None:
        if self._given_away:
            raise RuntimeError(
                f"this stream of {self._given_away} items or more was published as it was read, and not kept (more "
                f"than {KEPT} are not): make it anew from its source, or make a list of it first"
            )

    def _whole(self) -> LazyList:
        """``read_all``, for somebody who needs what was read."""
        self._refuse_when_spent()
        return self.read_all()

    def map(self, change: Callable[[Any], Any]) -> None:
        """Put ``change(item)`` in the place of each item: at once where it was read, else when it will be."""
        self._refuse_when_spent()
        super().__setitem__(slice(None), [change(item) for item in super().__iter__()])
        self._source = map(change, self._source)

    def _read(self) -> bool:
        """Read one more; False at the end.

        Raises:
            Exception: What the iterator raised, now or before.
        """
        if self._is_done:
            return False
        if self._failure is not None:
            if isinstance(self._failure, Exception):
                raise self._failure
            raise RuntimeError(f"reading was ended by {self._failure!r}") from self._failure
        try:
            super().append(next(self._source))
        except StopIteration:
            self._is_done = True
            return False
        except BaseException as exc:
            self._failure = exc
            raise
        return True

    def __iter__(self) -> Iterator[Any]:
        self._refuse_when_spent()
        index = 0
        has_read = False
        while True:
            if index >= super().__len__():
                has_read = True
                if not self._read():
                    return
            if has_read and index + 1 == super().__len__():
                self._read()
            yield super().__getitem__(index)
            index += 1

    @overload
    def __getitem__(self, index: SupportsIndex) -> Any: ...
    @overload
    def __getitem__(self, index: slice) -> list[Any]: ...
    def __getitem__(self, index: SupportsIndex | slice) -> Any:
        if isinstance(index, slice):
            return super(LazyList, self._whole()).__getitem__(index)
        self._refuse_when_spent()
        position = operator.index(index)
        if position < 0:
            return super(LazyList, self._whole()).__getitem__(position)
        while super().__len__() <= position and self._read():
            pass
        return super().__getitem__(position)

    def __len__(self) -> int:
        return self._given_away + super(LazyList, self.read_all()).__len__()

    def __bool__(self) -> bool:
        return self._given_away > 0 or super().__len__() > 0 or self._read()

    def __length_hint__(self) -> int:
        return operator.length_hint(self._source, 0) + super().__len__()

    def __eq__(self, other: object) -> bool:
        return list(self) == other

    def __ne__(self, other: object) -> bool:
        return not self == other

    __hash__ = None

    def __contains__(self, item: object) -> bool:
        return super(LazyList, self._whole()).__contains__(item)

    def __add__(self, other: Any) -> list[Any]:
        return [*self, *other]

    def __setitem__(self, index: Any, value: Any) -> None:
        super(LazyList, self._whole()).__setitem__(index, value)

    def append(self, item: Any) -> None:
        """Add behind the last; reads all."""
        super(LazyList, self._whole()).append(item)

    def extend(self, items: Iterable[Any]) -> None:
        """Add several behind the last; reads all."""
        super(LazyList, self._whole()).extend(items)

    def __reduce__(self) -> tuple[Any, ...]:
        return list, (list(self),)

    def __deepcopy__(self, memo: dict[int, Any]) -> LazyList:
        # Signatures share their arguments with their copies; reading a stream twice is what must not happen.
        return self

    def __repr__(self) -> str:
        if self._given_away:
            return f"<LazyList: {self._given_away} items, not kept>"
        read = ", ".join(repr(item) for item in super().__iter__())
        return f"<LazyList: [{read}{'' if self._is_done else '...'}]>"


def as_lazy(items: Any) -> Any:
    """Lists and tuples as they are, anything else that can be iterated as a ``LazyList``."""
    return items if isinstance(items, list | tuple) else LazyList(items)


def is_pending(items: Any) -> bool:
    """It is lazy, and not read to its end."""
    return isinstance(items, LazyList) and not items.is_complete
