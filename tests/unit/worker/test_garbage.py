"""When a child with an event loop collects garbage."""

from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest

from fastworker.child.event_loop import _collect_seldom


@pytest.fixture
def thresholds() -> Iterator[None]:
    before = gc.get_threshold()
    yield
    gc.set_threshold(*before)


@pytest.mark.usefixtures("thresholds")
@pytest.mark.parametrize(
    ("before", "after"), [(700, 10_000), (2000, 10_000), (0, 0), (5000, 5000), (50_000, 50_000)]
)
def test_threshold_of_pythons_own_is_raised_and_another_is_kept(before: int, after: int) -> None:
    gc.set_threshold(before, 10, 10)
    _collect_seldom()
    assert gc.get_threshold() == (after, 10, 10)
