"""The Universal Scalability Law: known parameters are found again, and where there is no law it is said."""

from __future__ import annotations

import math
import random
import sys

import pytest

from fastworker.bench.errors import BenchError
from fastworker.bench.usl import Law, NoFit, fit

COUNTS = (1, 2, 4, 8, 16, 32, 48)


def _measured(law: Law, noise: float, repeats: int = 5, seed: int = 1) -> dict[int, list[float]]:
    rng = random.Random(seed)
    return {
        count: [law.throughput(count) * rng.lognormvariate(0, noise) for _ in range(repeats)]
        for count in COUNTS
    }


def test_the_law_is_gunthers() -> None:
    law = Law(100, 0.1, 0.01)
    assert law.throughput(1) == 100
    assert law.throughput(5) == pytest.approx(500 / (1 + 0.1 * 4 + 0.01 * 20))
    # Where the derivative is 0.
    assert law.peak_at == pytest.approx(math.sqrt(0.9 / 0.01))
    assert law.throughput(law.peak_at) == law.peak
    for other in (law.peak_at * 0.9, law.peak_at * 1.1):
        assert law.throughput(other) < law.peak


def test_without_coherency_there_is_no_peak_but_an_end() -> None:
    assert Law(100, 0.05, 0).peak_at == math.inf
    assert Law(100, 0.05, 0).peak == pytest.approx(100 / 0.05)
    assert Law(100, 0, 0).peak == math.inf


@pytest.mark.parametrize("coherency", [0.0, 0.01])
def test_those_that_only_stand_in_each_others_way_do_most_alone(coherency: float) -> None:
    law = Law(100, 1.1, coherency)
    assert law.throughput(2) < law.throughput(1) == 100
    assert (law.peak_at, law.peak, law.knee_at(8)) == (1, 100, 1)


def test_exact_measurements_give_the_parameters_back() -> None:
    law = Law(1234.0, 0.037, 0.0021)
    found = fit({count: [law.throughput(count)] for count in COUNTS})
    assert found.law.rate == pytest.approx(law.rate, rel=1e-4)
    assert found.law.contention == pytest.approx(law.contention, rel=1e-3)
    assert found.law.coherency == pytest.approx(law.coherency, rel=1e-3)
    assert found.error < 1e-4


@pytest.mark.parametrize(
    "law",
    [Law(1000, 0.05, 0.002), Law(50, 0.3, 0.0005), Law(20_000, 0.0, 0.01), Law(10, 0.02, 0.0)],
    ids=str,
)
def test_noise_moves_them_within_their_intervals(law: Law) -> None:
    found = fit(_measured(law, noise=0.02))
    for name in ("rate", "contention", "coherency"):
        interval, true = getattr(found, name), getattr(law, name)
        # 95 %: one of many may lie just outside, so a little more is allowed.
        room = 0.5 * (interval.high - interval.low) + 1e-3 * law.rate * (name == "rate") + 1e-4
        assert interval.low - room <= true <= interval.high + room, name
    assert found.peak.low <= found.peak.value <= found.peak.high


def test_intervals_hold_the_truth_as_often_as_they_say() -> None:
    law, held = Law(1000, 0.05, 0.002), 0
    for seed in range(40):
        found = fit(_measured(law, noise=0.03, repeats=3, seed=seed))
        held += found.peak.low <= law.peak <= found.peak.high
    # Of 40 at 95 %, fewer than 33 would be rarer than one in a thousand.
    assert held >= 33


def test_the_knee_is_the_fewest_that_do_nearly_as_much() -> None:
    law = Law(1000, 0.05, 0.002)
    found = fit(_measured(law, noise=0.0))
    knee = int(found.knee_at.value)
    most = max(law.throughput(count) for count in range(1, 49))
    assert law.throughput(knee) >= 0.95 * most > law.throughput(knee - 1)
    assert found.is_knee_reached
    assert not found.is_extrapolated  # the peak is at 21.8


def test_a_peak_beyond_what_was_measured_is_called_that() -> None:
    law = Law(1000, 0.01, 0.0001)  # at 99.5
    found = fit({count: [law.throughput(count)] * 3 for count in (1, 2, 4, 8, 16)})
    assert found.is_extrapolated
    assert found.peak_at.value == pytest.approx(law.peak_at, rel=0.01)


def test_what_grows_in_proportion_has_neither_knee_nor_peak() -> None:
    found = fit(_measured(Law(100, 0, 0), noise=0.005))
    assert not found.is_knee_reached
    assert found.peak_at.high == math.inf


def test_three_numbers_are_too_few() -> None:
    with pytest.raises(NoFit, match="expected 4 or more"):
        fit({1: [10.0], 2: [19.0], 4: [35.0]})


def test_standing_still_is_no_throughput() -> None:
    with pytest.raises(NoFit, match="with 4 nothing went through"):
        fit({1: [10.0], 2: [19.0], 4: [35.0, 0.0], 8: [50.0]})


def test_what_follows_no_such_law_is_refused() -> None:
    # Everything changes at 8, as when memory is used up; or more than proportional growth.
    with pytest.raises(NoFit, match="misses what was measured by"):
        fit({1: [10.0], 2: [20.0], 4: [40.0], 8: [2.0], 16: [150.0]})
    with pytest.raises(NoFit, match="misses what was measured by"):
        fit({count: [float(count) ** 2] for count in (1, 2, 4, 8, 16)})


def test_without_scipy_it_is_said_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "scipy.optimize", None)
    with pytest.raises(BenchError, match=r'pip install "fastworker-rs\[bench\]"'):
        fit({1: [1.0], 2: [2.0], 3: [3.0], 4: [4.0]})


def test_the_same_measurements_give_the_same_answer() -> None:
    measured = _measured(Law(1000, 0.05, 0.002), noise=0.03)
    assert fit(measured) == fit(measured)
