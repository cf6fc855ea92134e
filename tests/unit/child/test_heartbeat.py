"""The heartbeat of a loop, and the place that it names."""

from __future__ import annotations

import json
import signal
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from fastworker.child import where
from fastworker.child.heartbeat import SIGNAL, Heartbeat, Watch, own_place


class Link:
    """Counts how often it is told that the loop turns, while there is something to do."""

    def __init__(self, busy_for: int) -> None:
        self.turns = 0
        self._busy_for = busy_for

    def turned(self) -> bool:
        self.turns += 1
        return self.turns < self._busy_for


@pytest.fixture(autouse=True)
def handler_as_before() -> Iterator[None]:
    before = signal.getsignal(SIGNAL)
    yield
    signal.signal(SIGNAL, before)


def heartbeat(after_s: float, link: Link) -> tuple[Heartbeat, list[tuple[float, Any]]]:
    watch = Watch(after_s, lambda text: None)
    timers: list[tuple[float, Callable[[], None]]] = []
    made = Heartbeat(watch, link, lambda delay_s, beat: timers.append((delay_s, beat)))  # type: ignore[arg-type]
    return made, timers


def test_beats_four_times_in_the_time_and_ends_with_the_last_task() -> None:
    link = Link(busy_for=3)
    made, timers = heartbeat(2.0, link)
    made.go_on()
    made.go_on()
    assert link.turns == 1
    while timers:
        delay_s, beat = timers.pop()
        assert delay_s == 0.5
        beat()
    assert link.turns == 3
    made.go_on()
    assert link.turns == 4


def test_zero_means_that_there_is_none() -> None:
    link = Link(busy_for=9)
    made, timers = heartbeat(0, link)
    made.go_on()
    assert (link.turns, timers) == (0, [])
    assert signal.getsignal(SIGNAL) in (signal.SIG_DFL, None)


def test_place_is_the_innermost_of_the_application() -> None:
    seen: list[str] = []

    class Nosy(json.JSONEncoder):
        def default(self, o: object) -> str:
            # Innermost, and called by the standard library.
            seen.append(own_place(sys._getframe(), is_tasks=True))
            seen.append(own_place(sys._getframe().f_back, is_tasks=True))
            return ""

    json.dumps(object(), cls=Nosy)
    assert seen[0].endswith(" in default")
    assert seen[1].endswith(" in test_place_is_the_innermost_of_the_application")


def test_place_in_a_package_counts_for_a_task_alone() -> None:
    code = compile("frame = sys._getframe()", "/env/site-packages/theirs.py", "exec")
    names: dict[str, Any] = {"sys": sys}
    exec(code, names)

    class Inner:
        f_code, f_lineno, f_back = names["frame"].f_code, 1, None

    assert own_place(Inner(), is_tasks=True) == "/env/site-packages/theirs.py:1 in <module>"  # type: ignore[arg-type]
    assert own_place(Inner(), is_tasks=False) == ""  # type: ignore[arg-type]


def test_stack_of_a_waiting_coroutine_goes_down_to_what_it_waits_for() -> None:
    class Never:
        def __await__(self) -> Iterator[None]:
            yield

    async def inner() -> None:
        await Never()

    async def outer() -> None:
        await inner()

    coroutine = outer()
    coroutine.send(None)
    stack = where.of_coroutine(coroutine)
    assert stack.index("in outer") < stack.index("in inner") < stack.index("in __await__")
    coroutine.close()
    assert where.of_coroutine(None) == "It has not begun."
