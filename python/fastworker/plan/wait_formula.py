"""Waits by formula: G/G/c, with processor sharing where a node has more slots than cores.

What is exact: M/M/c, and mean and variance of the wait in M/G/1. What is approximate: everything else; the simulation
stands beside it in every plan.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from fastworker.plan import erlang
from fastworker.plan.layout import Layout
from fastworker.plan.wait_law import OVERLOADED, WaitLaw, waiting


@dataclass(frozen=True)
class Stream:
    """The tasks that arrive, as a formula sees them.

    Attributes:
        rate: Arrivals a second.
        arrival_scv: Squared coefficient of variation of the times between them: 1 for Poisson.
        service_s: Mean time in a slot, with the slot's own overhead, while no other task is in its way.
        service_scv: Its variation.
        service_third: Its third moment / mean³.
        cpu_s: Mean processor time of a task; part of ``service_s``.
    """

    rate: float
    arrival_scv: float
    service_s: float
    service_scv: float
    service_third: float
    cpu_s: float = 0.0


def wait(stream: Stream, layout: Layout) -> WaitLaw:
    """The wait for a slot of a fleet: its nodes take from one queue, and share their cores as if they were one."""
    slots, cores = layout.nodes * layout.slots, layout.nodes * layout.cores
    if stream.rate <= 0:
        return waiting(0.0, 0.0, 1.0)
    if stream.rate * stream.cpu_s >= cores or stream.rate * stream.service_s >= slots:
        return OVERLOADED
    if slots <= cores or stream.cpu_s <= 0:
        return _servers(stream, slots)
    share = stream.cpu_s / stream.service_s
    stretched = _stretched(stream, cores)
    if stream.rate * stretched.service_s >= slots:
        by_slots = OVERLOADED if share < 1 else _servers(stream, slots)
    else:
        by_slots = _servers(stretched, slots)
    if math.isinf(by_slots.mean_s):
        return OVERLOADED
    by_cores = _shared_cores(stream, slots, cores)

    def mean(of_cores: float, of_slots: float) -> float:
        return share * of_cores + (1 - share) * of_slots

    return WaitLaw(
        mean(by_cores.p_wait, by_slots.p_wait),
        mean(by_cores.mean_s, by_slots.mean_s),
        lambda t: mean(by_cores.tail(t), by_slots.tail(t)),
    )


def _servers(stream: Stream, servers: int) -> WaitLaw:
    """G/G/c: Kimura's interpolation for M/G/c, Allen and Cunneen's factor for arrivals, Whitt's variance of a delay."""
    load = stream.rate * stream.service_s
    rho = load / servers
    exponential_s = erlang.mean_wait(servers, load, stream.service_s)
    constant_s = _constant_ratio(servers, rho) * exponential_s
    scv = stream.service_scv
    poisson_s = (1 + scv) / (2 * scv / exponential_s + (1 - scv) / constant_s)
    mean_s = poisson_s * (stream.arrival_scv + scv) / (1 + scv)
    p_wait = erlang.erlang_c(servers, load)
    return waiting(p_wait, mean_s / p_wait, _delayed_scv(rho, scv, stream.service_third))


def _constant_ratio(servers: int, rho: float) -> float:
    """The mean wait of M/D/c as a share of M/M/c's. Source: G. P. Cosmetatos, 1975."""
    more = (1 - rho) * (servers - 1) * (math.sqrt(4 + 5 * servers) - 2) / (16 * rho * servers)
    return min(1.0, (1 + more) / 2)


def _delayed_scv(rho: float, service_scv: float, service_third: float) -> float:
    """The variation of the wait of those who wait; exact for M/G/1. Source: Whitt, 1993, equation 4.3."""
    return 2 * rho - 1 + 4 * (1 - rho) * service_third / (3 * (service_scv + 1) ** 2)


def _stretched(stream: Stream, cores: float) -> Stream:
    """Tasks whose computing takes longer because it shares the cores: M/M/c processor sharing has M/M/c's mean."""
    servers = max(1, int(cores))
    load = stream.rate * stream.cpu_s * servers / cores
    longer_s = erlang.mean_wait(servers, load, stream.cpu_s)
    return Stream(
        stream.rate,
        stream.arrival_scv,
        stream.service_s + longer_s,
        stream.service_scv,
        stream.service_third,
        stream.cpu_s,
    )


def _shared_cores(stream: Stream, slots: int, cores: float) -> WaitLaw:
    """Limited processor sharing: up to ``slots`` tasks share the cores, the rest waits in line.

    Work that is not yet done has an exponential tail under load; it waits in line only as far as it does not fit in
    the slots. Exact for exponential times; else as in Zhang and Zwart, Steady state approximations of limited processor
    sharing queues in heavy traffic, 2008.
    """
    servers = max(1, int(cores))
    rho = stream.rate * stream.cpu_s / cores
    spread = (stream.arrival_scv + stream.service_scv) / (1 + stream.service_scv)
    p_wait = erlang.erlang_c(servers, rho * servers) * rho ** ((slots - servers) / spread)
    delayed_s = stream.cpu_s * (stream.arrival_scv + stream.service_scv) / 2 / (cores * (1 - rho))
    return waiting(p_wait, delayed_s, 1.0)
