"""What every pool promises, seen from outside: the same calls on each, as plain functions and as coroutines.

Where tasks share a process, what happens to one of them is not to happen to the others.
"""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support import processes, redis_db
from tests.support.apps import AppSpec
from tests.support.gate import Gate, read_lines
from tests.support.rig import PRODUCT, Rig
from tests.support.roles import children_of
from tests.support.waiting import wait_until

pytestmark = pytest.mark.skipif(PRODUCT == "celery", reason="Celery has other pools")

TIMEOUT_S = 30
POOLS = ["prefork", "threads", "asyncio", "gevent", "eventlet"]
#: Pools whose tasks share a process, and the kind of task that does so there natively.
SHARED = [("threads", "pool"), ("asyncio", "apool"), ("gevent", "pool"), ("eventlet", "pool")]

kinds = pytest.mark.parametrize("kind", ["pool", "apool"])
shared = pytest.mark.parametrize(("pool", "kind"), SHARED)


@pytest.fixture(
    scope="module",
    params=[(pool, broker) for pool in POOLS for broker in ("redis", "sqlite")],
    ids="-".join,
)
def any_pool(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Rig]:
    """An app with a worker of each pool on each broker, which the tests that only call share."""
    pool, broker = request.param
    directory = tmp_path_factory.mktemp("pool")
    with contextlib.ExitStack() as stack:
        url = f"sqlite:///{directory}/queue.db"
        if broker == "redis":
            server = request.getfixturevalue("redis_server")
            url = stack.enter_context(redis_db.claimed(server))
        rig = Rig(AppSpec(PRODUCT, url, url, {"task_track_started": True}), directory, stack)
        environment = {}
        if (pool, broker) == ("asyncio", "sqlite"):
            # Once on uvloop, once without it.
            (directory / "uvloop.py").write_text("raise ImportError('left out by the test')")
            environment["PYTHONPATH"] = str(directory)
        rig.worker("--pool", pool, concurrency=4, **environment)
        yield rig


def call(rig: Rig, name: str, *args: Any) -> Any:
    """Publish a call of one of ``pool_tasks``."""
    return rig.app.tasks[name].delay(*args)


def outcome(result: Any) -> tuple[str, str]:
    """``(state, class of the exception)`` once it is there."""
    exc = result.get(timeout=TIMEOUT_S, propagate=False)
    return result.state, type(exc).__name__


@kinds
def test_each_task_has_its_own_request(any_pool: Rig, kind: str) -> None:
    results = [call(any_pool, f"{kind}.who") for _ in range(40)]
    values = [result.get(timeout=TIMEOUT_S) for result in results]
    assert [value[:2] for value in values] == [[result.id, result.id] for result in results]


def test_loop_is_uvloops_where_it_is_installed(
    any_pool: Rig, request: pytest.FixtureRequest
) -> None:
    module = call(any_pool, "apool.loop").get(timeout=TIMEOUT_S)
    has_uvloop = request.node.callspec.params["any_pool"] == ("asyncio", "redis")
    assert module == ("uvloop" if has_uvloop else "asyncio.unix_events")


@kinds
def test_failure_is_the_tasks_own(any_pool: Rig, kind: str) -> None:
    failed, fine = call(any_pool, f"{kind}.fail", "on purpose"), call(any_pool, f"{kind}.who")
    with pytest.raises(ValueError, match="on purpose"):
        failed.get(timeout=TIMEOUT_S)
    assert fine.get(timeout=TIMEOUT_S)[0] == fine.id
    assert "on purpose" in failed.traceback


@kinds
def test_predicates_say_how_it_ends(any_pool: Rig, kind: str) -> None:
    rejected = call(any_pool, f"{kind}.ends", "reject")
    ignored = call(any_pool, f"{kind}.ends", "ignore")
    assert outcome(rejected) == ("FAILURE", "Reject")
    assert call(any_pool, f"{kind}.who").get(timeout=TIMEOUT_S)
    assert any_pool.app.AsyncResult(ignored.id).state == "STARTED"


@kinds
def test_task_is_retried(any_pool: Rig, kind: str) -> None:
    assert call(any_pool, f"{kind}.retry").get(timeout=TIMEOUT_S) == 2
    assert call(any_pool, f"{kind}.autoretry").get(timeout=TIMEOUT_S) == 1


