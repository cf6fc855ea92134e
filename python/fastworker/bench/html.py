"""The report of ``fastworker bench run``."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from typing import Any

from fastworker import _core
from fastworker.bench import page as parts
from fastworker.bench.plot import Line, bars, chart, quantile_ticks
from fastworker.bench.show import heading
from fastworker.bench.units import bytes_text, measure_text, rate_text, time_text

_STAGES = ("wait", "service", "total", "queue", "fetch", "dispatch", "settle")
_SHARES = ("0.5", "0.9", "0.95", "0.99", "0.999")
#: Of the curves over the shares: 0 to three nines.
_CURVE = [0.0, *(1 - 10 ** (-step / 12) for step in range(1, 37))]
_HEADS = ("stage", "mean", "p50", "p90", "p95", "p99", "p99.9", "max")


def page(content: Mapping[str, Any]) -> str:
    """The report on the content of a bench's file."""
    tasks = "".join(_task(task, times) for task, times in content["tasks"].items())
    return parts.whole(
        f"fastworker bench: {content['workload']['name']}",
        heading(content),
        content,
        f"{_cards(content)}{_search(content)}{tasks}{_client(content)}{_over_time(content)}{_limits(content)}"
        f"{_cost(content)}{_repeats(content)}{parts.conditions(content)}",
    )


def _cards(content: Mapping[str, Any]) -> str:
    summary = content["summary"]
    named = (
        ("stable_rate", "highest rate that holds"),
        ("throughput", "throughput"),
        ("wait_p50_s", "wait, median"),
        ("wait_p99_s", "wait, p99"),
        ("service_mean_s", "in the task, mean"),
        ("total_p99_s", "publish to end, p99"),
        ("utilisation", "slots in use"),
        ("cpu_ms_per_task", "CPU a task, all roles"),
    )
    cards = "".join(
        parts.card(
            what,
            measure_text(name, row["median"]),
            f"{measure_text(name, row['low'])} to {measure_text(name, row['high'])}",
        )
        for name, what in named
        if (row := summary.get(name)) is not None
    )
    return f'<div class="cards">{cards}</div>'


def _search(content: Mapping[str, Any]) -> str:
    trials = [phase for phase in content["phases"] if phase["kind"] in ("search", "measure")]
    if content["arrivals"].get("search") is None:
        return ""
    rows = [
        (
            rate_text(trial["rate"]),
            trial["unstable_because"] or "holds",
            rate_text(trial["throughput_per_s"]),
            time_text(trial.get("wait_p99_s")),
        )
        for trial in sorted(trials, key=lambda trial: trial["rate"])
    ]
    return (
        "<h2>The rates that were tried</h2>"
        f'<p class="soft">A rate holds if the queue does not grow and '
        f"{escape(content['arrivals']['search']['target'])}.</p>"
        f"{parts.table(('rate', 'holds?', 'ended', 'wait p99'), rows)}"
    )


def _task(name: str, task: Mapping[str, Any]) -> str:
    there = [stage for stage in _STAGES if task[f"{stage}_s"] is not None]
    lines = []
    for place, stage in enumerate(there):
        histogram = _core.Histogram.decode(task[f"{stage}_s"]["histogram"]["data"])
        points = [(share, histogram.quantile_us(share) / 1e6) for share in _CURVE]
        lines.append(Line(stage, parts.colour(place), points))
    curves = chart(
        lines,
        title=f"How long each stage of {name} takes, by share of the tasks",
        x_label="share of the tasks",
        x_ticks=quantile_ticks(),
        is_log=True,
        format_y=time_text,
    )
    in_order = [
        stage for stage in ("queue", "fetch", "dispatch", "service", "settle") if stage in there
    ]
    middles = [
        (stage, parts.colour(there.index(stage)), task[f"{stage}_s"]["quantiles"]["0.5"])
        for stage in in_order
    ]
    medians = bars(middles, title=f"Median of each stage of {name}", format_value=time_text)
    outcomes = ", ".join(f"{count:,} {escape(how)}" for how, count in task["outcomes"].items())
    legend = parts.legend([(stage, parts.colour(place)) for place, stage in enumerate(there)])
    return (
        f'<h2>{escape(name)}</h2><p class="soft">{outcomes}</p><div class="plots"><figure>{curves}'
        f"{legend}</figure><figure>{medians}</figure></div>"
        f"{parts.table(_HEADS, [_row(stage, task[f'{stage}_s']) for stage in there])}"
    )


