"""The highest rate at which the workers keep up: ``fastworker bench run --search``.

A closed loop tells first about where to look. Then open loops are tried: a rate that holds moves the lower end of the
bracket up, one that does not moves the upper end down, until the two are no further apart than the precision. Each
repeat searches anew, with other arrivals, from where the last one ended; the trial with the highest rate that held is
what it measured.

A rate holds if all calls end, no backlog has grown, and the target is met. *Grown*: when the last call of a trial is
published, more calls are under way than the slots hold, one in a hundred of those that came, and the square root of
those, which is what chance alone does to arrivals. So a trial of n calls cannot tell rates apart that differ by less
than about 1/√n.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterator

from fastworker.bench.arrivals import BURST
from fastworker.bench.check import Check
from fastworker.bench.errors import BenchError
from fastworker.bench.measures import measures
from fastworker.bench.phase import GENERATOR, Phase, Progress
from fastworker.bench.settings import BenchSettings, Search
from fastworker.bench.stage import Stage

#: How far the next rate is from the last one while the bracket has one end only.
_STRIDE = 1.3
#: The first trial of the first search, in proportion to the closed loop.
_BELOW = 0.85
#: A search that takes longer than this does not end.
_MOST_TRIALS = 20
#: Fewer calls in a trial tell nothing.
_FEWEST_CALLS = 10
#: How often a rate is tried at which the generator is late.
_TRIES = 3
#: What may be left over of the arrivals of a trial.
_LEFT_OVER = 0.01
_US = 1e-6


def phases(stage: Stage, search: Search, rng: random.Random, progress: Progress) -> Iterator[Phase]:
    """Everything that was tried, in order; one phase of each repeat is of the kind ``measure``.

    Raises:
        BenchError: No rate holds, or the bench could not be measured.
    """
    settings = stage.settings
    near, stride = settings.rate, _STRIDE
    # A fleet that runs has a queue that is not to be emptied, and calls that are due later leave it empty.
    if not settings.is_attached and not any(call.delay_s for call in settings.workload.calls):
        stage.watch = progress("how much goes through")
        full = stage.closed("saturate", None, settings.duration_s, rng, settings.warm_up_s)
        yield full
        near = full.throughput / settings.workload.ends * _BELOW
    for repeat in range(settings.repeats):
        bracket = Bracket(near, stride, search.precision)
        trials: list[Phase] = []
        while not bracket.is_narrow:
            rate = bracket.next_rate
            stage.watch = progress(f"search {repeat + 1} of {settings.repeats}, {rate:,.4g}/s")
            trial = _trial(stage, search, rng, rate)
            trials.append(trial)
            bracket.tried(rate, holds=trial.instability is None)
            goes_on = len(trials) < _MOST_TRIALS
            goes_on &= bracket.next_rate * settings.duration_s >= _FEWEST_CALLS
            if not bracket.is_narrow and not goes_on:
                raise BenchError(_endless(bracket, trial))
        best = next(trial for trial in trials if trial.rate == bracket.low)
        first_too_high = next(trial for trial in trials if trial.rate == bracket.high)
        best.kind, best.repeat = "measure", repeat
        best.bound, best.bounded_by = first_too_high.offered, first_too_high.instability
        yield from trials
        near, stride = bracket.low, 1 + 2 * search.precision


def _trial(stage: Stage, search: Search, rng: random.Random, rate: float) -> Phase:
    """One rate. A generator that was late once may have been disturbed; so that is tried again."""
    for _ in range(_TRIES):
        trial = stage.open("search", None, stage.settings.duration_s, rng, rate)
        trial.instability = instability(stage, trial, search.target)
        if not (trial.instability or "").startswith(GENERATOR):
            break
    return trial


class Bracket:
    """Between which rates the highest one lies.

    Args:
        near: The first to try.
        stride: The factor to the next one while only one end is known.
        precision: How far the ends may be apart; relative.
    """

    def __init__(self, near: float, stride: float, precision: float) -> None:
        self.low, self.high = 0.0, math.inf
        self.next_rate = near
        self._stride = stride
        self._precision = precision

    def tried(self, rate: float, *, holds: bool) -> None:
        """A rate holds, or does not."""
        if holds:
            self.low = max(self.low, rate)
        else:
            self.high = min(self.high, rate)
        if self.low > 0.0 and self.high < math.inf:
            self.next_rate = math.sqrt(self.low * self.high)
            return
        self.next_rate = self.low * self._stride if self.low else self.high / self._stride
        # A first guess that is far off is soon left behind.
        self._stride *= _STRIDE

    @property
    def is_narrow(self) -> bool:
        """The search is over."""
        return self.low > 0.0 and self.high <= self.low * (1 + self._precision)


def instability(stage: Stage, phase: Phase, target: Check) -> str | None:
    """Why a rate is too high; None: it is not."""
    if phase.lost:
        return f"{phase.lost} of {phase.published} messages had not ended"
    late_s = 0.0 if phase.late is None else phase.late.quantile_us(0.99) * _US
    # A busy machine makes it late by milliseconds, which leaves no backlog; too high a rate, by more and more.
    if late_s > max(stage.settings.punctual_s, _LEFT_OVER * stage.settings.duration_s):
        return f"{GENERATOR} was {late_s * 1000:.2f} ms late"
    allowed = allowed_backlog(stage.settings, phase)
    if phase.backlog is not None and phase.backlog > allowed:
        return f"a backlog of {phase.backlog:,} calls had grown while {phase.published:,} came"
    found = measures(phase)
    if target.measure not in found:
        raise BenchError(
            f"--target {target.text!r}: this workload has no measure {target.measure!r}"
        )
    if not target.met_by(found[target.measure]):
        return f"{target.text} did not hold: {found[target.measure]:.4g}"
    return None


def allowed_backlog(settings: BenchSettings, phase: Phase) -> float:
    """Calls that may be under way when the last one is published, and still nothing has grown."""
    came_together = BURST if settings.arrivals == "bursts" else 1
    by_chance = math.sqrt(phase.published * came_together)
    return phase.slots + settings.workload.ends * (_LEFT_OVER * phase.published + by_chance)


def _endless(bracket: Bracket, last: Phase) -> str:
    return (
        f"no rate found between {bracket.low:.3g} and {bracket.high:.3g}/s; the last one tried, "
        f"{last.rate:.3g}/s: {last.instability or 'holds'}; take a longer --duration, "
        f"a milder --target, or more workers"
    )
