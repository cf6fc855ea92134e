"""Which cores a text means."""

from __future__ import annotations

import os

import pytest

from fastworker.errors import ImproperlyConfigured
from fastworker.worker.affinity import Pins, cores_of


@pytest.fixture
def eight_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(8)))


@pytest.mark.usefixtures("eight_cores")
@pytest.mark.parametrize(
    ("value", "cores"),
    [
        (None, []),
        ("", []),
        ("auto", list(range(8))),
        ("3", [3]),
        ("0, 2-5", [0, 2, 3, 4, 5]),
        ([1, 7], [1, 7]),
    ],
)
def test_cores_are_read(value: object, cores: list[int]) -> None:
    assert cores_of(value, "--cpu-affinity") == cores


@pytest.mark.usefixtures("eight_cores")
@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("all", r"--cpu-affinity 'all': expected auto, or cores such as 0,2-5"),
        ("2-", r"expected auto, or cores"),
        ("6-9", r"'6-9': core 8, 9 is not one of this process's; expected some of 0, 1, 2"),
        ("5-2", r"'5-2': core none is not one"),
        (2.5, r"2\.5: expected auto"),
    ],
)
def test_what_is_no_core_is_refused(value: object, said: str) -> None:
    with pytest.raises(ImproperlyConfigured, match=said):
        cores_of(value, "--cpu-affinity")


def test_the_core_with_the_fewest_children_is_next(monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[tuple[int, set[int]]] = []
    monkeypatch.setattr(os, "sched_setaffinity", lambda pid, cores: given.append((pid, cores)))
    pins = Pins([4, 6])
    for pid in (1, 2, 3):
        pins.pin(pid)
    pins.free(2)
    pins.pin(5)
    assert given == [(1, {4}), (2, {6}), (3, {4}), (5, {6})]
