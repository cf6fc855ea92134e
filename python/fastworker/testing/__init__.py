"""For the tests of applications: what was published, running it here and now, moving the clock."""

from __future__ import annotations

from fastworker.testing import clock
from fastworker.testing.drain import Drained, Run, drain
from fastworker.testing.messages import Published, assert_published, published, refute_published

__all__ = [
    "Drained",
    "Published",
    "Run",
    "assert_published",
    "clock",
    "drain",
    "published",
    "refute_published",
]
