"""One table of a comparison, for a terminal and as Markdown: a row for each system, ahead or behind."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from fastworker.bench.rivals.report import ratio, summary, systems

NONE = "-"


@dataclass(frozen=True)
class Column:
    """One metric of one workload.

    Attributes:
        title: Of the table.
        short: The same for a terminal.
        workload: Whose.
        metric: Which.
        is_rate: More is better.
    """

    title: str
    short: str
    workload: str
    metric: str
    is_rate: bool


@dataclass(frozen=True)
class Cell:
    """A figure.

    Attributes:
        text: It, or why there is none.
        is_ahead: It is better than fastworker's.
    """

    text: str
    is_ahead: bool = False


def columns(content: Mapping[str, Any]) -> list[Column]:
    """Rates of all workloads; what it costs and how long it waits, of the first."""
    workloads = list(content["workloads"])
    first = workloads[0]
    found = [
        Column(f"{name}, tasks/s", f"{name}\n/s", name, "tasks_per_s", True) for name in workloads
    ]
    found += [
        Column(title, short, first, metric, is_rate)
        for title, short, metric, is_rate in (
            ("worker CPU, µs/task", "worker\nµs", "worker_cpu_us", False),
            ("broker CPU, µs/task", "broker\nµs", "broker_cpu_us", False),
            ("publish one by one, /s", "publish\n/s", "publish_per_s", True),
            ("publish in bulk, /s", "bulk\n/s", "bulk_per_s", True),
            ("memory, MB", "memory\nMB", "memory_mb", False),
            ("wait p50, ms", "p50\nms", "wait_p50_ms", False),
            ("wait p99, ms", "p99\nms", "wait_p99_ms", False),
        )
    ]
    measured = {metric for sample in content["samples"] for metric in sample["metrics"]}
    return [one for one in found if one.metric in measured]


def cell(content: Mapping[str, Any], system: str, column: Column) -> Cell:
    """The median, or why there is none."""
    found = summary(content, system, column.workload, column.metric)
    if found is None:
        failed = any(
            (one["system"], one["workload"]) == (system, column.workload)
            for one in content["failures"]
        )
        return Cell("failed" if failed and column.metric == "tasks_per_s" else NONE)
    return Cell(amount(found.median), is_ahead(content, system, column))


def is_ahead(content: Mapping[str, Any], system: str, column: Column) -> bool:
    """Whether it is better than fastworker, by the median of the ratios."""
    found = ratio(content, system, column.workload, column.metric)
    if found is None or system == "fastworker":
        return False
    return found.median < 1 if column.is_rate else found.median > 1


def losses(content: Mapping[str, Any]) -> Iterator[str]:
    """Every place where another system is ahead, as a phrase."""
    for column in columns(content):
        for system in systems(content):
            found = ratio(content, system, column.workload, column.metric)
            if found is None or not is_ahead(content, system, column):
                continue
            times = 1 / found.median if column.is_rate else found.median
            yield f"{column.title}: {system} by {amount(times)}x"


def remarks(content: Mapping[str, Any]) -> Iterator[str]:
    """What failed, what was left out, and what else is to be known."""
    for one in content["failures"]:
        yield f"{one['system']}, {one['workload']}: {one['reason']}"
    for name, reason in content["left_out"].items():
        yield f"{name} was left out: {reason}"
    yield from content["notes"]


def warning(content: Mapping[str, Any]) -> str:
    """What takes weight from all figures; empty: nothing."""
    machine = content["machine"]
    if machine["load_average"] <= machine["cores"]:
        return ""
    return (
        f"The machine was busy with other work: load average {machine['load_average']:.1f} on "
        f"{machine['cores']} cores before it began. Rates are low and waits long for all, processor time is high, and "
        "figures wander."
    )


def heading(content: Mapping[str, Any]) -> str:
    """Where and when."""
    machine = content["machine"]
    brokers = sorted({system["broker"] for system in content["systems"].values()})
    rounds = len({sample["round"] for sample in content["samples"]})
    return (
        f"{time.strftime('%Y-%m-%d', time.gmtime(content['created']))}, fastworker {content['fastworker']}, "
        f"{machine['cores']} cores of {machine['cpu'] or 'an unknown processor'}, {', '.join(brokers)}; "
        f"medians of {rounds} round{'s' if rounds > 1 else ''}; load average {machine['load_average']:.1f} before, "
        f"{machine['load_average_at_end']:.1f} after"
    )


def markdown(content: Mapping[str, Any]) -> Iterator[str]:
    """The table and what belongs to it, line by line. What is ahead of fastworker is bold."""
    yield f"{heading(content)}."
    yield ""
    if said := warning(content):
        yield f"**{said}**"
        yield ""
    shown = columns(content)
    yield _row(["", "version", "Python", *(one.title for one in shown), "delivery"])
    yield _row(["---"] * (len(shown) + 4))
    for name in systems(content):
        system = content["systems"][name]
        cells = (cell(content, name, column) for column in shown)
        figures = [f"**{one.text}**" if one.is_ahead else one.text for one in cells]
        version, python = system["version"], system["python"].rpartition(".")[0]
        yield _row([name, version, python, *figures, system["guarantee"]])
    yield ""
    behind = list(losses(content))
    yield f"**Bold** is ahead of fastworker{': ' + '; '.join(behind) if behind else ': nothing'}."
    listed = list(remarks(content))
    if listed:
        yield ""
        yield from (f"- {line}" for line in listed)


def show(console: Console, content: Mapping[str, Any]) -> None:
    """All of it on a terminal."""
    console.print(heading(content), style="bold", highlight=False)
    if said := warning(content):
        console.print(said, style="bold red", highlight=False)
    shown = columns(content)
    table = Table(
        caption="green: ahead of fastworker; -: not measured, or there is none",
        caption_justify="left",
    )
    table.add_column("")
    for column in shown:
        table.add_column(column.short, justify="right")
    for name in systems(content):
        cells = (cell(content, name, column) for column in shown)
        figures = [Text(one.text, "green" if one.is_ahead else "") for one in cells]
        style = "bold" if name == "fastworker" else ""
        table.add_row(Text(name, style), *figures)
    console.print(table)
    for line in losses(content):
        console.print(f"ahead of fastworker: {line}", style="green", highlight=False)
    for line in remarks(content):
        console.print(line, style="yellow", highlight=False)


def amount(value: float) -> str:
    """Three significant digits, thousands separated."""
    if abs(value) >= 100:
        digits = len(str(int(abs(value)))) - 3
        return f"{round(value, -digits):,.0f}"
    return f"{value:.3g}"


def _row(texts: Sequence[str]) -> str:
    return "| " + " | ".join(texts) + " |"
