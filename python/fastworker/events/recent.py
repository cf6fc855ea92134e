"""A mapping that keeps what was used most recently. Source: kombu's ``LRUCache``, whose surface monitors know."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import ItemsView, Iterator, KeysView, MutableMapping, ValuesView
from typing import Any, TypeVar

K = TypeVar("K")
V = TypeVar("V")


class RecentlyUsed(MutableMapping[K, V]):
    """Holds at most ``limit`` entries; what was read or written longest ago makes room.

    Args:
        limit: None: any number.

    Attributes:
        data: The entries, the next to go first. Reading here does not count as use.
    """

    def __init__(self, limit: int | None = None) -> None:
        self.limit = limit
        self.data: OrderedDict[K, V] = OrderedDict()
        self.mutex = threading.RLock()

    def __getitem__(self, key: K) -> V:
        with self.mutex:
            value = self.data[key]
            self.data.move_to_end(key)
            return value

    def __setitem__(self, key: K, value: V) -> None:
        with self.mutex:
            if self.limit and key not in self.data and len(self.data) >= self.limit:
                self.data.popitem(last=False)
            self.data[key] = value

    def __delitem__(self, key: K) -> None:
        with self.mutex:
            del self.data[key]

    def __contains__(self, key: object) -> bool:
        return key in self.data

    def __iter__(self) -> Iterator[K]:
        return iter(self._copied())

    def __len__(self) -> int:
        return len(self.data)

    def keys(self) -> KeysView[K]:
        """As they are now: what changes meanwhile does not show."""
        return self._copied().keys()

    def values(self) -> ValuesView[V]:
        """As they are now; looking at them does not count as use."""
        return self._copied().values()

    def items(self) -> ItemsView[K, V]:
        """As they are now; looking at them does not count as use."""
        return self._copied().items()

    def _copied(self) -> dict[K, V]:
        with self.mutex:
            return dict(self.data)

    def __getstate__(self) -> dict[str, Any]:
        return {"limit": self.limit, "data": self.data}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self.mutex = threading.RLock()
