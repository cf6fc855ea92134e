"""The formula: exact where theory is exact, and monotone."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fastworker.plan.layout import Layout
from fastworker.plan.wait_formula import Stream, wait


def exponential(rate: float, service_s: float, cpu_s: float = 0.0) -> Stream:
    return Stream(rate, 1.0, service_s, 1.0, 6.0, cpu_s)


def test_one_exponential_server_is_exact() -> None:
    law = wait(exponential(0.8, 1.0), Layout(1, 1, 1))
    assert law.p_wait == pytest.approx(0.8)
    assert law.mean_s == pytest.approx(4.0)
    assert law.quantile(0.95) == pytest.approx(math.log(0.8 / 0.05) / 0.2)


def test_one_constant_server_has_half_the_wait() -> None:
    """M/D/1, Pollaczek and Khinchine."""
    law = wait(Stream(0.8, 1.0, 1.0, 0.0, 1.0), Layout(1, 1, 1))
    assert law.mean_s == pytest.approx(2.0)


@settings(max_examples=30, deadline=None)
@given(rho=st.floats(0.1, 0.95), scv=st.floats(0.0, 8.0))
def test_mean_of_one_server_is_pollaczek_and_khinchines(rho: float, scv: float) -> None:
    law = wait(Stream(rho, 1.0, 1.0, scv, (1 + scv) ** 3), Layout(1, 1, 1))
    assert law.mean_s == pytest.approx(rho * (1 + scv) / 2 / (1 - rho))


def test_tail_of_the_constant_server() -> None:
    """M/D/1 at 0.8: P(wait > t) by Crommelin's exact series; the fit is by two moments."""
    rho = 0.8

    def exact(t: float) -> float:
        below = (1 - rho) * sum(
            (-rho * (t - k)) ** k / math.factorial(k) * math.exp(rho * (t - k))
            for k in range(int(t) + 1)
        )
        return 1 - below

    law = wait(Stream(rho, 1.0, 1.0, 0.0, 1.0), Layout(1, 1, 1))
    for t in (1.0, 2.0, 4.0, 6.0):
        assert law.tail(t) == pytest.approx(exact(t), rel=0.06)


def test_exponential_servers_are_exact() -> None:
    """M/M/4 at 0.7: C(4, 2.8) = 0.4287."""
    law = wait(exponential(2.8, 1.0), Layout(1, 4, 4))
    assert law.p_wait == pytest.approx(0.4287, abs=1e-4)
    assert law.mean_s == pytest.approx(0.4287 / 1.2, rel=1e-3)


def test_more_slots_than_cores_share_them_exactly_for_exponential_times() -> None:
    """Four slots on two cores are M/M/2 of which whoever finds four there waits: C(2, a)·rho²."""
    law = wait(exponential(1.4, 1.0, 1.0), Layout(1, 4, 2))
    assert law.p_wait == pytest.approx(0.5765 * 0.49, rel=1e-3)
    assert law.tail(1.0) == pytest.approx(law.p_wait * math.exp(-(2 - 1.4)), rel=1e-6)


def test_overload_of_slots_or_cores_waits_for_ever() -> None:
    assert math.isinf(wait(exponential(4.1, 1.0), Layout(1, 4, 4)).quantile(0.5))
    assert math.isinf(wait(exponential(2.1, 1.0, 1.0), Layout(1, 8, 2)).quantile(0.5))


def test_nodes_wait_as_one_node_of_their_size() -> None:
    stream = exponential(140.0, 0.02)
    one, two = (
        wait(stream, layout).quantile(0.95) for layout in (Layout(1, 4, 4), Layout(2, 2, 2))
    )
    assert one == two


loads = st.floats(0.05, 0.9)
streams = st.builds(
    lambda rho, arrivals, scv, cpu: (rho, arrivals, scv, cpu),
    loads,
    st.floats(0.2, 5.0),
    st.floats(0.0, 6.0),
    st.sampled_from([0.0, 0.3, 1.0]),
)


@settings(max_examples=30, deadline=None)
@given(streams, st.integers(1, 12), st.integers(1, 4))
def test_more_load_never_waits_less(
    given_: tuple[float, float, float, float], slots: int, nodes: int
) -> None:
    rho, arrivals, scv, cpu = given_
    cores = slots if cpu < 1 else max(1, slots // 2)

    def p95(factor: float) -> float:
        rate = rho * min(cores, slots) * nodes * factor
        stream = Stream(rate, arrivals, 1.0, scv, (1 + scv) ** 3, cpu)
        return wait(stream, Layout(nodes, slots, cores)).quantile(0.95)

    assert p95(1.0) <= p95(1.05) * (1 + 1e-6) + 1e-6


@settings(max_examples=30, deadline=None)
@given(streams, st.integers(1, 12))
def test_more_nodes_never_wait_longer(
    given_: tuple[float, float, float, float], slots: int
) -> None:
    rho, arrivals, scv, _ = given_
    stream = Stream(rho * slots, arrivals, 1.0, scv, (1 + scv) ** 3)
    waits = [wait(stream, Layout(nodes, slots, slots)).quantile(0.95) for nodes in (1, 2, 4)]
    assert waits[2] <= waits[1] <= waits[0]
