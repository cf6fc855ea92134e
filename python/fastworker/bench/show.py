"""A bench in the terminal: what goes on, and what came of it."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Literal

from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from fastworker.bench.bottleneck import binding_text
from fastworker.bench.compare import Row
from fastworker.bench.phase import Watch
from fastworker.bench.units import bytes_text, measure_text, rate_text, time_text

_BARS = "▁▂▃▄▅▆▇█"
_WIDTH = 48
#: A terminal that has room for words in the table of stages.
_WIDE = 120
_QUANTILES = (("p50", "0.5"), ("p90", "0.9"), ("p99", "0.99"), ("p99.9", "0.999"))
_STAGES = (
    ("queue", "meant to be published → decoded"),
    ("fetch", "→ handed to a child"),
    ("dispatch", "→ started"),
    ("service", "→ outcome written"),
    ("settle", "→ confirmed by the broker"),
    ("wait", "meant to be published → started"),
    ("total", "meant to be published → confirmed"),
)


def sparkline(values: Sequence[float], width: int = _WIDTH) -> str:
    """Values as bars, the largest as the highest; "" without values."""
    if not values:
        return ""
    step = max(1, math.ceil(len(values) / width))
    peaks = [max(values[start : start + step]) for start in range(0, len(values), step)]
    top = max(peaks)
    if not top:
        return _BARS[0] * len(peaks)
    return "".join(_BARS[min(len(_BARS) - 1, int(value / top * len(_BARS)))] for value in peaks)


@contextmanager
def live(console: Console) -> Iterator[Callable[[str], Watch]]:
    """Shows what goes on, where the console is a terminal; else says which phase begins."""
    if not console.is_terminal:

        def say(what: str) -> Watch:
            console.print(what)
            return lambda _seconds, _published, _ended, _depth: None

        yield say
        return
    with Live(console=console, refresh_per_second=8, transient=True) as display:

        def begin(what: str) -> Watch:
            depths: list[float] = []

            def watch(seconds: float, published: int, ended: int | None, depth: int) -> None:
                depths.append(depth)
                done = "" if ended is None else f", {ended:,} ended"
                display.update(
                    Text(
                        f"{what}: {max(0.0, seconds):.1f} s, {published:,} published{done}, {depth:,} waiting\n"
                        f"{sparkline(depths[-4 * _WIDTH :])}"
                    )
                )

            watch(0.0, 0, None, 0)
            return watch

        yield begin


def show(console: Console, content: Mapping[str, Any]) -> None:
    """The content of a bench's file."""
    console.print(heading(content), style="bold", highlight=False, markup=False)
    for fault in content["faults"]:
        console.print(f"NOT VALID: {fault}", style="bold red", highlight=False, markup=False)
    for note in content["notes"]:
        console.print(f"note: {note}", style="yellow", highlight=False, markup=False)
    console.print(_summary(content["summary"]))
    for name, task in content["tasks"].items():
        console.print(_stages(name, task, has_words=console.width >= _WIDE))
    client = _client(content)
    if client is not None:
        console.print(client)
    console.print(_cost(content))
    if content.get("limits") is not None:
        console.print(binding_text(content["limits"]), highlight=False, markup=False)
    for phase in content["phases"]:
        if phase["kind"] == "measure" and phase["depth"]:
            values = [depth for _, depth in phase["depth"]]
            console.print(
                f"waiting, repeat {phase['repeat'] + 1}: {sparkline(values)} most {max(values):,}",
                highlight=False,
                markup=False,
            )


def _client(content: Mapping[str, Any]) -> Table | None:
    named = {name: times for name in ("publish", "result") if (times := content.get(f"{name}_s"))}
    if not named:
        return None
    table = Table(title="At the client", title_justify="left")
    for column in ("stage", "mean", *(name for name, _ in _QUANTILES), "max"):
        table.add_column(column, justify="left" if column == "stage" else "right")
    for name, times in named.items():
        quantiles = [time_text(times["quantiles"][share]) for _, share in _QUANTILES]
        table.add_row(name, time_text(times["mean"]), *quantiles, time_text(times["max"]))
    return table


def heading(content: Mapping[str, Any]) -> str:
    """What was measured, in a line."""
    arrivals = content["arrivals"]
    rate = f" at {rate_text(arrivals['rate'])}" if arrivals["rate"] else ""
    if arrivals.get("search"):
        rate += ", the highest rate that holds"
    return (
        f"{content['workload']['name']}, {arrivals['kind']}{rate}; "
        f"{content['workers']} x {content['concurrency']} slots ({content['pool']}); {place_text(content)}"
    )


