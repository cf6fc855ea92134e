"""One HTML file that opens anywhere, without a network: tables, and plots as SVG. Its colours follow the reader's
system, light or dark, and it can be read on a telephone.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from fastworker import _core
from fastworker.bench.plot import Line, bars, chart, quantile_ticks
from fastworker.bench.show import heading
from fastworker.bench.units import bytes_text, measure_text, rate_text, time_text

_STYLE = """
:root { color-scheme: light dark; --ink: #1b1f24; --paper: #fff; --soft: #59636e; --line: #d1d9e0; --fault: #b3261e;
 --c0: #0b6bcb; --c1: #c2410c; --c2: #2e7d32; --c3: #7b1fa2; --c4: #8a6d00; --c5: #00796b; --c6: #ad1457; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6edf3; --paper: #0d1117; --soft: #9aa4af; --line: #30363d;
 --fault: #ff8a80; --c0: #6cb6ff; --c1: #ff9e64; --c2: #7ee787; --c3: #d2a8ff; --c4: #f2cc60; --c5: #56d4c5;
 --c6: #ff9ec4; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 1100px; padding: 1rem; font: 16px/1.5 system-ui, sans-serif; color: var(--ink);
 background: var(--paper); }
h1 { font-size: 1.5rem; margin: 0 0 .25rem; } h2 { font-size: 1.15rem; margin: 2rem 0 .5rem; }
p { margin: .25rem 0; overflow-wrap: anywhere; } .soft { color: var(--soft); font-size: .9rem; }
.fault { color: var(--fault); font-weight: 600; }
.cards { display: grid; grid-template-columns: repeat(auto-fit, minmax(10rem, 1fr)); gap: .75rem; margin: 1rem 0; }
.card { border: 1px solid var(--line); border-radius: 8px; padding: .6rem .8rem; }
.card b { display: block; font-size: 1.35rem; font-variant-numeric: tabular-nums; }
.wide { overflow-x: auto; } table { border-collapse: collapse; font-variant-numeric: tabular-nums; font-size: .9rem; }
th, td { padding: .25rem .7rem .25rem 0; text-align: right; border-bottom: 1px solid var(--line); white-space: nowrap; }
th:first-child, td:first-child { text-align: left; }
svg { width: 100%; max-width: 40rem; height: auto; display: block; }
svg text { fill: var(--soft); font: 13px system-ui, sans-serif; }
.grid { stroke: var(--line); } .curve { fill: none; stroke-width: 2; }
.legend { display: flex; flex-wrap: wrap; gap: .25rem 1rem; font-size: .9rem; }
.legend i { display: inline-block; width: 1.2em; height: 3px; vertical-align: middle; margin-right: .4em; }
.plots { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 26rem), 1fr)); gap: 1.5rem; }
figure { margin: 0; }
.pairs td { white-space: normal; overflow-wrap: anywhere; } .pairs td:last-child { text-align: left; }
@media (max-width: 600px) { svg text { font-size: 19px; } }
"""
_STAGES = ("wait", "service", "total", "queue", "fetch", "dispatch", "settle")
_COLOURS = 7
_SHARES = ("0.5", "0.9", "0.95", "0.99", "0.999")
#: Of the curves over the shares: 0 to three nines.
_CURVE = [0.0, *(1 - 10 ** (-step / 12) for step in range(1, 37))]


def page(content: Mapping[str, Any]) -> str:
    """The report on the content of a bench's file."""
    name = escape(str(content["workload"]["name"]))
    tasks = "".join(_task(task, times) for task, times in content["tasks"].items())
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>fastworker bench: {name}</title><style>{_STYLE}</style></head><body>"
        f"<h1>fastworker bench: {name}</h1>"
        f"<p>{escape(heading(content))}</p>"
        f'<p class="soft">{escape(" ".join(content["command"]))}</p>'
        f'<p class="soft">{time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(content["created"]))}, '
        f"fastworker {escape(content['fastworker'])}</p>"
        f"{_remarks(content)}{_cards(content)}{tasks}{_over_time(content)}{_cost(content)}{_repeats(content)}"
        f"{_conditions(content)}</body></html>\n"
    )


def _remarks(content: Mapping[str, Any]) -> str:
    faults = "".join(
        f'<p class="fault">Not valid: {escape(fault)}</p>' for fault in content["faults"]
    )
    return faults + "".join(f"<p>Note: {escape(note)}</p>" for note in content["notes"])


def _cards(content: Mapping[str, Any]) -> str:
    summary = content["summary"]
    named = (
        ("throughput", "throughput"),
        ("wait_p50_s", "wait, median"),
        ("wait_p99_s", "wait, p99"),
        ("service_mean_s", "in the task, mean"),
        ("total_p99_s", "publish to end, p99"),
        ("utilisation", "slots in use"),
        ("cpu_ms_per_task", "CPU a task, all roles"),
    )
    cards = "".join(
        f'<div class="card">{what}<b>{measure_text(name, row["median"])}</b>'
        f'<span class="soft">{measure_text(name, row["low"])} to {measure_text(name, row["high"])}</span></div>'
        for name, what in named
        if (row := summary.get(name)) is not None
    )
    return f'<div class="cards">{cards}</div>'


