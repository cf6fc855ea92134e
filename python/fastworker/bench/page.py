"""What the reports of benches have in common: one HTML file that opens anywhere, without a network. Its colours follow
the reader's system, light or dark, and it can be read on a telephone.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from fastworker.bench.bottleneck import binding_text
from fastworker.bench.plot import bars
from fastworker.bench.units import bytes_text, time_text

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
.card { overflow-wrap: anywhere; } .card b { display: block; font-size: 1.35rem; font-variant-numeric: tabular-nums; }
.wide { overflow-x: auto; } table { border-collapse: collapse; font-variant-numeric: tabular-nums; font-size: .9rem; }
th, td { padding: .25rem .7rem .25rem 0; text-align: right; border-bottom: 1px solid var(--line); white-space: nowrap; }
th:first-child, td:first-child { text-align: left; }
svg { width: 100%; max-width: 40rem; height: auto; display: block; }
svg text { fill: var(--soft); font: 13px system-ui, sans-serif; }
.grid { stroke: var(--line); } .curve { fill: none; stroke-width: 2; }
.band { opacity: .15; } .span { stroke-width: 2; }
.legend { display: flex; flex-wrap: wrap; gap: .25rem 1rem; font-size: .9rem; }
.legend i { display: inline-block; width: 1.2em; height: 3px; vertical-align: middle; margin-right: .4em; }
.plots { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 26rem), 1fr)); gap: 1.5rem; }
figure { margin: 0; }
.pairs td { white-space: normal; overflow-wrap: anywhere; } .pairs td:last-child { text-align: left; }
@media (max-width: 600px) { svg text { font-size: 19px; } }
"""
_COLOURS = 7


def whole(title: str, heading: str, content: Mapping[str, Any], body: str) -> str:
    """The page.

    Args:
        title: Of the page.
        heading: What was measured, in a line.
        content: Of the bench's file.
        body: Below what is said of each run.
    """
    name = escape(title)
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{name}</title><style>{_STYLE}</style></head><body>"
        f"<h1>{name}</h1>"
        f"<p>{escape(heading)}</p>"
        f'<p class="soft">{escape(" ".join(content["command"]))}</p>'
        f'<p class="soft">{time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(content["created"]))}, '
        f"fastworker {escape(content['fastworker'])}</p>"
        f"{_remarks(content)}{body}</body></html>\n"
    )


def _remarks(content: Mapping[str, Any]) -> str:
    faults = "".join(
        f'<p class="fault">Not valid: {escape(fault)}</p>' for fault in content["faults"]
    )
    return faults + "".join(f"<p>Note: {escape(note)}</p>" for note in content["notes"])


def card(what: str, value: str, spread: str) -> str:
    """A figure of the first lines."""
    return (
        f'<div class="card">{escape(what)}<b>{escape(value)}</b>'
        f'<span class="soft">{escape(spread)}</span></div>'
    )


def table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table that scrolls by itself where it is too wide."""
    head = "".join(f"<th>{escape(text)}</th>" for text in heads)
    body = "".join(
        "<tr>" + "".join(f"<td>{escape(text)}</td>" for text in row) + "</tr>" for row in rows
    )
    return f'<div class="wide"><table><tr>{head}</tr>{body}</table></div>'


def limits(found: Mapping[str, Any]) -> str:
    """How much of each resource was in use, and which one binds."""
    uses = [
        (use["resource"], colour(0 if use["resource"] == found["binds"] else 3), use["share"])
        for use in found["uses"]
    ]
    plot = bars(uses, title="Resources in use", format_value=lambda share: f"{share:.0%}", top=1.0)
    rows = [(use["resource"], use["measured"]) for use in found["uses"]]
    return f"<p>{escape(binding_text(found))}</p>{plot}{pairs(rows)}"


def conditions(content: Mapping[str, Any]) -> str:
    """Where and how it was measured."""
    rows = [
        (f"{part}: {name}", _shown(name, value))
        for part in ("workload", "arrivals", "machine", "broker")
        for name, value in content[part].items()
        if value is not None
    ]
    return f"<h2>Where and how</h2>{pairs(rows)}"


def _shown(name: str, value: object) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{part} {_shown(part, inner)}" for part, inner in value.items())
    if isinstance(value, int | float) and name.endswith("_s"):
        return time_text(value)
    if isinstance(value, int) and name.endswith("_bytes"):
        return bytes_text(value)
    return f"{value:.2f}" if isinstance(value, float) else str(value)


def pairs(rows: Sequence[tuple[str, str]]) -> str:
    """A table of names and values."""
    body = "".join(
        f"<tr><td>{escape(name)}</td><td>{escape(value)}</td></tr>" for name, value in rows
    )
    return f'<div class="wide"><table class="pairs">{body}</table></div>'


def legend(entries: Sequence[tuple[str, str]]) -> str:
    """What each colour stands for: name and colour."""
    items = "".join(
        f'<span><i style="background:{shade}"></i>{escape(name)}</span>' for name, shade in entries
    )
    return f'<div class="legend">{items}</div>'


def colour(place: int) -> str:
    """CSS; they repeat."""
    return f"var(--c{place % _COLOURS})"