@kinds
def test_soft_limit_lets_the_task_clean_up(any_pool: Rig, kind: str) -> None:
    limited, other = call(any_pool, f"{kind}.soft"), call(any_pool, f"{kind}.who")
    assert other.get(timeout=TIMEOUT_S)[0] == other.id
    assert limited.get(timeout=TIMEOUT_S) == "cleaned up"


@kinds
def test_hard_limit_ends_the_task_that_ran_over_it(
    any_pool: Rig, kind: str, tmp_path: Path
) -> None:
    limited = call(any_pool, f"{kind}.hard", str(tmp_path / "starts"))
    assert outcome(limited) == ("FAILURE", "TimeLimitExceeded")
    assert limited.result.args == (0.5,)
    assert len(read_lines(str(tmp_path / "starts"))) == 1
    assert call(any_pool, f"{kind}.who").get(timeout=TIMEOUT_S)


@kinds
def test_terminated_task_is_revoked(any_pool: Rig, kind: str, tmp_path: Path) -> None:
    from fastworker.exceptions import TaskRevokedError

    path = str(tmp_path / "starts")
    unwanted = call(any_pool, f"{kind}.wait", path)
    wait_until(lambda: read_lines(path), "its start")
    any_pool.app.control.revoke(unwanted.id, terminate=True)
    with pytest.raises(TaskRevokedError, match="terminated"):
        unwanted.get(timeout=TIMEOUT_S)
    assert call(any_pool, f"{kind}.who").get(timeout=TIMEOUT_S)


@kinds
def test_what_a_task_publishes_is_published_before_it_is_done(
    any_pool: Rig, kind: str, tmp_path: Path
) -> None:
    path = str(tmp_path / "lines")
    results = [call(any_pool, f"{kind}.publish", path, 10) for _ in range(8)]
    children = {result.id: result.get(timeout=TIMEOUT_S) for result in results}
    wait_until(lambda: len(read_lines(path)) >= 80, "all that was published", TIMEOUT_S)
    expected = {f"{result.id} {number}" for result in results for number in range(10)}
    assert set(read_lines(path)) == expected
    # Each run knows what it has published itself, and nothing of its neighbours'.
    for result in results:
        assert [child.id for child in result.children] == children[result.id]


@kinds
def test_task_waits_for_its_eta(any_pool: Rig, kind: str) -> None:
    task = any_pool.app.tasks[f"{kind}.who"]
    late, soon = task.apply_async(countdown=1.5), task.delay()
    assert soon.get(timeout=TIMEOUT_S)
    assert late.state == "PENDING"
    assert late.get(timeout=TIMEOUT_S)[0] == late.id


@shared
def test_task_that_leaves_does_not_take_the_others_along(
    sqlite_rig: Rig, pool: str, kind: str, tmp_path: Path
) -> None:
    path = str(tmp_path / "starts")
    sqlite_rig.worker("--pool", pool, concurrency=4)
    neighbour = call(sqlite_rig, f"{kind}.wait", path)
    wait_until(lambda: read_lines(path), "its start")
    assert outcome(call(sqlite_rig, f"{kind}.leave")) == ("FAILURE", "WorkerLostError")
    Path(path + ".go").touch()
    assert neighbour.get(timeout=TIMEOUT_S) == int(read_lines(path)[0])


@pytest.mark.parametrize("pool", ["asyncio", "gevent", "eventlet", "threads with a lifespan"])
def test_code_that_leaves_the_loop_does_not_take_the_others_along(
    sqlite_rig: Rig, tmp_path: Path, pool: str
) -> None:
    path = str(tmp_path / "starts")
    # Where there is a lifespan, the coroutines of all threads are on its loop.
    lifespan = {"POOL_CLOSED": str(tmp_path / "closed")} if "lifespan" in pool else {}
    sqlite_rig.worker("--pool", pool.split()[0], concurrency=4, **lifespan)
    neighbour = call(sqlite_rig, "apool.wait", path)
    wait_until(lambda: read_lines(path), "its start")
    assert outcome(call(sqlite_rig, "apool.leave_in_subtask")) == ("FAILURE", "WorkerLostError")
    Path(path + ".go").touch()
    assert neighbour.get(timeout=TIMEOUT_S) == int(read_lines(path)[0])
    assert outcome(call(sqlite_rig, "apool.fail", "later")) == ("FAILURE", "ValueError")


