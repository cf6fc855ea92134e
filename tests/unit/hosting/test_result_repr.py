"""Results are shown as Celery's tracer shows them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from celery.app import trace
from celery.utils.saferepr import saferepr

from fastworker.hosting import result_repr


@pytest.fixture
def celerys_way() -> Iterator[None]:
    """The tracer as Celery has it, before and after."""
    before, trace.saferepr = trace.saferepr, saferepr
    yield
    trace.saferepr = before


class Number(int):
    def __repr__(self) -> str:
        return "a number " * 20


VALUES: list[Any] = [
    None, True, 7, -(1 << 63), 1 << 63, 1 << 5000, 2.5, float("inf"), "text", b"bytes", [1, {"a": (2,)}], Number(3), 3j,
]  # fmt: skip


@pytest.mark.parametrize("limit", [None, 1024, 46, 4, 1, 0])
def test_a_result_is_shown_as_celery_shows_it(limit: int | None, celerys_way: None) -> None:
    result_repr.show_plain_results_quickly()
    quick = trace.saferepr
    assert quick is not saferepr
    assert [quick(value, limit) for value in VALUES] == [saferepr(value, limit) for value in VALUES]


def test_a_plain_result_takes_the_short_way(celerys_way: None) -> None:
    asked: list[Any] = []

    def own(value: Any, maxlen: int | None = None) -> str:
        asked.append(value)
        return saferepr(value, maxlen)

    quick = result_repr.quickly(own)
    assert (quick(42, 1024), quick(None), quick([42], 1024)) == ("42", "None", "[42]")
    assert asked == [[42]]


def test_another_way_of_celerys_is_left_alone(
    celerys_way: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(result_repr.celerys, "saferepr", lambda value, *_limit: f"<{value}>")
    result_repr.show_plain_results_quickly()
    assert trace.saferepr is saferepr
    monkeypatch.setattr(trace, "saferepr", result_repr.celerys.saferepr)
    result_repr.show_plain_results_quickly()
    assert trace.saferepr is result_repr.celerys.saferepr
