"""A sweep in the terminal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from rich.console import Console
from rich.table import Table

from fastworker.bench.bottleneck import binding_text
from fastworker.bench.show import place_text
from fastworker.bench.units import bytes_text, rate_text, time_text

_BAR = 24
#: A terminal that has room for all columns.
_WIDE = 110
#: So many places can be listed in a sentence.
_FEW = 10
_EIGHTHS = " ▏▎▍▌▋▊▉█"


def show(console: Console, content: Mapping[str, Any]) -> None:
    """The content of a sweep's file."""
    console.print(heading(content), style="bold", highlight=False, markup=False)
    for fault in content["faults"]:
        console.print(f"NOT VALID: {fault}", style="bold red", highlight=False, markup=False)
    for note in content["notes"]:
        console.print(f"note: {note}", style="yellow", highlight=False, markup=False)
    console.print(_places(content, console.width))
    for line in lines(content):
        console.print(line, highlight=False, markup=False)


def heading(content: Mapping[str, Any]) -> str:
    """What was measured, in a line."""
    axes = " x ".join(axis["name"] for axis in content["axes"])
    return f"{content['workload']['name']} over {axes}; {content['pool']}; {place_text(content)}"


def lines(content: Mapping[str, Any]) -> list[str]:
    """What came of it, in sentences."""
    best = content["best"]
    top = content["summary"]["throughput"]
    as_good = (
        f"; not distinguishable from it: {', '.join(best['as_good'])}" if best["as_good"] else ""
    )
    found = [
        f"Best: {best['name']} with {rate_text(top['median'])} ({rate_text(top['low'])} to {rate_text(top['high'])})"
        f"{as_good}."
    ]
    found += [law_text(fit) for fit in content["fits"] if fit["refused"] is None]
    groups: dict[str, list[str]] = {}
    for place in content["points"]:
        groups.setdefault(place["limits"]["binds"] or "nothing", []).append(place["name"])
    at_best = next(place for place in content["points"] if place["name"] == best["name"])
    found.append(f"At {best['name']}: {binding_text(at_best['limits'])}")
    if len(groups) > 1 and len(content["points"]) <= _FEW:
        said = "; ".join(f"{what} at {', '.join(names)}" for what, names in groups.items())
        found.append(f"What binds where: {said}.")
    return found


def law_text(fit: Mapping[str, Any]) -> str:
    """The law and what follows from it."""
    where = f" at {fit['name']}" if fit["name"] else ""
    knee, peak, axis = fit["knee"], fit["peak"], fit["axis"]
    text = (
        f"Universal Scalability Law{where}: one does {rate_text(fit['rate']['value'])}, contention "
        f"{_spread(fit['contention'], '{:.2g}')}, coherency {_spread(fit['coherency'], '{:.2g}')}; it misses the "
        f"medians by {fit['error']:.1%}. "
    )
    if knee["is_reached"]:
        text += (
            f"Knee: {axis} {_spread(knee['at'], '{:.0f}')} does nearly as much as any number that was measured, "
            f"{_spread(knee['throughput'], '{:,.4g}')} a second. "
        )
    else:
        text += "No knee: throughput still rises at the most that was measured. "
    if peak["at"]["value"] is None:
        return text + "No peak: by the law more never does less."
    beyond = ", beyond what was measured" if peak["is_extrapolated"] else ""
    return (
        text + f"Peak by the law: {axis} {_spread(peak['at'], '{:.1f}')} with "
        f"{_spread(peak['throughput'], '{:,.4g}')} a second{beyond}."
    )


def binds_of(place: Mapping[str, Any]) -> str:
    """The resource, and how full it is."""
    limits = place["limits"]
    if limits["binds"] is None:
        nearest = limits["uses"][0]
        return f"none ({nearest['resource']} {nearest['share']:.0%})"
    return str(limits["binds"])


def _spread(row: Mapping[str, float | None], form: str) -> str:
    low, value, high = (
        "∞" if row[name] is None else form.format(row[name]) for name in ("low", "value", "high")
    )
    return value if low == value == high else f"{value} ({low} to {high})"


def _places(content: Mapping[str, Any], width: int) -> Table:
    table = Table()
    axes = [axis["name"] for axis in content["axes"]]
    is_wide = width >= _WIDE
    more = ("CPU a task", "memory a slot") if is_wide else ()
    for column in (*axes, "", "ends a second", "from - to", "slots used", *more, "binds"):
        justify: Literal["left", "right"] = "left" if column in ("", "binds") else "right"
        table.add_column(column, justify=justify, no_wrap=True)
    top = content["summary"]["throughput"]["median"]
    for place in content["points"]:
        row = place["summary"]["throughput"]
        cpu = place["summary"].get("cpu_ms_per_task")
        costs = (
            time_text(None if cpu is None else cpu["median"] / 1000),
            bytes_text(place["overhead"]["memory_per_slot_bytes"]),
        )
        table.add_row(
            *(f"{place['at'][name]:g}" for name in axes),
            _bar(row["median"] / top, _BAR if is_wide else _BAR // 3),
            f"{row['median']:,.4g}",
            f"{row['low']:,.4g} - {row['high']:,.4g}",
            f"{place['summary']['utilisation']['median']:.0%}",
            *(costs if is_wide else ()),
            binds_of(place),
        )
    return table


def _bar(share: float, width: int) -> str:
    eighths = round(share * width * 8)
    return (_EIGHTHS[8] * (eighths // 8) + _EIGHTHS[eighths % 8]).rstrip()
