"""Plots as SVG: curves over an axis, and bars. They scale with the page; a screen reader gets the title."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape

_WIDTH, _HEIGHT = 560, 300
_LEFT, _RIGHT, _TOP, _BOTTOM = 84, 14, 14, 50
#: Of the larger letters that a narrow screen gets.
_LETTER = 11
#: The smallest time that has a place on a logarithmic axis: a microsecond, the precision of the clock.
_LEAST = 1e-6


@dataclass(frozen=True)
class Line:
    """A curve.

    Attributes:
        name: For its tooltip.
        colour: CSS.
        points: ``(x, y)``.
    """

    name: str
    colour: str
    points: Sequence[tuple[float, float]]


@dataclass(frozen=True)
class Dot:
    """A measurement with its interval.

    Attributes:
        name: For its tooltip.
        colour: CSS.
        x, y, low, high: Where.
    """

    name: str
    colour: str
    x: float
    y: float
    low: float
    high: float


@dataclass(frozen=True)
class Band:
    """Between two curves.

    Attributes:
        colour: CSS; it is drawn faintly.
        points: ``(x, low, high)``.
    """

    colour: str
    points: Sequence[tuple[float, float, float]]


def quantile_ticks() -> list[tuple[float, str]]:
    """Shares of the tasks, for an axis on which each nine has the same room."""
    return [(0.0, "0"), (0.5, "50 %"), (0.9, "90 %"), (0.99, "99 %"), (0.999, "99.9 %")]


def chart(
    lines: Sequence[Line],
    *,
    title: str,
    x_label: str,
    x_ticks: Sequence[tuple[float, str]] | None,
    is_log: bool,
    format_y: Callable[[float], str],
    dots: Sequence[Dot] = (),
    bands: Sequence[Band] = (),
) -> str:
    """Curves.

    Args:
        lines: At least one, or a dot.
        title: For those who cannot see it.
        x_label: Under the axis.
        x_ticks: Shares, on an axis of nines. None: a plain axis from 0.
        is_log: The other axis is logarithmic; values below a microsecond lie on it.
        format_y: Its labels.
        dots: Measurements.
        bands: Intervals of curves.
    """
    points = [point for line in lines for point in line.points]
    points += [(dot.x, dot.high) for dot in dots]
    points += [(x, high) for band in bands for x, _, high in band.points]
    across, x_marks = _x_axis([x for x, _ in points], x_ticks)
    up, y_marks = _y_axis([y for _, y in points], is_log)
    parts = []
    for value in y_marks:
        parts.append(
            f'<line class="grid" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{up(value):.1f}" y2="{up(value):.1f}"/>'
        )
        parts.append(
            f'<text x="{_LEFT - 6}" y="{up(value) + 4:.1f}" text-anchor="end">{escape(format_y(value))}</text>'
        )
    for value, text in x_marks:
        # The last one must not stand out of the picture.
        anchor = "end" if across(value) > _WIDTH - 30 else "middle"
        place = f'x="{across(value):.1f}" y="{_HEIGHT - _BOTTOM + 18}"'
        parts.append(f'<text {place} text-anchor="{anchor}">{escape(text)}</text>')
    middle = (_LEFT + _WIDTH - _RIGHT) / 2
    parts.append(
        f'<text x="{middle}" y="{_HEIGHT - 6}" text-anchor="middle">{escape(x_label)}</text>'
    )
    for band in bands:
        around = [(x, low) for x, low, _ in band.points]
        around += [(x, high) for x, _, high in reversed(band.points)]
        path = " ".join(f"{across(x):.1f},{up(y):.1f}" for x, y in around)
        parts.append(f'<polygon class="band" style="fill:{band.colour}" points="{path}"/>')
    for line in lines:
        path = " ".join(f"{across(x):.1f},{up(y):.1f}" for x, y in line.points)
        parts.append(
            f'<polyline class="curve" style="stroke:{line.colour}" points="{path}">'
            f"<title>{escape(line.name)}</title></polyline>"
        )
    for dot in dots:
        x = across(dot.x)
        parts.append(
            f'<line class="span" style="stroke:{dot.colour}" x1="{x:.1f}" x2="{x:.1f}" y1="{up(dot.low):.1f}" '
            f'y2="{up(dot.high):.1f}"/><circle style="fill:{dot.colour}" cx="{x:.1f}" cy="{up(dot.y):.1f}" r="4">'
            f"<title>{escape(dot.name)}</title></circle>"
        )
    return _svg(title, _HEIGHT, parts)


def bars(
    values: Sequence[tuple[str, str, float]],
    *,
    title: str,
    format_value: Callable[[float], str],
    top: float | None = None,
    room: int = 34,
) -> str:
    """Bars from the left: name, colour and value of each.

    Args:
        values: Any number.
        title: For those who cannot see it.
        format_value: What is written beside a bar.
        top: What the longest bar there can be stands for; None: the largest value.
        room: Height of each bar with its gap.
    """
    height = bars_height(len(values), room)
    thickness = min(20, room - 6)
    middle = thickness / 2 + 5
    top = top or max((value for _, _, value in values), default=0.0) or 1.0
    left = max(112, _LETTER * max((len(name) for name, _, _ in values), default=0) + 8)
    longest = _WIDTH - left - 100
    parts = []
    for place, (name, colour, value) in enumerate(values):
        y = place * room + 8
        width = max(1.0, value / top * longest)
        text_y = f"{y + middle:g}"
        parts.append(f'<text x="{left - 8}" y="{text_y}" text-anchor="end">{escape(name)}</text>')
        parts.append(
            f'<rect x="{left}" y="{y}" width="{width:.1f}" height="{thickness}" rx="3" style="fill:{colour}"/>'
        )
        parts.append(
            f'<text x="{left + 6 + width:.1f}" y="{text_y}">{escape(format_value(value))}</text>'
        )
    return _svg(title, height, parts)


def bars_height(count: int, room: int = 34) -> int:
    """Of a picture of so many bars."""
    return room * count + 8


def _svg(title: str, height: int, parts: Sequence[str]) -> str:
    return (
        f'<svg viewBox="0 0 {_WIDTH} {height}" role="img" aria-label="{escape(title)}">'
        f"<title>{escape(title)}</title>{''.join(parts)}</svg>"
    )


def _x_axis(
    values: Sequence[float], ticks: Sequence[tuple[float, str]] | None
) -> tuple[Callable[[float], float], list[tuple[float, str]]]:
    room = _WIDTH - _LEFT - _RIGHT
    if ticks is not None:
        end = -math.log10(1 - ticks[-1][0])

        def by_nines(share: float) -> float:
            return _LEFT + min(1.0, -math.log10(max(1 - share, 1e-9)) / end) * room

        return by_nines, list(ticks)
    most = max(values, default=0.0) or 1.0
    marks = [(value, f"{value:g}") for value in _round_steps(most)]
    return lambda x: _LEFT + x / most * room, marks


def _y_axis(values: Sequence[float], is_log: bool) -> tuple[Callable[[float], float], list[float]]:
    room = _HEIGHT - _TOP - _BOTTOM
    floor = _HEIGHT - _BOTTOM
    top = max(values, default=0.0)
    if not is_log:
        most = top or 1.0
        return lambda y: floor - y / most * room, _round_steps(most)
    low = math.floor(math.log10(max(_LEAST, min(values, default=_LEAST))))
    high = max(low + 1, math.ceil(math.log10(max(_LEAST, top))))
    marks = [10.0**power for power in range(low, high + 1)]
    return lambda y: floor - (math.log10(max(y, 10.0**low)) - low) / (high - low) * room, marks


def _round_steps(most: float) -> list[float]:
    """Four to eight round numbers from 0 up to ``most``."""
    raw = most / 5
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= raw * 0.99)
    return [round(place * step, 12) for place in range(int(most / step + 1e-9) + 1)]
