"""Types of ours in messages: they come back as they were, and the message says that they are in it."""

from __future__ import annotations

import json
import pickle
from typing import Any

import pytest

from fastworker import FastWorker, MemberFailure, _core
from fastworker.canvas.reduction import Fold
from fastworker.results.references import ResultsReference, StoredSteps
from fastworker.serialize.exclusive import marked, unmarked, written
from tests.support.memory_core import Memory

INNER = Fold("inner", 0, 0, 2, {"task": "t", "args": [], "kwargs": {}, "options": {}})
VALUES = [
    ResultsReference("g~token", 7),
    Fold("outer", 1, 2, 3, {"task": "t", "options": {"chord": {"options": {"fold": INNER}}}}),
]


@pytest.mark.parametrize("value", VALUES, ids=lambda value: type(value).__name__)
def test_values_come_back_by_json_and_pickle(value: Any) -> None:
    before = written()
    assert _core.loads(_core.dumps([value])) == [value]
    assert pickle.loads(pickle.dumps(value)) == value
    assert written() >= before + 2


def test_a_failure_comes_back_with_its_error() -> None:
    failure = MemberFailure("id", "FAILURE", KeyError("k"))
    for back in (_core.loads(_core.dumps(failure)), pickle.loads(pickle.dumps(failure))):
        assert (back.task_id, back.state, repr(back.error)) == ("id", "FAILURE", "KeyError('k')")
    empty = MemberFailure("id", "REVOKED", None)
    assert _core.loads(_core.dumps(empty)) == pickle.loads(pickle.dumps(empty)) == empty


def test_steps_come_back_as_what_they_refer_to() -> None:
    steps = StoredSteps([("a", 3), ("b", 1)], [{"task": "t"}], "last")
    for back in (_core.loads(_core.dumps(steps)), pickle.loads(pickle.dumps(steps))):
        assert (back.segments, back.tail, back.last_id) == (
            [("a", 3), ("b", 1)],
            steps.tail,
            "last",
        )
    assert len(steps) == 5
    assert (len(steps[:-1]), len(steps[:-1][:-1]), steps[:-1].tail) == (4, 3, [])
    assert steps[:-1][:-1].segments == [("a", 3)]
    more = steps.__add__([{"task": "u"}])
    assert (len(more), more[-1]) == (6, {"task": "u"})


def test_the_name_of_a_message_says_what_is_in_it(app: FastWorker, memory: Memory) -> None:
    @app.task(name="proj.take", shared=False)
    def take(value: Any) -> None: ...

    take.apply_async((MemberFailure("id", "FAILURE", None),), priority=3)
    take.apply_async((1,), priority=3)
    assert [m.headers["task"] for m in memory.messages] == ["fastworker:proj.take", "proj.take"]
    assert unmarked("fastworker:proj.take") == unmarked("proj.take") == "proj.take"


def test_a_mark_goes_to_the_header_whatever_the_arguments_say() -> None:
    tricky = {"argsrepr": '"task": "proj.take"', "task": "proj.take"}
    envelope = json.dumps({"body": "", "headers": tricky}).encode()
    assert json.loads(marked(envelope, "proj.take"))["headers"] == {
        "argsrepr": '"task": "proj.take"',
        "task": "fastworker:proj.take",
    }