@pytest.mark.parametrize("pool", POOLS)
def test_soft_limit_ends_what_the_coroutine_has_started(
    sqlite_rig: Rig, pool: str, tmp_path: Path
) -> None:
    path = str(tmp_path / "ends")
    sqlite_rig.worker("--pool", pool, concurrency=2)
    limited = call(sqlite_rig, "apool.soft_with_subtask", path)
    assert outcome(limited) == ("FAILURE", "SoftTimeLimitExceeded")
    wait_until(lambda: read_lines(path) == ["cancelled"], "the end of what it had started")


@shared
def test_receiver_that_leaves_fails_its_task_alone(
    sqlite_rig: Rig, pool: str, kind: str, tmp_path: Path
) -> None:
    sqlite_rig.worker("--pool", pool, concurrency=4, TEST_PRERUN_LEAVES=f"{kind}.who")
    assert outcome(call(sqlite_rig, f"{kind}.who")) == ("FAILURE", "WorkerLostError")
    assert outcome(call(sqlite_rig, f"{kind}.fail", "no")) == ("FAILURE", "ValueError")


@shared
def test_process_of_a_task_that_blocks_is_replaced_and_its_neighbours_run_again(
    rig: Rig, pool: str, kind: str, tmp_path: Path
) -> None:
    path, blocked = str(tmp_path / "starts"), str(tmp_path / "blocked")
    worker = rig.configure(task_max_deliveries=1).worker("--pool", pool, concurrency=4)
    neighbours = [call(rig, f"{kind}.wait", path) for _ in range(2)]
    wait_until(lambda: len(read_lines(path)) == 2, "their starts")
    culprit = call(rig, f"{kind}.block", blocked)
    assert outcome(culprit) == ("FAILURE", "TimeLimitExceeded")
    # Once more, though one delivery is all that they may have: this one was not their fault.
    wait_until(lambda: len(read_lines(path)) == 4, "their second starts", TIMEOUT_S)
    Path(path + ".go").touch()
    second = {int(line) for line in read_lines(path)[2:]}
    assert {neighbour.get(timeout=TIMEOUT_S) for neighbour in neighbours} == second
    assert int(read_lines(blocked)[0]) not in second
    worker.wait_for_line(rf"{culprit.id}\] goes on although it was told to end: .* 2 other task")
    worker.wait_for_line("time.sleep|in ablock|in block")


@shared
def test_tasks_of_a_killed_process_run_again(
    rig: Rig, pool: str, kind: str, tmp_path: Path
) -> None:
    path = str(tmp_path / "starts")
    worker = rig.worker("--pool", pool, concurrency=9)
    results = [call(rig, f"{kind}.wait", path) for _ in range(5)]
    wait_until(lambda: len(read_lines(path)) == 5, "their starts")
    [child] = children_of(worker.pid)
    processes.kill(child.pid)
    # Three at once: the square root of nine.
    wait_until(lambda: len(read_lines(path)) >= 8, "three second starts", TIMEOUT_S)
    fresh = call(rig, f"{kind}.who")
    assert fresh.get(timeout=TIMEOUT_S)[2] not in {int(line) for line in read_lines(path)}
    Path(path + ".go").touch()
    assert all(result.get(timeout=TIMEOUT_S) != child.pid for result in results)
    worker.wait_for_line("while it ran 5 tasks: ")


@shared
def test_task_that_kills_its_process_is_given_up_and_no_neighbour_is(
    rig: Rig, pool: str, kind: str, tmp_path: Path
) -> None:
    path, deaths = str(tmp_path / "starts"), str(tmp_path / "deaths")
    rig.worker("--pool", pool, concurrency=4)
    neighbours = [call(rig, f"{kind}.wait", path) for _ in range(3)]
    wait_until(lambda: len(read_lines(path)) == 3, "their starts")
    poison = call(rig, f"{kind}.die", deaths)
    assert outcome(poison) == ("FAILURE", "WorkerLostError")
    assert len(read_lines(deaths)) == 3
    Path(path + ".go").touch()
    assert all(neighbour.get(timeout=TIMEOUT_S) for neighbour in neighbours)


@shared
def test_warm_shutdown_lets_tasks_end(rig: Rig, pool: str, kind: str, tmp_path: Path) -> None:
    path, closed = str(tmp_path / "starts"), str(tmp_path / "closed")
    worker = rig.worker("--pool", pool, concurrency=3, POOL_CLOSED=closed)
    results = [call(rig, f"{kind}.wait", path) for _ in range(5)]
    wait_until(lambda: len(read_lines(path)) == 3, "three starts")
    worker.signal(signal.SIGTERM)
    worker.wait_for_line("warm shutdown")
    Path(path + ".go").touch()
    assert worker.wait_ended(TIMEOUT_S) == 0
    assert sorted(result.state for result in results) == ["PENDING"] * 2 + ["SUCCESS"] * 3
    assert len(read_lines(closed)) == 1


