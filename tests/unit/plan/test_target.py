"""Targets as people write them."""

from __future__ import annotations

from datetime import datetime, timezone

import pytest

from fastworker.errors import ImproperlyConfigured
from fastworker.plan.target import DrainTarget, WaitTarget, parse

NOW = datetime(2026, 11, 30, 8, 0, tzinfo=timezone.utc)


@pytest.mark.parametrize(
    ("text", "target"),
    [
        ("p95 wait <= 2s", WaitTarget(0.95, 2.0)),
        ("p99 wait < 150 ms", WaitTarget(0.99, 0.15)),
        ("P50_WAIT<=1m", WaitTarget(0.5, 60.0)),
        ("drain 40M by 2026-12-01T08:00", DrainTarget(40e6, None, 86400)),
        ("drain 1k of proj.page in 6h", DrainTarget(1000, "proj.page", 21600)),
        ("drain 5 by 2026-11-30T12:00+02:00", DrainTarget(5, None, 7200)),
    ],
)
def test_they_are_read(text: str, target: object) -> None:
    assert parse(text, NOW) == target


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("fast", 'expected "p95 wait <= 2s"'),
        ("p90 wait <= 1s", "expected p50, p95 or p99"),
        ("p95 wait <= soon", "'soon': expected seconds"),
        ("drain 40M by Monday", "'monday' is no moment|'Monday' is no moment"),
        ("drain 40M by 2026-01-01T00:00", "that moment is over"),
        ("drain many in 6h", "'many': expected a number"),
    ],
)
def test_what_is_wrong_is_said(text: str, says: str) -> None:
    with pytest.raises(ImproperlyConfigured, match=says):
        parse(text, NOW)
