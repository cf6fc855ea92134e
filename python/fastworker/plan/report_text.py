"""A plan in the terminal."""

from __future__ import annotations

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from fastworker.plan import words
from fastworker.plan.planner import Plan, Waits
from fastworker.plan.target import QUANTILES

_DAY_BARS = "▁▂▃▄▅▆▇█"


def show(plan: Plan, console: Console, with_keda: bool = True) -> None:
    """Print it."""
    _answer(plan, console)
    _sizes(plan, console)
    _situations(plan, console)
    _limits(plan, console)
    _broker(plan, console)
    _watching(plan, console)
    if with_keda:
        console.print("\n[bold]KEDA[/bold]")
        console.print(plan.keda, markup=False, highlight=False, end="")
    _figures(plan, console)
    for warning in plan.warnings:
        console.print(f"[yellow]![/yellow] {escape(warning)}")


def _answer(plan: Plan, console: Console) -> None:
    node, scale = plan.inputs.node, plan.scale
    first = plan.limits[0]
    console.print(
        f"[bold]{plan.nodes} nodes[/bold] of {node.slots} slots on {node.cores:g} cores: "
        f"{plan.nodes * node.slots} slots, {plan.broker.shards} "
        f"{plan.inputs.broker.kind} {'shard' if plan.broker.shards == 1 else 'shards'}"
        + (f", {plan.price_per_month:,.0f} a month" if plan.price_per_month else "")
    )
    console.print(
        f"{plan.workload.rate:,.4g} tasks/s at the peak (hour {plan.peak_hour}): slots {plan.slots_busy:.0%} busy, "
        f"cores {plan.cores_busy:.0%}. Binds first: [bold]{escape(first.name)}[/bold], at {first.factor:.2f} times "
        "the peak"
    )
    most = max(scale.by_hour)
    bars = "".join(_DAY_BARS[round(nodes / most * (len(_DAY_BARS) - 1))] for nodes in scale.by_hour)
    console.print(f"nodes by hour {bars}  {scale.least} to {scale.most}")


def _sizes(plan: Plan, console: Console) -> None:
    table = Table(title="Nodes", title_justify="left", box=None, pad_edge=False)
    for name in ("target", "by formula", "by simulation", "note"):
        table.add_column(name)
    for size in plan.sizes:
        simulated = "" if size.by_simulation is None else str(size.by_simulation)
        table.add_row(size.target, str(size.by_formula), simulated, escape(size.note))
    room = plan.inputs.headroom
    table.add_row(
        "with headroom",
        "",
        str(plan.nodes),
        f"{room.nodes_lost} lost; deploys take {room.deploy_share:.0%} away for {words.time(room.deploy_s)}",
    )
    console.print()
    console.print(table)


def _situations(plan: Plan, console: Console) -> None:
    table = Table(title="Waits at the peak hour", title_justify="left", box=None, pad_edge=False)
    for name in ("situation", "needs", "", *(f"p{share * 100:g}" for share in QUANTILES)):
        table.add_column(name)
    for each in plan.situations:
        needed = "" if each.needed is None else f"{each.needed} nodes"
        table.add_row(
            f"{each.name}: {each.nodes} nodes",
            needed,
            "formula",
            *(words.time(each.formula(share)) for share in QUANTILES),
        )
        if each.simulated is None:
            table.add_row("", "", "simulation", *("never ends" for _ in QUANTILES))
        else:
            table.add_row("", "", "simulation", *(_spread(each, share) for share in QUANTILES))
            table.add_row("", "", "disagree", *(_apart(each, share) for share in QUANTILES))
    console.print()
    console.print(table)
    first = next((each.simulated for each in plan.situations if each.simulated), None)
    if first is not None:
        console.print(
            f"[dim]simulation: median of {first.replicas} runs of {words.time(first.span_s)} "
            f"({first.tasks:,.0f} tasks); nine runs in ten lie between low and high[/dim]"
        )


def _spread(each: Waits, share: float) -> str:
    assert each.simulated is not None
    spread = each.simulated.quantile(share)
    return f"{words.time(spread.median)} ({words.time(spread.low)} - {words.time(spread.high)})"


def _apart(each: Waits, share: float) -> str:
    assert each.simulated is not None
    return words.disagreement(each.formula(share), each.simulated.quantile(share).median)


def _limits(plan: Plan, console: Console) -> None:
    table = Table(title="Limits", title_justify="left", box=None, pad_edge=False)
    table.add_column("times the peak", justify="right")
    table.add_column("what")
    table.add_column("then")
    for limit in plan.limits:
        style = "bold red" if limit.factor < 1 else ""
        table.add_row(f"{limit.factor:,.2f}", escape(limit.name), escape(limit.note), style=style)
    console.print()
    console.print(table)


def _broker(plan: Plan, console: Console) -> None:
    needs = plan.broker
    console.print(
        f"\n[bold]Broker[/bold] {needs.tasks_per_s:,.4g} tasks/s; memory {words.size(needs.bytes)}: backlog "
        f"{words.size(needs.outage_bytes)}, results {words.size(needs.results_bytes)}, seen keys "
        f"{words.size(needs.seen_bytes)}; {needs.shards} by {needs.by}"
        + (f"; {needs.commands_per_s:,.4g} commands/s" if needs.commands_per_s else "")
        + (f", {words.size(needs.bytes_per_s)}/s" if needs.bytes_per_s else "")
    )


def _watching(plan: Plan, console: Console) -> None:
    table = Table(title="Alerts", title_justify="left", box=None, pad_edge=False)
    for name in ("what", "above", "for", "why"):
        table.add_column(name)
    for alert in plan.alerts:
        table.add_row(
            alert.name, words.number(alert.above, alert.unit), f"{alert.for_s} s", alert.why
        )
    console.print()
    console.print(table)
    scale = plan.scale
    console.print(
        f"autoscaler: {scale.least} to {scale.most} nodes, one for every {scale.messages_per_node:,} messages; "
        f"within a node --autoscale={plan.inputs.node.slots},1"
    )


def _figures(plan: Plan, console: Console) -> None:
    table = Table(title="Made from", title_justify="left", box=None, pad_edge=False)
    for name in ("number", "value", "origin", "note"):
        table.add_column(name)
    for figure in plan.inputs.figures:
        table.add_row(
            escape(figure.name),
            words.number(figure.value, figure.unit),
            figure.origin.value,
            escape(figure.note),
        )
    console.print()
    console.print(table)
