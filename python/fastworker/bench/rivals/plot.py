"""The table as a picture: a panel of bars for each of its main columns, in one SVG file that stands alone, in light and
in dark.
"""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from typing import Any

from fastworker.bench.plot import bars, bars_height
from fastworker.bench.rivals.report import summary, systems
from fastworker.bench.rivals.table import Column, amount, columns, heading

_STYLE = """
text { fill: #59636e; font: 13px system-ui, sans-serif } .title { fill: #1b1f24; font-weight: 600; font-size: 15px }
svg { --ours: #c2410c; --theirs: #7c9cc0 } .paper { fill: #fff }
@media (prefers-color-scheme: dark) { text { fill: #9aa4af } .title { fill: #e6edf3 } .paper { fill: #0d1117 }
 svg { --ours: #ff9e64; --theirs: #4a6a8f } }
"""
_ACROSS = 2
_WIDTH, _GAP, _TITLE, _TOP = 560, 18, 26, 34
_ROOM = 19
#: What is in the table alone.
_LEFT_OUT = ("broker_cpu_us", "bulk_per_s", "wait_p99_ms")


def plot(content: Mapping[str, Any]) -> str:
    """The file."""
    shown = [
        column
        for column in columns(content)
        if column.metric not in _LEFT_OUT and _values(content, column)
    ]
    placed = []
    tops = [_TOP] * _ACROSS
    for column in shown:
        side = tops.index(min(tops))
        height = bars_height(len(_values(content, column)), _ROOM)
        placed.append(_panel(content, column, side * (_WIDTH + _GAP), tops[side], height))
        tops[side] += _TITLE + height + _GAP
    width, height = _ACROSS * (_WIDTH + _GAP), max(tops)
    where = escape(heading(content))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img">'
        f"<title>fastworker and its rivals: {where}</title><style>{_STYLE}</style>"
        f'<rect class="paper" width="{width}" height="{height}"/><text x="8" y="20">{where}</text>'
        f"{''.join(placed)}</svg>\n"
    )


def _panel(content: Mapping[str, Any], column: Column, x: int, y: int, height: int) -> str:
    better = "more is better" if column.is_rate else "less is better"
    name = f"{column.title} ({better})"
    values = [
        (system, "var(--ours)" if system == "fastworker" else "var(--theirs)", value)
        for system, value in _values(content, column)
    ]
    drawn = bars(values, title=name, format_value=amount, room=_ROOM).removeprefix("<svg ")
    return (
        f'<text class="title" x="{x + 8}" y="{y + 20}">{escape(name)}</text>'
        f'<svg x="{x}" y="{y + _TITLE}" width="{_WIDTH}" height="{height}" {drawn}'
    )


def _values(content: Mapping[str, Any], column: Column) -> list[tuple[str, float]]:
    """Systems and their medians, the best first."""
    found = [
        (name, one.median)
        for name in systems(content)
        if (one := summary(content, name, column.workload, column.metric)) is not None
    ]
    return sorted(found, key=lambda pair: pair[1], reverse=column.is_rate)
