"""Signatures and chains: dicts with Celery's keys."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import pytest

from fastworker import FastWorker, chain, maybe_signature, signature
from tests.support.memory_core import Memory


@pytest.fixture
def add(app: FastWorker) -> Any:
    @app.task(name="proj.add", shared=False)
    def add(x: int, y: int, *rest: int) -> int:
        return x + y + sum(rest)

    return add


def test_signature_is_celerys_dict(add: Any) -> None:
    from celery import Celery

    theirs = Celery("c", set_as_current=False, broker="memory://").signature(
        "proj.add", (1,), {"y": 2}, queue="q"
    )
    assert add.signature((1,), {"y": 2}, queue="q") == dict(theirs)


def test_partial_arguments_go_in_front(add: Any, memory: Memory) -> None:
    add.s(3, 4).delay(1, 2)
    add.si(3, 4).delay(1, 2)
    assert [m.body[0] for m in memory.messages] == [[1, 2, 3, 4], [3, 4]]
    assert add.s(2)(1) == 3


def test_call_time_options_win_except_for_group_and_stamps(add: Any) -> None:
    sig = add.s(1).set(queue="a", group_id="g", priority=3)
    merged = sig.clone((), {}, queue="b", group_id="h")
    assert merged.options == {"queue": "b", "group_id": "g", "priority": 3}
    assert sig.options["queue"] == "a"


def test_linking_to_a_clone_leaves_the_original_alone(add: Any) -> None:
    sig = add.s(1)
    sig.link(add.s(2))
    for twin in (sig.clone(), copy.copy(sig), copy.deepcopy(sig)):
        twin.link(add.s(3))
        twin.link_error(add.s(4))
        assert len(twin.options["link"]) == 2
    assert len(sig.options["link"]) == 1
    assert [s.args for s in sig.flatten_links()] == [(1,), (2,)]


def test_unregistered_task_is_published_by_name(app: FastWorker, memory: Memory) -> None:
    result = app.signature("elsewhere.task", (1,), queue="far").apply_async()
    (message,) = memory.messages
    assert (message.headers["task"], message.queue) == ("elsewhere.task", "far")
    assert result.id == message.headers["id"]


def test_frozen_signature_keeps_its_id(app: FastWorker, add: Any, memory: Memory) -> None:
    sig = add.s(1, 2)
    result = sig.freeze()
    assert sig.freeze() == result
    assert sig.apply_async().id == result.id == sig.id


def test_signature_that_travelled_is_rebuilt(app: FastWorker, add: Any) -> None:
    travelled = dict(add.s(1) | add.s(2))
    travelled["kwargs"] = {"tasks": [dict(t) for t in travelled["kwargs"]["tasks"]]}
    rebuilt = maybe_signature(travelled, app)
    assert type(rebuilt).__name__ == "Chain"
    assert [step.args for step in rebuilt.tasks] == [(1,), (2,)]
    assert maybe_signature(None) is None
    assert signature({"task": "t", "args": [], "kwargs": {}, "options": {}}).task == "t"
    assert pickle.loads(pickle.dumps(add.s(1))) == add.s(1)


def test_chain_flattens_and_describes_itself(add: Any) -> None:
    steps = add.s(1, 2) | (add.s(3) | add.s(4))
    assert repr(steps) == "proj.add(1, 2) | add(3) | add(4)"
    assert steps == chain(add.s(1, 2), add.s(3), add.s(4))
    assert steps.subtask_type == "chain"


def test_link_of_a_chain_goes_to_its_last_step_and_errors_to_all(add: Any, memory: Memory) -> None:
    steps = add.s(1, 2) | add.s(3)
    steps.link(add.s(9))
    steps.on_error(add.s(8)).apply_async(queue="q")
    (message,) = memory.messages
    embed = message.body[2]
    assert message.queue == "q"
    assert embed["callbacks"] is None
    assert len(embed["errbacks"]) == 1
    last = embed["chain"][0]
    assert last["options"]["link"][0]["args"] == [9]
    assert last["options"]["link_error"][0]["args"] == [8]


def test_chain_gives_its_last_step_the_given_id(add: Any) -> None:
    result = (add.s(1, 2) | add.s(3)).apply_async(task_id="last")
    assert result.id == "last"
    assert result.parent is not None
    assert chain().apply_async() is None


def test_chain_runs_eagerly_step_by_step(add: Any) -> None:
    result = (add.s(1, 2) | add.s(3) | add.si(10, 1)).apply()
    assert (result.get(), result.parent.get(), result.parent.parent.get()) == (11, 6, 3)
