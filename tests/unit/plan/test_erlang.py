"""Erlang's formulas against published tables."""

from __future__ import annotations

import math

import pytest

from fastworker.plan.erlang import erlang_b, erlang_c, mean_wait


@pytest.mark.parametrize(
    ("servers", "load", "blocked"),
    [
        # Erlang B traffic tables: the load at which so many servers block that share.
        (1, 0.0101, 0.01),
        (2, 0.153, 0.01),
        (5, 1.361, 0.01),
        (10, 4.461, 0.01),
        (20, 12.03, 0.01),
        (50, 37.90, 0.01),
        (10, 6.216, 0.05),
    ],
)
def test_blocking_is_that_of_the_tables(servers: int, load: float, blocked: float) -> None:
    assert erlang_b(servers, load) == pytest.approx(blocked, rel=5e-3)


@pytest.mark.parametrize(
    ("servers", "load", "waits"),
    [
        (1, 0.7, 0.7),  # M/M/1: the share that waits is the utilisation
        (2, 1.0, 1 / 3),  # rho²·2/(1+rho), by hand
        (2, 1.4, 2 * 0.49 / 1.7),
        (3, 2.0, 4 / 9),  # Hillier and Lieberman's tables of M/M/s
        (5, 4.0, 0.5541),  # Allen, Probability, Statistics and Queueing Theory, table of C(c, a)
        (10, 8.0, 0.4092),
    ],
)
def test_the_share_that_waits_is_that_of_the_tables(
    servers: int, load: float, waits: float
) -> None:
    assert erlang_c(servers, load) == pytest.approx(waits, rel=2e-4)


def test_mean_wait_of_one_server() -> None:
    """rho / (1 - rho) service times."""
    assert mean_wait(1, 0.8, 0.5) == pytest.approx(2.0)


def test_overload_waits_for_ever() -> None:
    assert erlang_c(4, 4.0) == 1.0
    assert math.isinf(mean_wait(4, 4.0, 1.0))
