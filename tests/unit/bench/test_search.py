"""The search for the highest rate that holds, against workers of which it is known."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Any

import pytest

from fastworker import _core
from fastworker.bench import search
from fastworker.bench.check import parse
from fastworker.bench.errors import BenchError
from fastworker.bench.phase import Phase, Watch
from fastworker.bench.report import notes, summary
from fastworker.bench.search import Bracket, allowed_backlog, instability
from fastworker.bench.settings import BenchSettings, Search
from fastworker.bench.workload import Parameters, built_in
from tests.support.bench_phases import made

TARGET = parse("p99_wait<1s", "--target")


@dataclass
class FakeStage:
    """Workers that end so many calls a second, and a generator that is punctual up to a rate."""

    settings: BenchSettings
    capacity: float
    punctual_to: float = 1e9
    hiccups: int = 0
    watch: Watch = lambda *_: None

    def closed(self, kind: str, repeat: int | None, duration_s: float, *_: Any) -> Phase:
        return made(kind=kind, repeat=repeat, throughput=self.capacity, duration_s=duration_s)

    def open(
        self, kind: str, repeat: int | None, duration_s: float, _rng: random.Random, rate: float
    ) -> Phase:
        came = round(rate * duration_s)
        late = _core.Histogram()
        is_late = rate > self.punctual_to
        if self.hiccups:
            self.hiccups, is_late = self.hiccups - 1, True
        late.record(50_000_000 if is_late else 2000, came)
        backlog = max(0, came - round(self.capacity * duration_s))
        return made(
            kind=kind,
            repeat=repeat,
            throughput=min(rate, self.capacity),
            duration_s=duration_s,
            published=came,
            rate=rate,
            offered=rate,
            late=late,
            backlog=backlog,
        )


def _settings(**fields: Any) -> BenchSettings:
    wanted = Search(TARGET, fields.pop("precision", 0.05))
    base = {"duration_s": 1000.0, "repeats": 2, "search": wanted}
    return BenchSettings(built_in("noop", Parameters()), **(base | fields))


def _searched(stage: FakeStage) -> list[Phase]:
    assert stage.settings.search is not None
    found = search.phases(stage, stage.settings.search, random.Random(1), lambda _: stage.watch)  # type: ignore[arg-type]
    return list(found)


@pytest.mark.parametrize("precision", [0.01, 0.05, 0.2])
def test_the_highest_rate_is_found_to_the_precision(precision: float) -> None:
    phases = _searched(FakeStage(_settings(precision=precision), capacity=1234.0))
    measured = [phase for phase in phases if phase.kind == "measure"]
    assert [phase.repeat for phase in measured] == [0, 1]
    for phase in measured:
        # A backlog of 1 % and of chance is no growth.
        assert phase.rate is not None
        assert phase.bound is not None
        assert phase.rate <= 1234 * 1.02
        assert phase.rate * (1 + precision) >= 1234
        assert phase.rate < phase.bound <= phase.rate * (1 + precision)
        assert "a backlog of" in str(phase.bounded_by)
    row = summary(measured)["stable_rate"]
    assert row["low"] <= row["median"] <= row["high"]
    assert row["high"] == max(phase.bound or 0 for phase in measured)


@pytest.mark.parametrize("first", [1.0, 90_000.0])
def test_a_first_guess_that_is_far_off_is_left_behind(first: float) -> None:
    # Of a fleet that runs there is no closed loop to begin with.
    settings = _settings(is_attached=True, rate=first, repeats=1)
    phases = _searched(FakeStage(settings, capacity=500.0))
    assert not [phase for phase in phases if phase.kind == "saturate"]
    best = next(phase for phase in phases if phase.kind == "measure")
    assert best.rate == pytest.approx(500, rel=0.05)


def test_a_generator_that_is_the_limit_is_named() -> None:
    settings = _settings(repeats=1)
    phases = _searched(FakeStage(settings, capacity=1e6, punctual_to=20_000.0))
    measured = [phase for phase in phases if phase.kind == "measure"]
    assert measured[0].rate == pytest.approx(20_000, rel=0.05)
    assert any("because the generator was late" in note for note in notes(settings, measured))


def test_a_generator_that_was_disturbed_once_is_tried_again() -> None:
    phases = _searched(FakeStage(_settings(repeats=1), capacity=1000.0, hiccups=2))
    best = next(phase for phase in phases if phase.kind == "measure")
    assert best.rate == pytest.approx(1000, rel=0.05)


def test_a_search_that_does_not_end_is_given_up() -> None:
    with pytest.raises(BenchError, match=r"no rate found .*: the generator was 5.* ms late"):
        _searched(FakeStage(_settings(), capacity=500.0, punctual_to=0.0))


def test_a_target_that_is_missed_bounds_the_rate() -> None:
    stage = FakeStage(_settings(), capacity=1e6)
    phase = stage.open("search", None, 10.0, random.Random(1), 100.0)
    assert instability(stage, phase, TARGET) is None  # type: ignore[arg-type]
    strict = parse("p50_wait<1us", "--target")
    assert "p50_wait<1us did not hold" in str(instability(stage, phase, strict))  # type: ignore[arg-type]
    with pytest.raises(BenchError, match="no measure 'result_p99_s'"):
        instability(stage, phase, parse("p99_result<1s", "--target"))  # type: ignore[arg-type]


def test_a_short_trial_says_what_it_cannot_tell() -> None:
    settings = _settings(duration_s=1.0, repeats=1)
    measured = [
        phase for phase in _searched(FakeStage(settings, capacity=100.0)) if phase.kind == "measure"
    ]
    assert any("take a longer --duration" in note for note in notes(settings, measured))


def test_bursts_may_leave_more_behind() -> None:
    phase = made(published=10_000, slots=4)
    steady, bursts = (
        allowed_backlog(_settings(arrivals=kind), phase) for kind in ("poisson", "bursts")
    )
    assert steady == 4 + 100 + 100
    assert bursts > 2 * steady


def test_a_bracket_closes_in() -> None:
    bracket = Bracket(near=100, stride=1.3, precision=0.05)
    tried = []
    while not bracket.is_narrow:
        tried.append(bracket.next_rate)
        bracket.tried(bracket.next_rate, holds=bracket.next_rate <= 321)
    assert bracket.low <= 321 < bracket.high <= bracket.low * 1.05
    assert len(tried) < 12
