"""The simulation against theory: fixed seeds, and the interval that theory itself gives."""

from __future__ import annotations

import random

import pytest

from fastworker.plan import erlang
from fastworker.plan.distributions import Constant, Exponential
from fastworker.plan.keyed import KeyedLimit
from fastworker.plan.layout import Layout
from fastworker.plan.replicas import Simulated, simulate
from fastworker.plan.simulation import Jobs, play
from fastworker.plan.wait_formula import wait
from fastworker.plan.workload import Class, Overhead, Workload


def load(rate: float, service: object = None, cpu: float = 0.0) -> Workload:
    return Workload((Class("t", rate, 1.0, service or Exponential(1.0), cpu),))  # type: ignore[arg-type]


def run(workload: Workload, layout: Layout) -> Simulated:
    return simulate(workload, layout, most_tasks=3_000, replicas=10, seed=3, coverage=1.0)


@pytest.mark.parametrize(("servers", "rho"), [(1, 0.6), (2, 0.7), (5, 0.8)])
def test_exponential_servers_wait_as_erlang_says(servers: int, rho: float) -> None:
    found = run(load(rho * servers), Layout(1, servers, servers))
    assert found.mean_s.holds(erlang.mean_wait(servers, rho * servers, 1.0))
    assert found.mean_s.high - found.mean_s.low < 2.0
    assert found.p95_s.holds(
        wait(load(rho * servers).stream(), Layout(1, servers, servers)).quantile(0.95)
    )
    assert found.slots.median == pytest.approx(rho, rel=0.05)


def test_the_general_way_plays_first_come_first_served_as_the_short_way() -> None:
    """The same tasks: a node without a lack of cores is one queue."""
    workload = load(2.8)
    jobs = workload.draw(2_000.0, random.Random(1))
    short = play(jobs, Layout(1, 4, 4), random.Random(1))
    # A trace of computing makes it go event by event; with 3.9 cores four slots share, hardly ever noticeably.
    general_jobs = Jobs(jobs.ready_s, jobs.wait_s, [1e-9] * len(jobs.cpu_s), jobs.idle_s)
    general = play(general_jobs, Layout(1, 4, 3.9), random.Random(1))
    assert general.waits_s == pytest.approx(short.waits_s, abs=1e-5)
    assert general.busy_slots_s == pytest.approx(short.busy_slots_s, rel=1e-6)


def test_shared_cores_wait_as_theory_says() -> None:
    """Limited processor sharing with exponential times: see the formula's test."""
    found = run(load(1.4, cpu=1.0), Layout(1, 4, 2))
    law = wait(load(1.4, cpu=1.0).stream(), Layout(1, 4, 2))
    assert found.mean_s.holds(law.mean_s)
    assert found.p95_s.holds(law.quantile(0.95))
    assert found.cores.median == pytest.approx(0.7, rel=0.05)


def test_two_that_compute_on_one_core_take_twice_as_long() -> None:
    jobs = Jobs([0.0, 0.0], [0.0, 0.0], [1.0, 1.0], [0.5, 0.0])
    played = play(jobs, Layout(1, 2, 1), random.Random(1))
    assert played.ends_s == pytest.approx([2.5, 2.0])


def test_nodes_are_one_queue() -> None:
    """Nobody waits while any node has a free slot; nodes with too few cores each share their own."""
    one, two = (run(load(2.8), layout) for layout in (Layout(1, 4, 4), Layout(2, 2, 2)))
    assert one == two
    shared = run(load(2.8, cpu=1.0), Layout(2, 4, 2))
    law = wait(load(2.8, cpu=1.0).stream(), Layout(2, 4, 2))
    assert shared.mean_s.holds(law.mean_s)


def test_waits_rise_with_load_and_fall_with_slots() -> None:
    by_load = [run(load(rate), Layout(1, 4, 4)).p95_s.median for rate in (2.0, 2.8, 3.4)]
    assert by_load == sorted(by_load)
    by_slots = [run(load(2.8), Layout(1, slots, slots)).p95_s.median for slots in (3, 4, 6)]
    assert by_slots == sorted(by_slots, reverse=True)


def test_permits_are_apart_as_the_limit_says() -> None:
    """One key: an M/D/1 queue, whose mean Pollaczek and Khinchine know."""
    limit = KeyedLimit(keys=1, zipf=1.0, rate=1.0)
    workload = Workload((Class("t", 0.8, 1.0, Constant(1e-6), 0.0, limit),))
    found = run(workload, Layout(1, 8, 8))
    assert found.mean_s.holds(2.0)
    assert limit.wait(0.8).mean_s == pytest.approx(2.0)


def test_overhead_is_in_every_wait_and_in_every_slot() -> None:
    plain = Workload((Class("t", 1.0, 1.0, Constant(0.5)),))
    slow = Workload(plain.classes, Overhead(start_s=0.25, slot_s=0.1))
    layout = Layout(1, 8, 8)
    one, other = run(plain, layout), run(slow, layout)
    assert other.p50_s.median == pytest.approx(one.p50_s.median + 0.25)
    assert other.slots.median == pytest.approx(one.slots.median * 1.2, rel=1e-3)


def test_the_same_seed_gives_the_same_figures() -> None:
    assert run(load(2.8), Layout(2, 2, 2)) == run(load(2.8), Layout(2, 2, 2))
