"""Few samples, honestly: median, extremes, percentiles, and ratios taken pair by pair."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Summary:
    """A metric's samples in three numbers and their count."""

    median: float
    low: float
    high: float
    count: int


def summarise(values: Sequence[float]) -> Summary:
    """Median, minimum, maximum. Raises ValueError without samples."""
    if not values:
        raise ValueError("summarise: no samples; expected at least one")
    return Summary(statistics.median(values), min(values), max(values), len(values))


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest sample that at least ``share`` (0..1) of all samples do not exceed (nearest
    rank).
    """
    ranked = sorted(values)
    return ranked[max(0, math.ceil(share * len(ranked)) - 1)]


def pairwise_ratios(above: Sequence[float], below: Sequence[float]) -> list[float]:
    """``above / below`` round by round.

    The machine's speed drifts, and two samples of one round shared the same minute; the ratio of
    two medians would compare different minutes.
    """
    if len(above) != len(below):
        raise ValueError(
            f"pairwise_ratios: {len(above)} and {len(below)} samples; expected one of each per "
            f"round"
        )
    return [one / other for one, other in zip(above, below, strict=True)]
