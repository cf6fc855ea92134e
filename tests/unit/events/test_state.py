"""What a state makes of events beyond what Celery's does."""

from __future__ import annotations

import threading
import time
from typing import Any

import pytest

from fastworker.events.state import State

CLOCK = iter(range(1, 10**9))


def task(kind: str, uuid: str, host: str = "w@x", **fields: Any) -> dict[str, Any]:
    now = time.time()
    common = {"hostname": host, "timestamp": now, "local_received": now, "clock": next(CLOCK)}
    return {"type": f"task-{kind}", "uuid": uuid, **common, **fields}


def fed(*events: dict[str, Any], **options: Any) -> State:
    state = State(**options)
    for event in events:
        state.event(event)
    return state


def ids(pairs: Any) -> list[str]:
    return [uuid for uuid, _ in pairs]


def test_a_task_is_with_the_worker_that_has_it_now() -> None:
    state = fed(
        task("sent", "a", "client@x", name="t"),
        task("received", "a", "one@x", name="t"),
        task("retried", "a", "one@x"),
        task("received", "a", "two@x", name="t"),
    )
    assert {host: {t.id for t in tasks} for host, tasks in state.tasks_by_worker.items()} == {
        "one@x": set(),
        "two@x": {"a"},
    }
    assert ids(state.tasks_by_worker("two@x")) == ["a"]
    assert ids(state.tasks_by_worker("one@x")) == []


def test_a_task_of_which_only_its_client_tells_is_with_nobody() -> None:
    state = fed(task("sent", "a", "client@x", name="t"))
    assert ids(state.tasks_by_worker("client@x")) == []
    assert state.tasks["a"].origin == "client@x"


def test_a_task_is_found_by_its_name_whenever_that_is_heard() -> None:
    state = fed(task("started", "a"), task("received", "a", name="t"))
    assert {t.id for t in state.tasks_by_type["t"]} == {"a"}


def test_a_limit_counts_tasks() -> None:
    kinds = ("received", "started", "succeeded")
    state = fed(*(task(kind, uuid, name="t") for uuid in "abc" for kind in kinds))
    assert ids(state.tasks_by_time(limit=2)) == ["c", "b"]
    assert ids(state.tasks_by_type("t", limit=1, reverse=False)) == ["a"]
    assert ids(state.itertasks(limit=2)) == ["a", "b"]


def test_what_has_not_ended_stays_in_order_when_the_rest_is_cleared() -> None:
    state = fed(task("started", "a"), task("succeeded", "b"), task("started", "c"))
    state.freeze_while(lambda: None, clear_after=True)
    assert ids(state.tasks_by_time()) == ["c", "a"]
    assert (state.event_count, list(state.workers)) == (0, [])
    state.clear(ready=False)
    assert list(state.tasks) == []


def test_a_picture_that_fails_clears_too() -> None:
    state = fed(task("succeeded", "a"))
    with pytest.raises(ZeroDivisionError):
        state.freeze_while(lambda: 1 / 0, clear_after=True)
    assert list(state.tasks) == []


def test_nothing_is_taken_in_while_it_stands_still() -> None:
    state = State()
    thread = threading.Thread(target=state.event, args=(task("started", "a"),))

    def look() -> int:
        thread.start()
        # It has no other way to show that it waits than not to be done.
        thread.join(0.05)
        return len(state.tasks)

    assert state.freeze_while(look) == 0
    thread.join()
    assert list(state.tasks) == ["a"]


def test_an_event_is_not_changed() -> None:
    event = task("started", "a")
    before = dict(event)
    fed(event)
    assert event == before


def test_a_worker_lives_by_our_clock_whatever_its_own_says() -> None:
    event = task("started", "a", timestamp=time.time() - 3600)
    assert [worker.hostname for worker in fed(event).alive_workers()] == ["w@x"]


def test_clocks_that_differ_are_told_of_once(caplog: pytest.LogCaptureFixture) -> None:
    host = "drifting@x"
    events = [task("started", str(n), host, timestamp=time.time() - 60) for n in range(3)]
    fed(*events)
    assert [record.getMessage()[:40] for record in caplog.records] == [
        "Substantial drift from drifting@x may me"
    ]
