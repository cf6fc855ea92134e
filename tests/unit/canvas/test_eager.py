"""Every form runs in this process too, with the same results."""

from __future__ import annotations

from typing import Any

import pytest

from fastworker import FastWorker, chain, chord, group
from fastworker.canvas import Chain
from tests.support.memory_core import Memory


@pytest.fixture
def tasks(app: FastWorker) -> Any:
    class Tasks:
        @app.task(name="proj.add", shared=False)
        def add(x: int, y: int) -> int:
            return x + y

        @app.task(name="proj.total", shared=False)
        def total(numbers: list[int]) -> int:
            return sum(numbers)

        @app.task(name="proj.fail", shared=False)
        def fail(text: str) -> None:
            raise ValueError(text)

        @app.task(name="proj.split", bind=True, shared=False)
        def split(self: Any, x: int) -> Any:
            add = self.app.tasks["proj.add"]
            return self.replace(group(add.s(x, 1), add.s(x, 2)))

        @app.task(name="proj.instead", bind=True, shared=False)
        def instead(self: Any, x: int) -> Any:
            add, total = self.app.tasks["proj.add"], self.app.tasks["proj.total"]
            return self.replace(chord([add.s(x, 1), add.s(x, 2)], total.s()) | add.s(100))

    return Tasks


FORMS = {
    "group": (lambda t: group(t.add.s(1, 1), group(t.add.s(2, 2), t.add.s(3, 3))), [2, 4, 6]),
    "chord": (lambda t: chord([t.add.s(1, 1), t.add.s(2, 2)], t.total.s()), 6),
    "chord | task": (lambda t: group(t.add.s(1, 1), t.add.s(2, 2)) | t.total.s() | t.add.s(1), 7),
    "chain of groups": (
        lambda t: chain(t.add.s(1, 1), group(t.add.s(1), t.add.s(2)), t.total.s(), t.add.s(10)),
        17,
    ),
    "chord in chord": (
        lambda t: chord([chord([t.add.s(1, 1)], t.total.s()), t.add.s(2, 2)], t.total.s()),
        6,
    ),
    "map": (lambda t: t.total.map([[1, 2], [3]]), [3, 3]),
    "starmap": (lambda t: t.add.starmap([(1, 2), (3, 4)]), [3, 7]),
    "empty header": (lambda t: chord([], t.total.s()), 0),
}


@pytest.mark.parametrize("name", FORMS)
def test_forms_run_here(app: FastWorker, tasks: Any, memory: Memory, name: str) -> None:
    form, expected = FORMS[name]
    assert form(tasks).apply().get() == expected
    app.conf.task_always_eager = True
    assert form(tasks).apply_async().get() == expected
    assert memory.messages == []


def test_chunks_run_here(app: FastWorker, tasks: Any) -> None:
    app.conf.task_always_eager = True
    assert tasks.add.chunks([(i, i) for i in range(3)], 2)().get() == [[0, 2], [4]]


def test_a_group_or_a_chord_takes_the_place_of_an_eager_task(app: FastWorker, tasks: Any) -> None:
    app.conf.task_always_eager = True
    assert tasks.split.delay(5).get() == [6, 7]
    assert tasks.instead.delay(5).get() == 113


def test_a_member_that_fails_fails_the_whole(app: FastWorker, tasks: Any) -> None:
    with pytest.raises(ValueError, match="no luck"):
        chord([tasks.add.s(1, 1), tasks.fail.s("no luck")], tasks.total.s()).apply()
    result = group(tasks.add.s(1, 1), tasks.fail.s("no luck")).apply()
    assert (result.failed(), result.completed_count()) == (True, 1)
    with pytest.raises(ValueError, match="no luck"):
        result.get()


def test_arguments_of_a_chain_reach_the_group_that_it_begins_with(
    app: FastWorker, tasks: Any, memory: Memory
) -> None:
    begins = Chain(group(tasks.add.s(1), tasks.add.s(2)), tasks.total.s())
    begins.apply_async((10,))
    Chain(group(tasks.add.s(3), tasks.add.s(4))).apply_async((20,))
    assert [m.body[0] for m in memory.messages] == [[10, 1], [10, 2], [20, 3], [20, 4]]
    assert begins.apply((10,)).get() == 23
