"""Random workflows while the processes of their workers are killed: every one ends, as it does without kills, and
nothing is published twice.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.stress.flow_account import broken_promises
from tests.stress.flow_chaos import chosen, shuffled
from tests.stress.flow_fleet import KILLS, FlowFleet, under_fire
from tests.support import redis_db
from tests.support.flow_sides import Call, Outcome
from tests.support.rig import PRODUCT

pytestmark = [
    pytest.mark.skipif(PRODUCT == "celery", reason="Celery loses workflows here"),
    pytest.mark.timeout(300),
]

FLOWS = 48


@pytest.mark.parametrize("kind", ["own", "hosted"])
def test_workflows_survive_kills(kind: str, redis_server: str, tmp_path: Path) -> None:
    flows = chosen(range(FLOWS))
    with contextlib.ExitStack() as stack:
        url, calls_url = (stack.enter_context(redis_db.claimed(redis_server)) for _ in range(2))
        fleet = FlowFleet(tmp_path, url, url, calls_url, [kind, kind], 1, stack)
        (side,) = fleet.sides.values()
        expected = side.run(flows, 60)
        outcomes, calls = under_fire(fleet, flows, shuffled(KILLS, 1), 1)
        assert broken_promises(expected, outcomes, calls, fleet.living()) == []
    assert len(calls) > FLOWS


CALL: Call = ["w0/1", "id", "step", None, "message", 7]
ENDED: Outcome = {
    "calls": ['["w0/1", "result", "step", null]'],
    "states": {"result": "SUCCESS"},
    "last": ["result"],
    "got": "1",
}


def faults_of(outcome: Outcome, calls: Sequence[Call], *living: int) -> list[str]:
    return broken_promises({"w0": ENDED}, {"w0": outcome}, calls, set(living))


def test_second_run_is_reported_unless_its_process_was_killed() -> None:
    calls = [CALL, [*CALL[:5], 8]]
    assert faults_of(ENDED, calls, 8) == []
    assert "process 7 that ran it first was not killed" in faults_of(ENDED, calls, 7, 8)[0]


def test_second_message_is_reported() -> None:
    calls = [CALL, [*CALL[:4], "another", 7]]
    assert "was published 2 times" in faults_of(ENDED, calls, 7)[0]


def test_second_message_after_a_second_run_of_what_publishes_is_explained() -> None:
    swap: Call = ["w0/0", "other", "replaced by a task", None, "first", 6]
    calls = [swap, [*swap[:5], 7], CALL, [*CALL[:4], "another", 7]]
    assert faults_of(ENDED, calls, 7) == []


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"states": {"result": "PENDING"}, "got": None}, "never ends"),
        ({"states": {"result": "FAILURE"}}, "state of result: FAILURE, without kills SUCCESS"),
        ({"got": "2"}, "get(): 2, without kills 1"),
    ],
)
def test_another_end_is_reported(changed: Outcome, told: str) -> None:
    assert told in " ".join(faults_of({**ENDED, **changed}, [CALL], 7))
