"""What a run under fire came to: what is missing, what ran twice and why, how long recovery took."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from tests.stress.numbers import Effect, is_direct, kind_of
from tests.support.queue_state import QueueState

#: Faults that end a process which may be running tasks.
KILLS = frozenset({"child", "zygote", "supervisor", "node"})
#: Faults after which nobody knows whether the broker has carried something out.
DOUBTS = frozenset({"connection", "server"})
#: How long a fault that is over in an instant still counts: clocks and the kernel's delivery.
SLACK_S = 0.5
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
        """Whether it can have been between two moments."""
        over_at = max(self.done_at, self.at + self.recovery_s if self.kind in DOUBTS else 0.0)
        return self.at - SLACK_S <= end and begin <= over_at + SLACK_S


@dataclass
class Account:
    """All that ``check`` needs.

    Attributes:
        total: Numbers that were published.
        effects: The runs of each number.
        repeated: Numbers that the publisher may have published twice.
        overran: Numbers whose time limit did not end them.
        state: Where messages are at the end.
        faults: In order.
        seconds: How long the run took.
    """

    total: int
    effects: Mapping[int, Sequence[Effect]]
    repeated: frozenset[int]
    overran: tuple[int, ...]
    state: QueueState
    faults: list[Fault] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def lost(self) -> list[int]:
        """Numbers without effect, those of early acknowledgement not counted."""
        return [n for n in self._absent() if kind_of(n) != "early"]

    @property
    def lost_early(self) -> list[int]:
        """The others: their authors chose at most once."""
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

    def check(self) -> None:
        """Assert the promises: nothing lost, nothing left, nothing twice without a reason, recovery
        within seconds, limits that hold.
        """
        assert not self.lost, f"{len(self.lost)} effects missing, first {self.lost[:10]}"
        state = self.state
        assert (state.ready, state.leased, state.parked, state.dead) == (0, 0, 0, 0), state
        unexplained = {n: why for n, why in self.duplicates.items() if "unexplained" in why}
        assert not unexplained, f"ran twice, and no fault says why: {self._show(unexplained)}"
        at_risk = EARLY_AT_RISK * sum(fault.kind in KILLS for fault in self.faults)
        assert len(self.lost_early) <= at_risk, f"{self.lost_early}: more than {at_risk} early ones"
        assert not self.overran, f"{self.overran} ran over their time limits"
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
            f"{sum(reasons.values())} ran again ({explained or 'none'}); at the end {state.ready} "
            f"ready, {state.leased} leased, {state.parked} parked, {state.dead} dead"
        )


def recovery_table(faults: Iterable[Fault]) -> str:
    """Recovery times by kind of fault: median, 99th percentile and longest, in seconds."""
    by_kind: dict[str, list[Fault]] = defaultdict(list)
    for fault in faults:
        by_kind[fault.kind].append(fault)
    lines = [f"{'fault':12}{'count':>6}{'in flight':>11}{'p50 s':>8}{'p99 s':>8}{'max s':>8}"]
    for kind, same in sorted(by_kind.items()):
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
