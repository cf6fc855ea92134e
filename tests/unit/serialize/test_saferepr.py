"""``saferepr`` writes what Celery's writes: Flower and log readers see no difference."""

from __future__ import annotations

import time
from fractions import Fraction
from typing import Any

import pytest
from celery.utils.saferepr import saferepr as celerys
from hypothesis import given, settings
from hypothesis import strategies as st

from fastworker.serialize.saferepr import saferepr

LEAVES = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=20)
    | st.binary(max_size=20)
    | st.decimals()
    | st.datetimes()
)
VALUES = st.recursive(
    LEAVES,
    lambda inner: (
        st.lists(inner)
        | st.tuples(inner, inner)
        | st.tuples(inner)
        | st.dictionaries(st.text(max_size=5) | st.tuples(st.integers()), inner)
        | st.sets(st.integers() | st.text())
        | st.frozensets(st.integers())
    ),
    max_leaves=30,
)


@settings(max_examples=500)
@given(VALUES, st.none() | st.integers(0, 80), st.integers(0, 4))
def test_text_is_celerys(value: Any, maxlen: int | None, maxlevels: int) -> None:
    assert saferepr(value, maxlen, maxlevels) == celerys(value, maxlen, maxlevels)


def test_circle_is_named() -> None:
    circle: list[Any] = [1]
    circle.append(circle)
    assert saferepr(circle, maxlevels=0) == celerys(circle, maxlevels=0)


def test_broken_repr_is_named() -> None:
    class Broken:
        def __repr__(self) -> str:
            raise KeyError("foo")

    assert "Unrepresentable" in saferepr([Broken()])
    assert "KeyError('foo')" in saferepr([Broken()])


def test_integer_with_more_digits_than_python_writes_is_shown_in_hexadecimal() -> None:
    large = 1 << 40_000
    assert saferepr(large) == hex(large)
    assert saferepr([1, large], 20) == f"[1, {hex(large)[:16]}...]"
    assert "Unrepresentable" in saferepr(Fraction(large, 3))


def test_deep_nesting_does_not_end_the_interpreter() -> None:
    deep: Any = []
    for _ in range(100_000):
        deep = [deep]
    assert saferepr(deep, 100, maxlevels=0).startswith("[[[")


def test_long_list_costs_no_more_than_its_beginning() -> None:
    values = [0] * 1_000_000
    started = time.process_time()
    assert len(saferepr(values, 1024)) < 1100
    assert time.process_time() - started < 0.05


@pytest.mark.parametrize("value", ["it's", b"\xff\x00", "x" * 200, ("one",), {"k": {"v": set()}}])
def test_quoting_is_celerys(value: Any) -> None:
    assert saferepr(value, 100) == celerys(value, 100)
