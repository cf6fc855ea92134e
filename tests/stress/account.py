"""What a run under fire came to: what is missing, what ran twice and why, how long recovery took."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain, pairwise

from tests.stress.numbers import Effect, is_direct, kind_of
from tests.stress.rates import bound, excesses
from tests.support.queue_state import QueueState

#: Faults that end processes which may be running tasks. Not the zygote's: its children go on.
KILLS = frozenset({"child", "supervisor", "node"})
#: Faults after which nobody knows whether the broker has carried something out.
DOUBTS = frozenset({"connection", "server"})
#: How long after a kill what it hit may go on: until the kernel has closed the files of the dead.
KILL_SLACK_S = 0.1
#: How long around its end a fault of the broker may leave things in doubt.
DOUBT_SLACK_S = 0.5
#: How long after a revoke was confirmed the word may take to the workers; they hear it at once.
WORD_S = 0.5
#: Tasks of early acknowledgement that one dead process can take with it: those that are
#: acknowledged and not finished, at most 2 x concurrency of a node.
EARLY_AT_RISK = 4


@dataclass
class Fault:
    """One thing that was broken.

    Attributes:
        kind: What.
        at: When we set about it, Unix time.
        done_at: When it was done: finding the process takes a while on a busy machine.
        in_flight: Messages leased at that moment.
        recovery_s: Until effects went on and, where leases were lost, until none of them was left.
    """

    kind: str
    at: float
    done_at: float
    in_flight: int
    recovery_s: float = 0.0

    def touches(self, begin: float, end: float) -> bool:
        """Whether it can have been between two moments: all clocks are one. A kill took place between
        ``at`` and ``done_at``; only the process that was to be killed can know when.
        """
        return self.at <= end and begin <= self.over_at

    @property
    def over_at(self) -> float:
        """The last moment at which it can have had an effect, Unix time."""
        if self.kind in DOUBTS:
            return max(self.done_at, self.at + self.recovery_s) + DOUBT_SLACK_S
        return self.done_at + KILL_SLACK_S


@dataclass
class Account:
    """All that ``check`` needs.

    Attributes:
        total: Numbers that were published.
        effects: The runs of each number.
        repeated: Numbers that the publisher may have published twice.
        overran: Numbers whose time limit did not end them.
        revoked: When the revoke of each number was confirmed, Unix time.
        outlasted: When numbers ended that a revoke was to terminate and did not.
        state: Where messages are at the end.
        faults: In order.
        seconds: How long the run took.
    """

    total: int
    effects: Mapping[int, Sequence[Effect]]
    repeated: frozenset[int]
    overran: tuple[int, ...]
    revoked: Mapping[int, float]
    outlasted: Mapping[int, float]
    state: QueueState
    faults: list[Fault] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def lost(self) -> list[int]:
        """Numbers without effect that should have one. Those of early acknowledgement may be lost,
        and those that were revoked never run.
        """
        return [n for n in self._absent() if kind_of(n) != "early" and n not in self.revoked]

    @property
    def lost_early(self) -> list[int]:
        """Of early acknowledgement: their authors chose at most once."""
        return [n for n in self._absent() if kind_of(n) == "early"]

    def _absent(self) -> Iterable[int]:
        return (number for number in range(self.total) if not self.effects.get(number))

    @property
    def duplicates(self) -> dict[int, list[str]]:
        """Why each number that ran more than once did so; ``unexplained`` where nothing says it."""
        return {
            number: [self._reason(number, *pair) for pair in pairwise(runs)]
            for number, runs in sorted(self.effects.items())
            if len(runs) > 1
        }

    def _reason(self, number: int, first: Effect, second: Effect) -> str:
        """Why ``second`` followed ``first``."""
        if first.published != second.published:
            if is_direct(number):
                return "published twice" if number in self.repeated else "unexplained"
            # The task that publishes it ran twice, and dated its messages each time.
            begin, end = sorted((first.published, second.published))
            return self._fault_between(begin, end, KILLS | DOUBTS)
        if kind_of(number) == "early":
            # Acknowledged before it ran: no death brings it back.
            return "unexplained"
        reason = self._fault_between(first.ran, second.ran, KILLS)
        if reason == "unexplained":
            reason = self._fault_between(first.published, second.ran, DOUBTS)
        return reason

    def _fault_between(self, begin: float, end: float, kinds: frozenset[str]) -> str:
        for fault in self.faults:
            if fault.kind in kinds and fault.touches(begin, end):
                return fault.kind
        return "unexplained"

    @property
    def unheeded(self) -> dict[int, str]:
        """Revokes without effect, and how that showed. Who was cut off from the broker is told as soon
        as that is over.
        """
        found = {}
        for number, at in self.revoked.items():
            ended = self.outlasted.get(number, at)
            late = [run.ran for run in self.effects.get(number, ()) if run.ran > at + WORD_S]
            if late and self._fault_between(at, late[-1], DOUBTS) == "unexplained":
                found[number] = f"started {late[-1] - at:.2f} s after its revoke"
            elif ended > self._heard_at(at) + WORD_S:
                found[number] = f"ran on for {ended - at:.2f} s after its revoke"
        return found

    def _heard_at(self, revoked_at: float) -> float:
        """When every worker has heard a word: at once, or when the fault is over that cut it off."""
        cuts = [fault for fault in self.faults if fault.kind in DOUBTS]
        touched = [cut.over_at for cut in cuts if cut.touches(revoked_at, revoked_at)]
        return max([revoked_at, *touched])

    @property
    def exceeded(self) -> dict[str, float]:
        """Limits of all workers that were exceeded, by how many starts."""
        found = excesses(self.effects).items()
        return {limit: excess for limit, excess in found if excess > bound(limit)}

    def check(self) -> None:
        """Assert the promises: nothing lost, nothing left, nothing twice without a reason, recovery
        within seconds, limits that hold, revokes that are heeded.
        """
        assert not self.lost, f"{len(self.lost)} effects missing, first {self.lost[:10]}"
        state = self.state
        left = (state.ready, state.leased, state.parked, state.laned, state.dead)
        assert left == (0, 0, 0, 0, 0), state
        unexplained = {n: why for n, why in self.duplicates.items() if "unexplained" in why}
        assert not unexplained, f"ran twice, and no fault says why: {self._show(unexplained)}"
        at_risk = EARLY_AT_RISK * sum(fault.kind in KILLS for fault in self.faults)
        assert len(self.lost_early) <= at_risk, f"{self.lost_early}: more than {at_risk} early ones"
        assert not self.overran, f"{self.overran} ran over their time limits"
        assert not self.unheeded, f"revoked, and ran: {self.unheeded}"
        assert not self.exceeded, f"started more often than allowed, by: {self.exceeded}"
        slowest = max((fault.recovery_s for fault in self.faults), default=0.0)
        assert slowest < 30, f"recovery took {slowest:.1f} s"

    def _show(self, numbers: Iterable[int]) -> str:
        return "; ".join(
            f"{number} ({kind_of(number)}) {list(self.effects[number])}" for number in numbers
        )

    def __str__(self) -> str:
        reasons: dict[str, int] = defaultdict(int)
        for why in self.duplicates.values():
            for reason in why:
                reasons[reason] += 1
        explained = ", ".join(f"{count} {reason}" for reason, count in sorted(reasons.items()))
        state = self.state
        return (
            f"{self.total} tasks in {self.seconds:.0f} s, {len(self.faults)} faults: "
            f"{len(self.lost)} lost, {len(self.lost_early)} of early acknowledgement lost; "
            f"{sum(reasons.values())} ran again ({explained or 'none'}); {len(self.revoked)} revoked, "
            f"{sum(bool(self.effects.get(n)) for n in self.revoked)} of them after their start; "
            f"limits exceeded by {max(excesses(self.effects).values(), default=0.0):.1f} starts at most; "
            f"at the end {state.ready} ready, {state.leased} leased, {state.parked} parked, "
            f"{state.laned} in lanes, {state.dead} dead"
        )


def recovery_table(faults: Iterable[Fault]) -> str:
    """Recovery times by kind of fault: median, 99th percentile and longest, in seconds."""
    by_kind: dict[str, list[Fault]] = defaultdict(list)
    for fault in faults:
        by_kind[fault.kind].append(fault)
    lines = [f"{'fault':12}{'count':>6}{'in flight':>11}{'p50 s':>8}{'p99 s':>8}{'max s':>8}"]
    kinds = [*sorted(by_kind.items()), ("all", list(chain.from_iterable(by_kind.values())))]
    for kind, same in kinds if by_kind else ():
        times = sorted(fault.recovery_s for fault in same)
        most = max(fault.in_flight for fault in same)
        row = [
            times[len(times) // 2],
            times[min(len(times) - 1, len(times) * 99 // 100)],
            times[-1],
        ]
        cells = "".join(f"{value:8.2f}" for value in row)
        lines.append(f"{kind:12}{len(same):6}{most:11}{cells}")
    return "\n".join(lines)