@shared
def test_cold_shutdown_has_tasks_run_elsewhere(
    rig: Rig, pool: str, kind: str, tmp_path: Path
) -> None:
    path = str(tmp_path / "starts")
    worker = rig.worker("--pool", pool, concurrency=3)
    results = [call(rig, f"{kind}.wait", path) for _ in range(3)]
    wait_until(lambda: len(read_lines(path)) == 3, "three starts")
    worker.signal(signal.SIGQUIT)
    worker.wait_ended(TIMEOUT_S)
    Path(path + ".go").touch()
    rig.worker("--pool", pool, concurrency=3)
    first = {int(line) for line in read_lines(path)[:3]}
    assert all(result.get(timeout=TIMEOUT_S) not in first for result in results)


@pytest.mark.parametrize(
    ("pool", "kind", "count"),
    [
        ("threads", "pool", 40),
        ("asyncio", "apool", 500),
        ("gevent", "pool", 200),
        ("eventlet", "pool", 200),
    ],
)
def test_as_many_tasks_run_at_once_as_there_are_slots(
    rig: Rig, pool: str, kind: str, count: int
) -> None:
    rig.worker("--pool", pool, concurrency=count)
    results = [call(rig, f"{kind}.meet", count) for _ in range(count)]
    assert {result.get(timeout=TIMEOUT_S) for result in results} == {count}


def test_plain_functions_run_in_threads_beside_coroutines(sqlite_rig: Rig) -> None:
    sqlite_rig.worker("--pool", "asyncio", concurrency=8)
    plain = [call(sqlite_rig, "pool.meet", 8) for _ in range(5)]
    coroutines = [call(sqlite_rig, "apool.meet", 8) for _ in range(3)]
    values = [result.get(timeout=TIMEOUT_S) for result in plain + coroutines]
    assert max(values) == 8


@pytest.mark.shows("setting worker_processes", "setting worker_pool")
def test_processes_are_as_many_as_was_said(sqlite_rig: Rig) -> None:
    worker = sqlite_rig.configure(worker_pool="asyncio", worker_processes=2).worker(concurrency=5)
    assert len(children_of(worker.pid)) == 2
    [stats] = sqlite_rig.app.control.inspect(timeout=5).stats().values()
    pool = stats["pool"]
    assert (pool["max-concurrency"], len(pool["processes"])) == (10, 2)
    assert pool["implementation"].endswith("asyncio")


@shared
def test_one_task_at_a_time_is_what_it_says_and_keeps_its_limits(
    sqlite_rig: Rig, pool: str, kind: str
) -> None:
    results = [call(sqlite_rig, f"{kind}.who") for _ in range(30)]
    worker = sqlite_rig.worker("--pool", pool, concurrency=1)
    assert all(result.get(timeout=TIMEOUT_S) for result in results)
    assert call(sqlite_rig, f"{kind}.soft").get(timeout=TIMEOUT_S) == "cleaned up"
    lone = [call(sqlite_rig, f"{kind}.alone") for _ in range(4)]
    assert [result.get(timeout=TIMEOUT_S) for result in lone] == [1] * 4
    assert "prematurely" not in worker.log


@pytest.mark.parametrize("pool", [pool for pool, _ in SHARED])
def test_autoscaled_pool_of_shared_processes_follows_the_tasks(
    sqlite_rig: Rig, gate: Gate, pool: str
) -> None:
    rig = sqlite_rig
    worker = rig.worker("--pool", pool, "--autoscale", "6,2", AUTOSCALE_KEEPALIVE="1")
    assert len(children_of(worker.pid)) == 1
    results = [rig.task("hold").delay(gate.path) for _ in range(7)]
    gate.wait_started(6, timeout_s=TIMEOUT_S)
    assert len(set(gate.starts)) == 3, "two tasks in each of three processes"
    gate.release(7)
    for result in results:
        result.get(timeout=TIMEOUT_S)
    wait_until(lambda: len(children_of(worker.pid)) == 1, "the pool to shrink", TIMEOUT_S)
    assert rig.task("add").delay(1, 1).get(timeout=TIMEOUT_S) == 2
