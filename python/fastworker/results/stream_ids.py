"""The ids of a stream's calls, made from its seed when they are asked for: nobody keeps them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import overload

from fastworker import _core

#: Ids made at once by somebody who goes through all of them.
_AT_ONCE = 1000


class StreamIds(Sequence[str]):
    """Ids by their place: ``uuid.uuid5(seed, str(place))`` each.

    Args:
        seed: A UUID as 36 characters.
        places: Of which calls of the stream, in this order.
    """

    __slots__ = ("places", "seed")

    def __init__(self, seed: str, places: range) -> None:
        self.seed = seed
        self.places = places

    def __len__(self) -> int:
        return len(self.places)

    @overload
    def __getitem__(self, index: int) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> StreamIds: ...
    def __getitem__(self, index: int | slice) -> str | StreamIds:
        if isinstance(index, slice):
            return StreamIds(self.seed, self.places[index])
        return _core.stream_ids(self.seed, self.places[index], 1)[0]

    def __iter__(self) -> Iterator[str]:
        for batch in self.batches(_AT_ONCE):
            yield from batch

    def batches(self, size: int) -> Iterator[list[str]]:
        """All, ``size`` at a time."""
        step = self.places.step
        for start in range(0, len(self.places), size):
            some = self.places[start : start + size]
            if step == 1:
                yield _core.stream_ids(self.seed, some.start, len(some))
            else:
                yield [_core.stream_ids(self.seed, place, 1)[0] for place in some]

    def __eq__(self, other: object) -> bool:
        if isinstance(other, StreamIds):
            return (self.seed, self.places) == (other.seed, other.places)
        return NotImplemented

    def __hash__(self) -> int:
        return hash((self.seed, self.places))
