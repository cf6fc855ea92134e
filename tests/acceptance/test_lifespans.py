"""``@app.lifespan`` in every pool: on the loop of the process's coroutines, from before the first task until after the
last one.
"""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from tests.support.gate import read_lines
from tests.support.rig import PRODUCT, Rig
from tests.support.roles import children_of
from tests.support.waiting import wait_until

pytestmark = pytest.mark.skipif(PRODUCT == "celery", reason="Celery has no lifespans")

TIMEOUT_S = 30
POOLS = ["prefork", "threads", "asyncio", "gevent", "eventlet", "solo"]


@pytest.mark.parametrize("pool", POOLS)
def test_lifespan_is_entered_once_on_the_loop_of_the_tasks_and_left_by_who_entered_it(
    sqlite_rig: Rig, pool: str, tmp_path: Path
) -> None:
    rig, closed = sqlite_rig, str(tmp_path / "closed")
    worker = rig.worker("--pool", pool, concurrency=2, POOL_CLOSED=closed)
    pids = [child.pid for child in children_of(worker.pid)] if pool != "solo" else [worker.pid]
    for _ in range(4):
        count, is_here, is_main = rig.app.tasks["apool.opened"].delay().get(timeout=TIMEOUT_S)
        assert (count, is_here) == (1, True)
        assert is_main == (pool in ("prefork", "asyncio", "solo"))
    assert read_lines(closed) == []
    worker.signal(signal.SIGTERM)
    assert worker.wait_ended(TIMEOUT_S) == 0
    assert sorted(read_lines(closed)) == sorted(f"closed {pid} True" for pid in pids)


@pytest.mark.parametrize("pool", ["threads", "gevent", "eventlet"])
def test_coroutines_beside_other_tasks_share_the_loop_of_the_lifespan(
    sqlite_rig: Rig, pool: str, tmp_path: Path
) -> None:
    rig = sqlite_rig
    rig.worker("--pool", pool, concurrency=6, POOL_CLOSED=str(tmp_path / "closed"))
    coroutines = [rig.app.tasks["apool.meet"].delay(6) for _ in range(3)]
    plain = [rig.app.tasks["pool.meet"].delay(6) for _ in range(3)]
    assert {result.get(timeout=TIMEOUT_S) for result in coroutines + plain} == {6}


def test_limits_and_revokes_reach_coroutines_on_the_loop_of_the_lifespan(
    sqlite_rig: Rig, tmp_path: Path
) -> None:
    from fastworker.exceptions import TaskRevokedError

    rig, path = sqlite_rig, str(tmp_path / "starts")
    rig.worker("--pool", "threads", concurrency=6, POOL_CLOSED=str(tmp_path / "closed"))
    soft, hard = (rig.app.tasks[f"apool.{name}"] for name in ("soft", "hard"))
    soft_result, hard_result = soft.delay(), hard.delay(str(tmp_path / "hard"))
    unwanted = rig.app.tasks["apool.wait"].delay(path)
    wait_until(lambda: read_lines(path), "its start")
    rig.app.control.revoke(unwanted.id, terminate=True)
    assert soft_result.get(timeout=TIMEOUT_S) == "cleaned up"
    assert type(hard_result.get(timeout=TIMEOUT_S, propagate=False)).__name__ == "TimeLimitExceeded"
    with pytest.raises(TaskRevokedError, match="terminated"):
        unwanted.get(timeout=TIMEOUT_S)
