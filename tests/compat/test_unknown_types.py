"""What only workers of ours understand, in the hands of a Celery worker: the task fails, and says why."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.apps import AppSpec
from tests.support.rig import PRODUCT, Rig
from tests.support.waiting import wait_until

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


@pytest.fixture
def rig(redis_url: str, tmp_path: Path) -> Iterator[Rig]:
    """A client of ours; its worker serves ``celery``, one of Celery's ``theirs``."""
    with contextlib.ExitStack() as stack:
        made = Rig(AppSpec(PRODUCT, redis_url, redis_url), tmp_path, stack)
        made.configure(task_by_reference=True)
        made.worker("-n", "ours@host", "-Q", "celery")
        made.worker("-n", "theirs@host", "-Q", "theirs", framework="celery")
        yield made


def refusal(result: Any) -> str:
    """What the task failed with."""
    wait_until(result.ready, "it ended", 60)
    assert result.state == "FAILURE"
    return str(result.result)


def test_a_celery_worker_refuses_what_it_does_not_understand(rig: Rig) -> None:
    from fastworker import chain, chord

    add, echo, fail = (rig.task(name) for name in ("add", "echo", "fail"))
    large = [echo.s("x" * 50, number) for number in range(1_000)]
    referring = chord(large, rig.task("length_of").s().set(queue="theirs")).apply_async()
    body = rig.task("sorted_out").s().set(queue="theirs")
    bearing = chord([add.s(1, 1), fail.s("no")], body, errors="continue").apply_async()
    member = add.s(1, 1).set(queue="theirs", task_id="member-of-a-fold")
    chord([member], rig.task("total").s(), reduce=5).apply_async()
    steps = [add.s(0, 0).set(queue="theirs", task_id="first-of-many"), *[add.s(1)] * 30]
    chain(*steps).apply_async()
    assert "fastworker:proj.length_of" in refusal(referring)
    assert "fastworker:proj.sorted_out" in refusal(bearing)
    assert "fastworker:proj.add" in refusal(rig.app.AsyncResult("member-of-a-fold"))
    assert "fastworker:proj.add" in refusal(rig.app.AsyncResult("first-of-many"))
