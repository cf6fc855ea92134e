"""The report of ``fastworker bench sweep``."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from typing import Any

from fastworker.bench import page as parts
from fastworker.bench.plot import Band, Dot, Line, bars, chart
from fastworker.bench.sweep_show import binds_of, heading, lines
from fastworker.bench.units import bytes_text, rate_text, time_text


def page(content: Mapping[str, Any]) -> str:
    """The report on the content of a sweep's file."""
    sentences = "".join(f"<p>{escape(line)}</p>" for line in lines(content))
    return parts.whole(
        f"fastworker bench sweep: {content['workload']['name']}",
        heading(content),
        content,
        f"{_cards(content)}{_plot(content)}<h2>What came of it</h2>{sentences}{_table(content)}"
        f"{_limits(content)}{_cost(content)}{parts.conditions(content)}",
    )


def _cards(content: Mapping[str, Any]) -> str:
    top = content["summary"]["throughput"]
    cards = [
        parts.card(
            f"best: {content['best']['name']}",
            rate_text(top["median"]),
            f"{rate_text(top['low'])} to {rate_text(top['high'])}",
        )
    ]
    best_at = content["best"]["at"].items()
    for fit in content["fits"]:
        # Of a grid, the law of where the best is; the others are in words.
        if fit["refused"] is not None or not fit["at"].items() <= best_at:
            continue
        where = f" at {fit['name']}" if fit["name"] else ""
        knee, peak = fit["knee"], fit["peak"]
        cards.append(
            parts.card(
                f"knee{where}",
                f"{fit['axis']} {knee['at']['value']:.0f}",
                f"{rate_text(knee['throughput']['value'])}; {knee['at']['low']:.0f} to {knee['at']['high']:.0f}",
            )
        )
        if peak["at"]["value"] is not None:
            high = peak["at"]["high"]
            spread = f"{peak['at']['low']:.1f} to {'∞' if high is None else f'{high:.1f}'}"
            cards.append(
                parts.card(
                    f"peak{where}, by the law",
                    f"{fit['axis']} {peak['at']['value']:.1f}",
                    f"{rate_text(peak['throughput']['value'])}; {spread}",
                )
            )
    at_best = next(place for place in content["points"] if place["name"] == content["best"]["name"])
    cards.append(parts.card("binds at the best", binds_of(at_best), "see below"))
    return f'<div class="cards">{"".join(cards)}</div>'


def _plot(content: Mapping[str, Any]) -> str:
    """Throughput along one axis; a colour for each value of the other."""
    names = [axis["name"] for axis in content["axes"]]
    along = content["fits"][0]["axis"] if content["fits"] else names[0]
    what = next(axis["what"] for axis in content["axes"] if axis["name"] == along)
    groups: dict[str, list[Mapping[str, Any]]] = {}
    for place in content["points"]:
        rest = ",".join(f"{name}={place['at'][name]:g}" for name in names if name != along)
        groups.setdefault(rest, []).append(place)
    curves: list[Line] = []
    dots: list[Dot] = []
    bands: list[Band] = []
    legend: list[tuple[str, str]] = []
    for number, (rest, places) in enumerate(groups.items()):
        colour = parts.colour(number)
        for place in places:
            row = place["summary"]["throughput"]
            x = place["at"][along]
            tip = f"{place['name']}: {rate_text(row['median'])}"
            dots.append(Dot(tip, colour, x, row["median"], row["low"], row["high"]))
        fit = next((fit for fit in content["fits"] if fit["name"] == rest), None)
        if fit is not None and fit["refused"] is None:
            curves.append(Line(f"law {rest}", colour, [(x, y) for x, y, _, _ in fit["curve"]]))
            bands.append(Band(colour, [(x, low, high) for x, _, low, high in fit["curve"]]))
            said = "measured, and the law with its 95 % interval"
        else:
            points = [
                (place["at"][along], place["summary"]["throughput"]["median"]) for place in places
            ]
            curves.append(Line(rest or "measured", colour, points))
            said = "measured"
        legend.append((f"{rest}: {said}" if rest else said, colour))
    plot = chart(
        curves,
        title=f"Throughput by {what}",
        x_label=what,
        x_ticks=None,
        is_log=False,
        format_y=lambda value: f"{value:,.4g}/s" if value else "0",
        dots=dots,
        bands=bands,
    )
    return f"<h2>Throughput by {escape(what)}</h2>{plot}{parts.legend(legend)}"


def _table(content: Mapping[str, Any]) -> str:
    axes = [axis["name"] for axis in content["axes"]]
    heads = (
        *axes, "throughput", "from", "to", "binds", "slots used", "CPU a task", "broker CPU a task",
        "commands a task", "memory a slot",
    )  # fmt: skip
    rows = []
    for place in content["points"]:
        summary, cost = place["summary"], place["overhead"]
        row = summary["throughput"]
        cpu, broker_s = summary.get("cpu_ms_per_task"), cost["cpu_s_per_1000_tasks"]["broker"]
        commands = cost["broker_commands_per_task"]
        rows.append(
            (
                *(f"{place['at'][name]:g}" for name in axes),
                *(rate_text(row[name]) for name in ("median", "low", "high")),
                binds_of(place),
                f"{summary['utilisation']['median']:.0%}",
                time_text(None if cpu is None else cpu["median"] / 1000),
                time_text(None if broker_s is None else broker_s / 1000),
                "-" if commands is None else f"{commands:.2f}",
                bytes_text(cost["memory_per_slot_bytes"]),
            )
        )
    return parts.table(heads, rows)


def _limits(content: Mapping[str, Any]) -> str:
    """The best place in full; the others are in the table."""
    place = next(one for one in content["points"] if one["name"] == content["best"]["name"])
    return f"<h2>What is in use at {escape(place['name'])}</h2>{parts.limits(place['limits'])}"


def _cost(content: Mapping[str, Any]) -> str:
    place = next(one for one in content["points"] if one["name"] == content["best"]["name"])
    roles = [
        (role, parts.colour(number), seconds / 1000)
        for number, (role, seconds) in enumerate(place["overhead"]["cpu_s_per_1000_tasks"].items())
        if seconds is not None
    ]
    plot = bars(roles, title="CPU time a task, by role", format_value=time_text)
    return f"<h2>CPU time a task at {escape(place['name'])}</h2>{plot}"
