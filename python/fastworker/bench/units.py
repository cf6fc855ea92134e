"""Figures for people."""

from __future__ import annotations

#: For what was not measured.
NONE = "-"


def time_text(seconds: float | None) -> str:
    """Three digits and a unit."""
    if seconds is None:
        return NONE
    for unit, factor in (("s", 1.0), ("ms", 1e3), ("µs", 1e6)):
        if abs(seconds) * factor >= 1 or unit == "µs":
            return f"{number_text(seconds * factor)} {unit}"
    raise AssertionError("the last unit takes all")


def rate_text(per_second: float | None) -> str:
    """So many a second."""
    return NONE if per_second is None else f"{number_text(per_second)}/s"


def bytes_text(count: float | None) -> str:
    """With a binary unit."""
    if count is None:
        return NONE
    for unit in ("B", "KiB", "MiB", "GiB"):
        if abs(count) < 1024 or unit == "GiB":
            return f"{number_text(count)} {unit}"
        count /= 1024
    raise AssertionError("the last unit takes all")


def measure_text(name: str, value: float) -> str:
    """A figure of ``summary`` by its name."""
    name = name.partition("[")[0]
    if name.endswith("_s"):
        return time_text(value)
    if name.endswith("throughput") or name == "stable_rate":
        return rate_text(value)
    if name == "utilisation":
        return f"{value:.1%}"
    return f"{number_text(value)} ms" if name.endswith("ms_per_task") else number_text(value)


def number_text(value: float) -> str:
    """Three digits, or all before the point."""
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"
