"""A fleet: nodes with slots and cores, and how far ahead of need each of them fetches."""

from __future__ import annotations

from dataclasses import dataclass, replace

#: A worker holds what its slots get through in this time (``rust/engine/src/prefetch.rs``).
LOOKAHEAD_S = 0.25


@dataclass(frozen=True)
class Layout:
    """A fleet of equal nodes.

    Attributes:
        nodes: How many.
        slots: Tasks that each runs at once.
        cores: Processor cores that each has for them.
        ahead_s: Seconds of work that each fetches ahead of need; 0: it fetches for idle slots only.
        drift: By how much the speed of all of them wanders (``drift.py``); 0: it is always the same.
    """

    nodes: int
    slots: int
    cores: float
    ahead_s: float = LOOKAHEAD_S
    drift: float = 0.0

    def ahead(self, mean_s: float) -> int:
        """Messages that a node fetches ahead of need while tasks take so long on average."""
        return int(self.slots * self.ahead_s / mean_s) if mean_s > 0 else 0

    def with_nodes(self, nodes: int) -> Layout:
        """The same with another number of nodes."""
        return replace(self, nodes=nodes)
