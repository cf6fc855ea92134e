"""A plan as one HTML file that opens without a network: tables, and charts drawn as SVG."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from html import escape

from fastworker.plan import words
from fastworker.plan.planner import Plan, Waits
from fastworker.plan.target import QUANTILES, WaitTarget

_STYLE = """
:root{color-scheme:light dark;--ink:#1a1f24;--dim:#5b6670;--line:#d5dbe0;--paper:#fff;--a:#1f6fb2;--b:#c2571a;
--bad:#b3261e}
@media(prefers-color-scheme:dark){:root{--ink:#e6eaed;--dim:#9aa5ae;--line:#3a434b;--paper:#14181c;--a:#6cb2ee;
--b:#f0945a;--bad:#ff8a80}}
body{margin:0 auto;max-width:1100px;padding:1rem;font:15px/1.5 system-ui,sans-serif;color:var(--ink);
background:var(--paper)}
h1{font-size:1.5rem;margin:.2em 0}h2{font-size:1.1rem;margin:1.6em 0 .4em}p{margin:.4em 0}.dim{color:var(--dim)}
.bad{color:var(--bad)}
.scroll{overflow-x:auto}table{border-collapse:collapse;min-width:100%}
th,td{text-align:left;vertical-align:top;padding:.25em .9em .25em 0;border-bottom:1px solid var(--line)}
th{font-weight:600;color:var(--dim)}
svg{width:100%;height:auto;display:block}svg text{fill:var(--dim);font:12px system-ui,sans-serif}
pre{overflow-x:auto;border:1px solid var(--line);padding:.8em;font-size:13px}
"""
_WIDTH = 720
_LEFT = 215


def page(plan: Plan) -> str:
    """The file's text."""
    node = plan.inputs.node
    first = plan.limits[0]
    price = f", {plan.price_per_month:,.0f} a month" if plan.price_per_month else ""
    parts = [
        f"<h1>{plan.nodes} nodes of {node.slots} slots{price}</h1>",
        f"<p>{escape('; '.join(map(str, plan.inputs.targets)))}. {plan.workload.rate:,.4g} tasks/s at the peak hour "
        f"({plan.peak_hour}:00): slots {plan.slots_busy:.0%} busy, cores {plan.cores_busy:.0%}. "
        f"{plan.broker.shards} {plan.inputs.broker.kind}, by {plan.broker.by}.</p>",
        f"<p>Binds first: <b>{escape(first.name)}</b>, at {first.factor:.2f} times the peak.</p>",
        *(f'<p class="bad">{escape(warning)}</p>' for warning in plan.warnings),
        "<h2>p95 wait at the peak hour</h2>",
        _waits_chart(plan),
        '<p class="dim">Bars: simulation, median; line: where nine runs in ten lie; diamond: formula. '
        "Logarithmic.</p>",
        _waits_table(plan.situations),
        "<h2>Nodes by hour</h2>",
        _hours_chart(plan),
        "<h2>Limits</h2>",
        _table(
            ("times the peak", "what", "then"),
            ((f"{limit.factor:,.2f}", limit.name, limit.note) for limit in plan.limits),
        ),
        "<h2>Nodes for each target</h2>",
        _table(
            ("target", "by formula", "by simulation", "note"),
            (
                (size.target, str(size.by_formula), str(size.by_simulation or ""), size.note)
                for size in plan.sizes
            ),
        ),
        "<h2>Broker</h2>",
        f"<p>{plan.broker.tasks_per_s:,.4g} tasks/s; backlog {words.size(plan.broker.outage_bytes)}, results "
        f"{words.size(plan.broker.results_bytes)}, seen keys {words.size(plan.broker.seen_bytes)}.</p>",
        "<h2>Alerts</h2>",
        _table(
            ("what", "above", "for", "why"),
            ((a.name, words.number(a.above, a.unit), f"{a.for_s} s", a.why) for a in plan.alerts),
        ),
        "<h2>KEDA</h2>",
        f"<pre>{escape(plan.keda)}</pre>",
        "<h2>Made from</h2>",
        _table(
            ("number", "value", "origin", "note"),
            (
                (f.name, words.number(f.value, f.unit), f.origin.value, f.note)
                for f in plan.inputs.figures
            ),
        ),
    ]
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>fastworker plan</title><style>{_STYLE}</style></head><body>{''.join(parts)}</body></html>\n"
    )


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    head = "".join(f"<th>{escape(each)}</th>" for each in heads)
    body = "".join(
        "<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in rows
    )
    return f'<div class="scroll"><table><tr>{head}</tr>{body}</table></div>'


def _waits_table(situations: Sequence[Waits]) -> str:
    rows = []
    for each in situations:
        cells = []
        for share in QUANTILES:
            formula = each.formula(share)
            text = f"formula {words.time(formula)}"
            if each.simulated is not None:
                spread = each.simulated.quantile(share)
                text += (
                    f"; simulation {words.time(spread.median)} ({words.time(spread.low)} to "
                    f"{words.time(spread.high)}); {words.disagreement(formula, spread.median) or '0%'}"
                )
            cells.append(text)
        needed = "" if each.needed is None else f"{each.needed} nodes"
        rows.append((f"{each.name}: {each.nodes} nodes", *cells, needed))
    return _table(("situation", *(f"p{share * 100:g}" for share in QUANTILES), "needs"), rows)


def _waits_chart(plan: Plan) -> str:
    """A bar for each situation, on a logarithmic axis."""
    known = [each.p95_s for each in plan.situations if 0 < each.p95_s < math.inf]
    known += [
        value
        for each in plan.situations
        if each.simulated
        for value in (each.simulated.p95_s.low, each.simulated.p95_s.high)
        if value > 0
    ]
    targets = [target.within_s for target in plan.inputs.targets if isinstance(target, WaitTarget)]
    values = [*known, *targets]
    if not values:
        return '<p class="bad">All of it never ends: more comes than is worked off.</p>'
    low, high = (
        10 ** math.floor(math.log10(min(values))),
        10 ** math.ceil(math.log10(max(values)) + 1e-9),
    )
    high = max(high, low * 10)
    span = math.log10(high / low)

    def x(seconds: float) -> float:
        inside = min(high, max(low, seconds))
        return _LEFT + (_WIDTH - _LEFT - 20) * math.log10(inside / low) / span

    height = 34 * len(plan.situations)
    parts = [
        f'<line x1="{x(10**power):.1f}" x2="{x(10**power):.1f}" y1="0" y2="{height}" stroke="var(--line)"/>'
        f'<text x="{x(10**power):.1f}" y="{height + 16}" text-anchor="middle">{words.time(10**power)}</text>'
        for power in range(round(math.log10(low)), round(math.log10(high)) + 1)
    ]
    for row, each in enumerate(plan.situations):
        y = row * 34 + 17
        parts.append(f'<text x="0" y="{y + 4}">{escape(each.name)}</text>')
        if each.simulated is None:
            parts.append(f'<text x="{_LEFT}" y="{y + 4}" style="fill:var(--bad)">never ends</text>')
            continue
        spread = each.simulated.p95_s
        parts.append(
            f'<rect x="{_LEFT}" y="{y - 8}" width="{max(1.0, x(spread.median) - _LEFT):.1f}" height="16" '
            f'fill="var(--a)" opacity=".55"/>'
            f'<line x1="{x(spread.low):.1f}" x2="{x(spread.high):.1f}" y1="{y}" y2="{y}" '
            'stroke="var(--a)" stroke-width="3"/>'
        )
        if math.isfinite(each.p95_s):
            at = x(each.p95_s)
            parts.append(f'<path d="M{at - 6:.1f} {y}l6 -6l6 6l-6 6z" fill="var(--b)"/>')
    parts += [
        f'<line x1="{x(within):.1f}" x2="{x(within):.1f}" y1="0" y2="{height}" '
        'stroke="var(--bad)" stroke-dasharray="5 4"/>'
        for within in targets
    ]
    return _svg(parts, height + 22, "p95 waits; the dashed line is the target")


def _hours_chart(plan: Plan) -> str:
    most, height = max(plan.scale.by_hour), 120
    step = _WIDTH / len(plan.scale.by_hour)
    parts = []
    for hour, nodes in enumerate(plan.scale.by_hour):
        tall = height * nodes / most
        parts.append(
            f'<rect x="{hour * step + 2:.1f}" y="{height - tall + 16:.1f}" width="{step - 4:.1f}" height="{tall:.1f}" '
            f'fill="var(--a)" opacity=".7"/><text x="{(hour + 0.5) * step:.1f}" y="{height - tall + 12:.1f}" '
            f'text-anchor="middle">{nodes}</text><text x="{(hour + 0.5) * step:.1f}" y="{height + 32}" '
            f'text-anchor="middle">{hour}</text>'
        )
    return _svg(parts, height + 38, "nodes that each hour of the day needs")


def _svg(parts: Iterable[str], height: float, title: str) -> str:
    return (
        f'<div class="scroll"><svg viewBox="0 0 {_WIDTH} {height}" role="img" style="min-width:560px">'
        f"<title>{escape(title)}</title>{''.join(parts)}</svg></div>"
    )
