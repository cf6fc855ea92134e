"""A fleet: nodes with slots and cores."""

from __future__ import annotations

from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Layout:
    """A fleet of equal nodes.

    Attributes:
        nodes: How many.
        slots: Tasks that each runs at once.
        cores: Processor cores that each has for them.
        drift: By how much the speed of all of them wanders (``drift.py``); 0: it is always the same.
    """

    nodes: int
    slots: int
    cores: float
    drift: float = 0.0

    def with_nodes(self, nodes: int) -> Layout:
        """The same with another number of nodes."""
        return replace(self, nodes=nodes)
