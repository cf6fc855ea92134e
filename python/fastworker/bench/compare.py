"""Two files side by side: how much each measure differs, and whether that is more than chance."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from fastworker.bench.statistics import LEVEL, p_value

#: What is compared, if both have it; the others are in the files.
MEASURES = (
    "stable_rate", "throughput", "cpu_ms_per_task", "wait_p50_s", "wait_p95_s", "wait_p99_s", "service_mean_s",
    "fetch_p99_s", "dispatch_p99_s", "settle_p99_s", "total_p50_s", "total_p99_s", "publish_p99_s", "result_p99_s",
)  # fmt: skip
#: More of these is better.
_MORE_IS_BETTER = ("stable_rate", "throughput")
#: What has to be alike for two files to be comparable: top-level key and name in it.
_ALIKE = (
    ("workload", "name"), ("arrivals", "kind"), ("arrivals", "rate"), ("machine", "cpu"), ("machine", "cores"),
    ("machine", "python"), ("broker", "transport"), ("broker", "version"), ("broker", "persistence"),
    ("broker", "added_rtt_s"),
)  # fmt: skip


@dataclass(frozen=True)
class Row:
    """One measure.

    Attributes:
        measure: Key of ``summary``.
        before, after: Medians.
        p: How likely so large a difference is by chance.
        verdict: ``better``, ``worse`` or ``same``: not significant.
    """

    measure: str
    before: float
    after: float
    p: float
    verdict: str

    @property
    def change(self) -> float | None:
        """Relative; None from 0."""
        return None if not self.before else self.after / self.before - 1


def compare(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[Row]:
    """The measures that both files have.

    Many are looked at at once, so what is called different is chosen by Benjamini and Hochberg's method: of those,
    at most
    one in twenty is so by chance. With five repeats each, one measure alone can never be among them; two or more can.
    """
    found = []
    # Of a sweep, every place has some of them.
    named = [name for name in after["summary"] if "[" in name]
    for measure in (*MEASURES, *named):
        one, other = before["summary"].get(measure), after["summary"].get(measure)
        if one is None or other is None or not (one["samples"] and other["samples"]):
            continue
        found.append((measure, one, other, p_value(one["samples"], other["samples"])))
    ranked = sorted(found, key=lambda row: row[3])
    chosen = [
        place + 1
        for place, row in enumerate(ranked)
        if row[3] <= (1 - LEVEL) * (place + 1) / len(ranked)
    ]
    significant = {measure for measure, *_ in ranked[: max(chosen, default=0)]}
    rows = []
    for measure, one, other, p in found:
        verdict = "same"
        if measure in significant:
            is_more = other["median"] > one["median"]
            verdict = (
                "better" if is_more == (measure.partition("[")[0] in _MORE_IS_BETTER) else "worse"
            )
        rows.append(Row(measure, one["median"], other["median"], p, verdict))
    return rows


def differences(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    """What is not alike in the two runs, and may be the reason for what differs."""
    found = []
    for part, name in _ALIKE:
        one, other = before[part].get(name), after[part].get(name)
        if one != other:
            found.append(f"{part}.{name}: {one} and {other}")
    for name in ("slots", "pool", "rounds", "duration_s"):
        one, other = before.get(name), after.get(name)
        if one != other:
            found.append(f"{name}: {one} and {other}")
    for which, content in (("the first", before), ("the second", after)):
        if not content["valid"]:
            found.append(f"{which} file is of a run that was not valid: {content['faults'][0]}")
    return found
