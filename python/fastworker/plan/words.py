"""Numbers of a plan for people."""

from __future__ import annotations

import math


def time(seconds: float) -> str:
    """A time with a unit that fits."""
    if math.isinf(seconds):
        return "never ends"
    if seconds < 1e-6:
        return "0"
    if seconds < 1:
        return f"{seconds * 1000:.3g} ms"
    if seconds < 120:
        return f"{seconds:.3g} s"
    if seconds < 7200:
        return f"{seconds / 60:.3g} min"
    return f"{seconds / 3600:,.3g} h"


def size(count: float) -> str:
    """Bytes with a unit that fits."""
    for unit, factor in (("TB", 1e12), ("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if count >= factor:
            return f"{count / factor:,.3g} {unit}"
    return f"{count:,.0f} B"


def number(value: float, unit: str) -> str:
    """A number with its unit."""
    if unit == "s":
        return time(value)
    if unit == "bytes":
        return size(value)
    text = f"{value:,.4g}" if abs(value) < 1e6 else f"{value:,.0f}"
    return f"{text}{unit}" if unit.startswith("/") else f"{text} {unit}".strip()


def disagreement(formula: float, simulated: float) -> str:
    """How far the formula lies from the simulation."""
    if math.isinf(formula):
        return "∞"
    if simulated <= 0:
        return "" if formula <= 0 else "+∞"
    return f"{formula / simulated - 1:+.0%}"
