"""The table of what was predicted and what was measured: ``docs/plan-validation.md``."""

from __future__ import annotations

import statistics
from pathlib import Path
from typing import Any

from benches.harness.machine import REPOSITORY
from benches.validate.workloads import CASES

Pairs = list[tuple[dict[str, Any], dict[str, Any]]]

PAGE = REPOSITORY / "docs" / "plan-validation.md"
HEADING = (
    "| workload | slots | load | p50 wait | measured | p95 wait | (formula) | measured | error | interval of p95 | "
    "in it | replayed | error | slots busy | measured | error | publisher late | others |\n"
    "| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |"
)
#: A run whose publisher was ever later than this was disturbed: something else had the processor…
DISTURBED_S = 0.05
#: …and so was one during which others kept more of a core than this busy.
DISTURBED_CORES = 0.15


def _error(predicted: float, measured: float) -> float:
    return predicted / measured - 1 if measured else 0.0


def _is_disturbed(run: dict[str, Any]) -> bool:
    return run["publisher_late_s"] > DISTURBED_S or run.get("others_cores", 0.0) > DISTURBED_CORES


def _replayed(found: dict[str, Any], run: dict[str, Any]) -> tuple[str, str]:
    """Nothing, of a run whose tasks were not kept."""
    replayed = found["replayed_p95_s"]
    if replayed is None:
        return "", ""
    return f"{replayed * 1000:.1f} ms", f"{_error(replayed, run['p95_s']):+.0%}"


def _slots(unit: dict[str, Any]) -> str:
    nodes = unit.get("nodes", 1)
    return str(unit["slots"]) if nodes == 1 else f"{nodes} x {unit['slots']}"


def _is_in(predicted: dict[str, float], measured: dict[str, float]) -> bool:
    return predicted["p95_low_s"] <= measured["p95_s"] <= predicted["p95_high_s"]


def rows(unit: dict[str, Any]) -> list[str]:
    """A line of the table for each run of a unit."""
    lines = []
    for run, found in zip(unit["runs"], unit["predicted"]["runs"], strict=True):
        cells = (
            unit["case"],
            _slots(unit),
            f"{run['load']:.0%}",
            *(f"{value * 1000:.1f} ms" for value in (found["p50_s"], run["p50_s"], found["p95_s"])),
            f"({found['formula_p95_s'] * 1000:.1f})",
            f"{run['p95_s'] * 1000:.1f} ms",
            f"{_error(found['p95_s'], run['p95_s']):+.0%}",
            f"{found['p95_low_s'] * 1000:.1f} to {found['p95_high_s'] * 1000:.1f}",
            "yes" if _is_in(found, run) else "**no**",
            *_replayed(found, run),
            f"{found['slots_busy']:.1%}",
            f"{run['slots_busy']:.1%}",
            f"{_error(found['slots_busy'], run['slots_busy']):+.0%}",
            f"{run['publisher_late_s'] * 1000:.0f} ms",
            f"{run['others_cores']:.2f}" if "others_cores" in run else "",
        )
        lines.append("| " + " | ".join(map(str, cells)) + " |")
    return lines


def write(document: dict[str, Any], path: Path = PAGE) -> None:
    """Write the page."""
    units = document["units"]
    pairs = _pairs(units)
    lines = [
        "# Is the plan right?",
        "<!-- Written by make bench-validate; edit benches/validate instead. -->",
        "",
        "What `fastworker plan` predicts from calibration runs, and what a real worker on Redis then showed: Poisson "
        "arrivals at 50, 70 and 85 % of the predicted capacity, waits from the intended moment. Calibrations (two "
        "slots) take turns with the runs. The interval is where 95 % of simulated runs of that length lie. "
        "*Replayed* is what the same simulation makes of the tasks that really came, with the times that they really "
        "took: what is left of the error then is not chance, but the model, the calibration or a disturbed machine. "
        "All figures: [plan-validation.json](../benches/results/plan-validation.json); "
        "how: [benches/validate](../benches/validate).",
        "",
        _summary(units, pairs),
        "",
        "| workload | slots | capacity | measured | error |",
        "| --- | --- | --- | --- | --- |",
        *(
            f"| {unit['case']} | {_slots(unit)} | {unit['predicted']['capacity_per_s']:.0f}/s | "
            f"{unit['capacity_per_s']:.0f}/s | "
            f"{_error(unit['predicted']['capacity_per_s'], unit['capacity_per_s']):+.1%} |"
            for unit in units
        ),
        "",
        HEADING,
        *(line for unit in units for line in rows(unit)),
        "",
        f"Machine: {document['machine']['cores']} cores, {document['machine']['cpu']}, Python "
        f"{document['machine']['python']}, Redis {document['machine']['redis']}. Load average when units began: "
        f"{min(unit['load_average'] for unit in units):.1f} to {max(unit['load_average'] for unit in units):.1f}."
        if units
        else "Nothing was measured yet.",
    ]
    path.write_text("\n".join(lines) + "\n")