def _row(name: str, times: Mapping[str, Any]) -> list[str]:
    quantiles = (time_text(times["quantiles"][share]) for share in _SHARES)
    return [name, time_text(times["mean"]), *quantiles, time_text(times["max"])]


def _client(content: Mapping[str, Any]) -> str:
    named = (
        ("publish", "meant to be published → confirmed by the broker"),
        ("result", "result written → a client that waits has it"),
    )
    rows = [
        _row(name, times) for name, _ in named if (times := content.get(f"{name}_s")) is not None
    ]
    if not rows:
        return ""
    words = "; ".join(f"{name}: {what}" for name, what in named if content.get(f"{name}_s"))
    return f'<h2>At the client</h2><p class="soft">{words}</p>{parts.table(_HEADS, rows)}'


def _over_time(content: Mapping[str, Any]) -> str:
    measured = [
        phase for phase in content["phases"] if phase["kind"] == "measure" and phase["depth"]
    ]
    if not measured:
        return ""
    lines = [
        Line(
            f"repeat {phase['repeat'] + 1}",
            parts.colour(place),
            [tuple(point) for point in phase["depth"]],
        )
        for place, phase in enumerate(measured)
    ]
    plot = chart(
        lines,
        title="Messages that wait in the queue, over time",
        x_label="seconds",
        x_ticks=None,
        is_log=False,
        format_y=lambda value: f"{value:,.4g}",
    )
    legend = parts.legend([(line.name, line.colour) for line in lines])
    return f"<h2>Waiting in the queue</h2>{plot}{legend}"


def _limits(content: Mapping[str, Any]) -> str:
    found = content.get("limits")
    return "" if found is None else f"<h2>What binds</h2>{parts.limits(found)}"


def _cost(content: Mapping[str, Any]) -> str:
    overhead = content["overhead"]
    roles = [
        (role, parts.colour(place), seconds / 1000)
        for place, (role, seconds) in enumerate(overhead["cpu_s_per_1000_tasks"].items())
        if seconds is not None
    ]
    rows = [("memory a slot", bytes_text(overhead["memory_per_slot_bytes"]))]
    computed_s = overhead["task_cpu_s_per_1000_tasks"]
    if computed_s is not None:
        rows.insert(0, ("CPU of children that is the tasks' own", time_text(computed_s / 1000)))
    if overhead["broker_commands_per_task"] is not None:
        sizes = overhead["broker_bytes_per_task"]
        rows.append(("broker commands a task", f"{overhead['broker_commands_per_task']:.2f}"))
        rows.append(
            ("broker bytes a task", f"{bytes_text(sizes['in'])} in, {bytes_text(sizes['out'])} out")
        )
    plot = bars(roles, title="CPU time a task, by role", format_value=time_text)
    return f"<h2>What it costs</h2>{plot}{parts.pairs(rows)}"


def _repeats(content: Mapping[str, Any]) -> str:
    heads = (
        "phase", "published", "ended", "lost", "twice", "a second", "wait p99", "late p99", "result p99",
    )  # fmt: skip
    names = {"warm_up": "warm-up", "saturate": "closed loop"}
    rows = []
    for phase in content["phases"]:
        if phase["kind"] == "search":
            continue
        late = phase["schedule_error_s"]
        rows.append(
            (
                names.get(phase["kind"]) or f"repeat {phase['repeat'] + 1}",
                *(f"{phase[name]:,}" for name in ("published", "completed", "lost", "duplicated")),
                rate_text(phase["throughput_per_s"]),
                time_text(phase.get("wait_p99_s")),
                time_text(late and late["quantiles"]["0.99"]),
                time_text(phase.get("result_p99_s")),
            )
        )
    return f"<h2>Repeats</h2>{parts.table(heads, rows)}"