def _task(name: str, task: Mapping[str, Any]) -> str:
    there = [stage for stage in _STAGES if task[f"{stage}_s"] is not None]
    lines = []
    for place, stage in enumerate(there):
        histogram = _core.Histogram.decode(task[f"{stage}_s"]["histogram"]["data"])
        points = [(share, histogram.quantile_us(share) / 1e6) for share in _CURVE]
        lines.append(Line(stage, _colour(place), points))
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
    parts = [
        (stage, _colour(there.index(stage)), task[f"{stage}_s"]["quantiles"]["0.5"])
        for stage in in_order
    ]
    medians = bars(parts, title=f"Median of each stage of {name}", format_value=time_text)
    outcomes = ", ".join(f"{count:,} {escape(how)}" for how, count in task["outcomes"].items())
    rows = "".join(
        f"<tr><td>{stage}</td><td>{time_text(times['mean'])}</td>"
        + "".join(f"<td>{time_text(times['quantiles'][share])}</td>" for share in _SHARES)
        + f"<td>{time_text(times['max'])}</td></tr>"
        for stage in there
        if (times := task[f"{stage}_s"])
    )
    heads = "".join(
        f"<th>{head}</th>" for head in ("stage", "mean", "p50", "p90", "p95", "p99", "p99.9", "max")
    )
    return (
        f'<h2>{escape(name)}</h2><p class="soft">{outcomes}</p><div class="plots"><figure>{curves}'
        f"{_legend([(stage, _colour(place)) for place, stage in enumerate(there)])}</figure>"
        f"<figure>{medians}</figure></div>"
        f'<div class="wide"><table><tr>{heads}</tr>{rows}</table></div>'
    )


def _over_time(content: Mapping[str, Any]) -> str:
    measured = [
        phase for phase in content["phases"] if phase["kind"] == "measure" and phase["depth"]
    ]
    if not measured:
        return ""
    lines = [
        Line(
            f"repeat {phase['repeat'] + 1}",
            _colour(place),
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
        format_y=lambda value: f"{value:,.0f}",
    )
    legend = _legend([(line.name, line.colour) for line in lines])
    return f"<h2>Waiting in the queue</h2>{plot}{legend}"


def _cost(content: Mapping[str, Any]) -> str:
    overhead = content["overhead"]
    roles = [
        (role, _colour(place), seconds / 1000)
        for place, (role, seconds) in enumerate(overhead["cpu_s_per_1000_tasks"].items())
        if seconds is not None
    ]
    rows = [("memory a slot", bytes_text(overhead["memory_per_slot_bytes"]))]
    if overhead["broker_commands_per_task"] is not None:
        sizes = overhead["broker_bytes_per_task"]
        rows.append(("broker commands a task", f"{overhead['broker_commands_per_task']:.2f}"))
        rows.append(
            ("broker bytes a task", f"{bytes_text(sizes['in'])} in, {bytes_text(sizes['out'])} out")
        )
    plot = bars(roles, title="CPU time a task, by role", format_value=time_text)
    return f"<h2>What it costs</h2>{plot}{_pairs(rows)}"


def _repeats(content: Mapping[str, Any]) -> str:
    heads = ("phase", "published", "ended", "lost", "twice", "a second", "wait p99", "late p99")
    rows = []
    for phase in content["phases"]:
        name = "warm-up" if phase["repeat"] is None else f"repeat {phase['repeat'] + 1}"
        late = phase["schedule_error_s"]
        values = (
            name, f"{phase['published']:,}", f"{phase['completed']:,}", f"{phase['lost']:,}",
            f"{phase['duplicated']:,}", rate_text(phase["throughput_per_s"]), time_text(phase.get("wait_p99_s")),
            time_text(late and late["quantiles"]["0.99"]),
        )  # fmt: skip
        rows.append("<tr>" + "".join(f"<td>{value}</td>" for value in values) + "</tr>")
    head = "".join(f"<th>{text}</th>" for text in heads)
    return f'<h2>Repeats</h2><div class="wide"><table><tr>{head}</tr>{"".join(rows)}</table></div>'


def _conditions(content: Mapping[str, Any]) -> str:
    rows = [
        (f"{part}: {name}", _shown(name, value))
        for part in ("workload", "arrivals", "machine", "broker")
        for name, value in content[part].items()
        if value is not None
    ]
    return f"<h2>Where and how</h2>{_pairs(rows)}"


def _shown(name: str, value: object) -> str:
    if isinstance(value, int | float) and name.endswith("_s"):
        return time_text(value)
    if isinstance(value, int) and name.endswith("_bytes"):
        return bytes_text(value)
    return f"{value:.2f}" if isinstance(value, float) else str(value)


def _pairs(rows: Sequence[tuple[str, str]]) -> str:
    body = "".join(
        f"<tr><td>{escape(name)}</td><td>{escape(value)}</td></tr>" for name, value in rows
    )
    return f'<div class="wide"><table class="pairs">{body}</table></div>'


def _legend(entries: Sequence[tuple[str, str]]) -> str:
    items = "".join(
        f'<span><i style="background:{colour}"></i>{escape(name)}</span>'
        for name, colour in entries
    )
    return f'<div class="legend">{items}</div>'


def _colour(place: int) -> str:
    return f"var(--c{place % _COLOURS})"