def _summary(units: list[dict[str, Any]], pairs: Pairs) -> str:
    """The bars: over all runs, and over those whose publisher was in time."""
    if not units:
        return ""
    calm = [pair for pair in pairs if not _is_disturbed(pair[0])]
    plain = {case.name for case in CASES if case.is_plain}
    plain_units = [unit for unit in units if unit["case"] in plain]
    plain_pairs = _pairs(plain_units)
    lines = [
        "A publisher that is late was kept from the processor by something else, and so was the worker. "
        f"{len(calm)} of {len(pairs)} runs were not disturbed: never later than {DISTURBED_S * 1000:.0f} ms, and "
        f"others had at most {DISTURBED_CORES:g} cores, where that was measured.",
        "",
        "Plain workloads are those of one node, Poisson arrivals, and tasks that either wait or compute.",
        "",
        "| bar | needed | plain workloads | all runs | not disturbed |",
        "| --- | --- | --- | --- | --- |",
        f"| capacity, median absolute error | ≤ 10 % | {_capacity_error(plain_units)} | {_capacity_error(units)} | |",
    ]
    for name, needed, figure in (
        ("utilisation, median absolute error", "≤ 10 %", _busy_error),
        ("p95 wait at 50 and 70 %, median absolute error", "≤ 20 %", _wait_error),
        ("p95 wait at 85 % within the interval", "all", _within_at_85),
        ("p95 wait at any load within the interval", "", _within),
        ("p95 wait replayed at 50 and 70 %, median absolute error", "", _replay_error),
    ):
        found = (figure(plain_pairs), figure(pairs), figure(calm))
        lines.append(f"| {name} | {needed} | {' | '.join(found)} |")
    return "\n".join(lines)


def _pairs(units: list[dict[str, Any]]) -> Pairs:
    """What was measured and what was predicted, of each run."""
    return [
        (run, found)
        for unit in units
        for run, found in zip(unit["runs"], unit["predicted"]["runs"], strict=True)
    ]


def _capacity_error(units: list[dict[str, Any]]) -> str:
    pairs = [(unit["predicted"]["capacity_per_s"], unit["capacity_per_s"]) for unit in units]
    return _median([abs(_error(*pair)) for pair in pairs])


def _median(errors: list[float]) -> str:
    return f"{statistics.median(errors):.1%} of {len(errors)}" if errors else "none"


def _busy_error(pairs: Pairs) -> str:
    return _median([abs(_error(found["slots_busy"], run["slots_busy"])) for run, found in pairs])


def _wait_error(pairs: Pairs) -> str:
    return _median(
        [abs(_error(found["p95_s"], run["p95_s"])) for run, found in pairs if run["load"] < 0.8]
    )


def _replay_error(pairs: Pairs) -> str:
    return _median(
        [
            abs(_error(found["replayed_p95_s"], run["p95_s"]))
            for run, found in pairs
            if run["load"] < 0.8 and found["replayed_p95_s"] is not None
        ]
    )


def _within_at_85(pairs: Pairs) -> str:
    return _within([pair for pair in pairs if pair[0]["load"] > 0.8])


def _within(pairs: Pairs) -> str:
    return f"{sum(_is_in(found, run) for run, found in pairs)} of {len(pairs)}"
