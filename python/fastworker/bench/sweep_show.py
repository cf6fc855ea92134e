"""A sweep in the terminal."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal

from rich.console import Console
from rich.table import Table

from fastworker.bench.bottleneck import binding_text
from fastworker.bench.show import place_text
from fastworker.bench.units import bytes_text, number_text, rate_text, time_text

_BAR = 15
#: A terminal that has room for all columns.
_WIDE = 120
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
        f"{_spread(fit['contention'], '{:.2g}'.format)}, coherency {_spread(fit['coherency'], '{:.2g}'.format)}; "
        f"it misses the medians by {fit['error']:.1%}. "
    )
    if knee["is_reached"]:
        text += (
            f"Knee: {axis} {_spread(knee['at'], '{:.0f}'.format)} does nearly as much as any number that was measured, "
            f"{_spread(knee['throughput'], number_text)} a second. "
        )
    else:
        text += "No knee: throughput still rises at the most that was measured. "
    if peak["at"]["value"] is None:
        return text + "No peak: by the law more never does less."
    beyond = ", beyond what was measured" if peak["is_extrapolated"] else ""
    return (
        text + f"Peak by the law: {axis} {_spread(peak['at'], '{:.1f}'.format)} with "
        f"{_spread(peak['throughput'], number_text)} a second{beyond}."
    )


def binds_of(place: Mapping[str, Any]) -> str:
    """The resource, and how full it is."""
    limits = place["limits"]
    if limits["binds"] is None:
        nearest = limits["uses"][0]
        return f"none ({nearest['resource']} {nearest['share']:.0%})"
    return str(limits["binds"])


def _spread(row: Mapping[str, float | None], shown: Callable[[float], str]) -> str:
    low, middle, high = (
        "∞" if (value := row[name]) is None else shown(value) for name in ("low", "value", "high")
    )
    return middle if low == middle == high else f"{middle} ({low} to {high})"


def _places(content: Mapping[str, Any], width: int) -> Table:
    table = Table()
    axes = [axis["name"] for axis in content["axes"]]
    is_wide = width >= _WIDE
    more = ("CPU a task", "memory a slot") if is_wide else ()
    for column in (*axes, "", "ends/s", "from - to", "slots used", *more, "binds"):
        justify: Literal["left", "right"] = "left" if column in ("", "binds") else "right"
        table.add_column(column, justify=justify, no_wrap=column not in ("slots used", *more))
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
            number_text(row["median"]),
            f"{number_text(row['low'])} - {number_text(row['high'])}",
            f"{place['summary']['utilisation']['median']:.0%}",
            *(costs if is_wide else ()),
            str(place["limits"]["binds"] or "-"),
        )
    return table


def _bar(share: float, width: int) -> str:
    eighths = round(share * width * 8)
    return (_EIGHTHS[8] * (eighths // 8) + _EIGHTHS[eighths % 8]).rstrip()
