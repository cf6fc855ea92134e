"""Erlang's formulas of M/M/c: Poisson arrivals, exponential service times, ``c`` servers. All exact.

Source: A. K. Erlang, 1917; R. B. Cooper, Introduction to Queueing Theory, 2nd ed., chapter 3.
"""

from __future__ import annotations


def erlang_b(servers: int, load: float) -> float:
    """The share of calls that find all servers busy where nobody waits.

    Args:
        servers: How many.
        load: Mean number of busy servers, if there were enough: arrivals a second by mean service time.
    """
    blocked = 1.0
    for number in range(1, servers + 1):
        blocked = load * blocked / (number + load * blocked)
    return blocked


def erlang_c(servers: int, load: float) -> float:
    """The share of tasks that have to wait; 1 when the load is too much to be worked off."""
    if load >= servers:
        return 1.0
    if load <= 0:
        return 0.0
    blocked = erlang_b(servers, load)
    return blocked / (1 - load / servers * (1 - blocked))


def mean_wait(servers: int, load: float, service_s: float) -> float:
    """The mean wait of M/M/c in seconds, of all tasks; infinite under overload."""
    if load >= servers:
        return float("inf")
    return erlang_c(servers, load) * service_s / (servers - load)
