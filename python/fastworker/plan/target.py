"""What a plan has to reach: a wait that most tasks keep within, or a backlog that is gone by a moment."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, timezone

from fastworker.errors import ImproperlyConfigured
from fastworker.plan.quantities import count, duration_s

_WAIT = re.compile(r"p(\d{2}(?:\.\d+)?)[ _]wait\s*<=?\s*(\S+(?:\s*\S+)?)", re.IGNORECASE)
_DRAIN = re.compile(r"drain\s+(\S+)(?:\s+of\s+(\S+))?\s+(by|in)\s+(.+)", re.IGNORECASE)
#: The quantiles that a simulation keeps.
QUANTILES = (0.5, 0.95, 0.99)


@dataclass(frozen=True)
class WaitTarget:
    """So many tasks start within so long, at the peak hour.

    Attributes:
        share: Of the tasks: 0.5, 0.95 or 0.99.
        within_s: Longest wait of these, in seconds.
    """

    share: float
    within_s: float

    def __str__(self) -> str:
        return f"p{self.share * 100:g} wait <= {self.within_s:g} s"


@dataclass(frozen=True)
class DrainTarget:
    """So many tasks that are all there have run when the time is over.

    Attributes:
        tasks: How many.
        task: Of which class; None: of the first.
        within_s: Seconds from now.
    """

    tasks: float
    task: str | None
    within_s: float

    def __str__(self) -> str:
        of = f" of {self.task}" if self.task else ""
        return f"drain {self.tasks:,.0f}{of} in {self.within_s / 3600:,.1f} h"


Target = WaitTarget | DrainTarget


def parse(text: str, now: datetime | None = None) -> Target:
    """Read a target.

    Args:
        text: ``p95 wait <= 2s``, ``drain 40M by 2026-12-01T08:00`` (UTC unless it says otherwise),
            ``drain 1M of proj.page in 6h``.
        now: For ``by``; None: this moment.

    Raises:
        ImproperlyConfigured: It cannot be read, or its moment is over.
    """
    stripped = text.strip()
    if found := _WAIT.fullmatch(stripped):
        share = float(found[1]) / 100
        if share not in QUANTILES:
            raise ImproperlyConfigured(f"target {text!r}: expected p50, p95 or p99")
        return WaitTarget(share, duration_s(found[2], f"target {text!r}"))
    if found := _DRAIN.fullmatch(stripped):
        tasks = count(found[1], f"target {text!r}")
        return DrainTarget(tasks, found[2], _within_s(found[3].lower(), found[4], text, now))
    raise ImproperlyConfigured(
        f'target {text!r}: expected "p95 wait <= 2s", "drain 40M by 2026-12-01T08:00" or '
        '"drain 1M of proj.task in 6h"'
    )


def _within_s(word: str, value: str, text: str, now: datetime | None) -> float:
    if word == "in":
        return duration_s(value, f"target {text!r}")
    try:
        until = datetime.fromisoformat(value.strip())
    except ValueError as error:
        raise ImproperlyConfigured(
            f"target {text!r}: {value!r} is no moment: expected one such as 2026-12-01T08:00"
        ) from error
    if until.tzinfo is None:
        until = until.replace(tzinfo=timezone.utc)
    within_s = (until - (now or datetime.now(timezone.utc))).total_seconds()
    if within_s <= 0:
        raise ImproperlyConfigured(f"target {text!r}: that moment is over")
    return within_s