def place_text(content: Mapping[str, Any]) -> str:
    """On what it was measured."""
    machine, broker = content["machine"], content["broker"]
    far = f", {time_text(broker['added_rtt_s'])} added" if broker["added_rtt_s"] else ""
    where = f"{broker['version'] or broker['transport']} ({broker['persistence'] or 'unknown persistence'}"
    return (
        f"{where}, round trip {time_text(broker['rtt_s'])}{far}); "
        f"{machine['cores']} cores of {machine['cpu'] or 'unknown'}, {machine['python']}"
    )


def _summary(summary: Mapping[str, Any]) -> Table:
    table = Table(title="Over the repeats", title_justify="left")
    has_level = all(row["level"] for row in summary.values())
    interval = "95 % interval" if has_level else "lowest to highest"
    for column in ("measure", "median", interval, "repeats"):
        table.add_column(column, justify="left" if column == "measure" else "right")
    for name in (
        "stable_rate", "throughput", "utilisation", "wait_p50_s", "wait_p95_s", "wait_p99_s", "service_mean_s",
        "total_p50_s", "total_p99_s", "publish_p99_s", "result_p99_s", "schedule_error_p99_s", "cpu_ms_per_task",
    ):  # fmt: skip
        if name in summary:
            row = summary[name]
            spread = f"{measure_text(name, row['low'])} to {measure_text(name, row['high'])}"
            count = str(len(row["samples"]))
            table.add_row(name.removesuffix("_s"), measure_text(name, row["median"]), spread, count)
    return table


def _stages(name: str, task: Mapping[str, Any], *, has_words: bool) -> Table:
    ends = ", ".join(f"{count:,} {how}" for how, count in task["outcomes"].items())
    table = Table(title=f"{name}: {ends}", title_justify="left")
    words = ("from → to",) if has_words else ()
    for column in ("stage", *words, "mean", *(name for name, _ in _QUANTILES), "max"):
        table.add_column(column, justify="left" if column in ("stage", *words) else "right")
    for stage, what in _STAGES:
        times = task[f"{stage}_s"]
        if times is None:
            continue
        quantiles = [time_text(times["quantiles"][share]) for _, share in _QUANTILES]
        table.add_row(
            stage,
            *((what,) if has_words else ()),
            time_text(times["mean"]),
            *quantiles,
            time_text(times["max"]),
        )
    return table


def _cost(content: Mapping[str, Any]) -> Table:
    overhead = content["overhead"]
    table = Table(title="What it costs", title_justify="left", show_header=False)
    for role, seconds in overhead["cpu_s_per_1000_tasks"].items():
        if seconds is not None:
            table.add_row(f"CPU, {role}", f"{time_text(seconds / 1000)} a task")
    computed_s = overhead["task_cpu_s_per_1000_tasks"]
    if computed_s is not None:
        table.add_row("… tasks' own", f"{time_text(computed_s / 1000)} a task")
    if overhead["broker_commands_per_task"] is not None:
        table.add_row("broker commands", f"{overhead['broker_commands_per_task']:.2f} a task")
        sizes = overhead["broker_bytes_per_task"]
        table.add_row(
            "broker bytes", f"{bytes_text(sizes['in'])} in, {bytes_text(sizes['out'])} out a task"
        )
    table.add_row("memory", f"{bytes_text(overhead['memory_per_slot_bytes'])} a slot")
    measured = [phase for phase in content["phases"] if phase["kind"] == "measure"]
    lost, twice = (sum(phase[name] for phase in measured) for name in ("lost", "duplicated"))
    table.add_row("messages", f"{lost:,} lost, {twice:,} ended twice")
    return table


def show_comparison(console: Console, rows: Sequence[Row], differences: Sequence[str]) -> None:
    """Two files."""
    for difference in differences:
        console.print(f"not alike: {difference}", style="yellow", highlight=False, markup=False)
    table = Table()
    for column in ("measure", "before", "after", "change", "p", "verdict"):
        justify: Literal["left", "right"] = "left" if column in ("measure", "verdict") else "right"
        table.add_column(column, justify=justify, no_wrap=column == "measure")
    styles = {"better": "green", "worse": "red", "same": ""}
    for row in rows:
        change = "-" if row.change is None else f"{row.change:+.1%}"
        texts = (measure_text(row.measure, row.before), measure_text(row.measure, row.after))
        verdict = Text(
            row.verdict if row.verdict != "same" else "no difference shown", styles[row.verdict]
        )
        table.add_row(Text(row.measure.removesuffix("_s")), *texts, change, f"{row.p:.3f}", verdict)
    console.print(table)
