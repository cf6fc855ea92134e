"""How much of what a node can do its tasks ask for, where they share its cores.

With slots that are all taken a node is a closed network: so many tasks as it has slots, each at the cores, which
those there share evenly, or waiting for something else. Its throughput has product form and depends on mean times
alone. It is less than what slots and cores each would allow, since at times too many compute and at times too few.
Source: F. Baskett et al., Open, Closed, and Mixed Networks of Queues with Different Classes of Customers, 1975.
"""

from __future__ import annotations

#: Weights are divided by this before they become too large for a float.
_LARGE = 1e200


def utilisation(slot_load: float, cpu_load: float, slots: int, cores: float) -> float:
    """The share of a node's most throughput that is asked for; from 1 on it is too much.

    Args:
        slot_load: Slots that would be taken on average if nothing were in a task's way.
        cpu_load: Cores that would be busy.
        slots, cores: Of the node.
    """
    apart = max(slot_load / slots, cpu_load / cores)
    if slots <= cores or cpu_load <= 0:
        return apart
    return max(apart, 1 / _closed(slots, cores, cpu_load, max(0.0, slot_load - cpu_load)))


def _closed(slots: int, cores: float, cpu: float, other: float) -> float:
    """Tasks that end in a unit of time; each computes for ``cpu`` and waits for ``other``."""
    if other <= 0:
        return min(slots, cores) / cpu
    # The weight of so many that compute, from none on.
    weight = total = 1.0
    served = 0.0
    for computing in range(1, slots + 1):
        busy = min(computing, cores)
        weight *= (slots - computing + 1) / other * cpu / busy
        total += weight
        served += weight * busy
        if total > _LARGE:
            weight, total, served = weight / _LARGE, total / _LARGE, served / _LARGE
    return served / total / cpu
