"""A worker on RabbitMQ: what is particular about that broker, and that nothing is lost on it."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from fastworker import chord, group
from fastworker.exceptions import WorkerLostError
from tests.support.apps import AppSpec
from tests.support.gate import Gate, read_lines
from tests.support.rabbitmq import VirtualHost
from tests.support.rig import PRODUCT, Rig
from tests.support.waiting import wait_until

TIMEOUT_S = 60

pytestmark = pytest.mark.skipif(PRODUCT == "celery", reason="what our driver does")


@pytest.fixture
def rabbit_rig(rabbit: VirtualHost, sqlite_url: str, tmp_path: Path) -> Iterator[Rig]:
    with contextlib.ExitStack() as stack:
        yield Rig(AppSpec("fastworker", rabbit.url, sqlite_url), tmp_path, stack)


def test_tasks_run_and_results_come_back(rabbit_rig: Rig, rabbit: VirtualHost) -> None:
    worker = rabbit_rig.worker()
    add = rabbit_rig.task("add")
    assert [add.delay(n, 1).get(TIMEOUT_S) for n in range(20)] == list(range(1, 21))
    header = group(add.s(n, n) for n in range(10))
    assert header.apply_async().get(timeout=TIMEOUT_S) == [2 * n for n in range(10)]
    assert worker.stop() == 0
    assert rabbit.queues()["celery"] == (0, 0)


def test_chord_runs_with_results_elsewhere(rabbit_rig: Rig) -> None:
    rabbit_rig.worker()
    add, echo = rabbit_rig.task("add"), rabbit_rig.task("echo")
    result = chord([add.s(n, n) for n in range(20)], echo.s()).apply_async()
    assert str([2 * n for n in range(20)]) in str(result.get(timeout=TIMEOUT_S))


@pytest.mark.shows("setting broker_native_delayed_delivery_queue_type", "setting broker_heartbeat")
def test_countdown_and_remote_control(rabbit_rig: Rig, rabbit: VirtualHost) -> None:
    rabbit_rig.configure(
        worker_eta_horizon=1,
        broker_native_delayed_delivery_queue_type="classic",
        broker_heartbeat=7,
    )
    rabbit_rig.worker("-n", "w@here")
    add = rabbit_rig.task("add")
    parked = add.apply_async((2, 2), countdown=3)
    assert rabbit_rig.app.control.ping(["w@here"], timeout=5) == [{"w@here": {"ok": "pong"}}]
    assert parked.get(TIMEOUT_S) == 4
    delayed = {name: kind for name, kind in rabbit.types().items() if "delayed" in name}
    # Those of the bits of two seconds or less, and none of the other 26.
    assert delayed
    assert delayed.keys() <= {"celery_delayed_0", "celery_delayed_1"}
    assert set(delayed.values()) == {"classic"}
    assert 7 in rabbit.heartbeats()


@pytest.mark.shows("setting task_default_queue_type", "setting task_create_missing_queue_type")
def test_queues_have_the_type_that_the_settings_say(rabbit_rig: Rig, rabbit: VirtualHost) -> None:
    rabbit_rig.configure(task_default_queue_type="quorum", task_create_missing_queue_type="quorum")
    add = rabbit_rig.task("add")
    add.apply_async((1, 1))
    add.apply_async((1, 1), queue="fresh")
    assert rabbit.types() == {"celery": "quorum", "fresh": "quorum"}


def test_connections_closed_by_the_server_lose_nothing(
    rabbit_rig: Rig, rabbit: VirtualHost, tmp_path: Path
) -> None:
    path = str(tmp_path / "effects")
    worker = rabbit_rig.worker()
    record = rabbit_rig.task("record_by")
    for number in range(600):
        record.apply_async((path, str(number)), ignore_result=True)
        if number % 200 == 100:
            rabbit.close_connections()
    wait_until(lambda: len(read_lines(path)) >= 600, "every effect", TIMEOUT_S)
    wait_until(lambda: rabbit.queues()["celery"] == (0, 0), "an empty queue", TIMEOUT_S)
    numbers = Counter(int(line.split()[0]) for line in read_lines(path))
    assert set(numbers) == set(range(600))
    assert "the connection was lost" in worker.log
    assert worker.stop() == 0


@pytest.mark.shows("setting worker_cancel_long_running_tasks_on_connection_loss")
def test_what_runs_when_its_lease_is_lost_is_cancelled_when_told_to(
    rabbit_rig: Rig, rabbit: VirtualHost, gate: Gate
) -> None:
    rabbit_rig.configure(worker_cancel_long_running_tasks_on_connection_loss=True)
    worker = rabbit_rig.worker(concurrency=1)
    result = rabbit_rig.task("hold").delay(gate.path)
    [first] = gate.wait_started(1)
    rabbit.close_connections()
    worker.wait_for_line(rf"{result.id}\] is cancelled: the connection was lost")
    second = gate.wait_started(2, TIMEOUT_S)[1]
    assert not Path(f"/proc/{first}").exists()
    gate.release()
    assert result.get(timeout=TIMEOUT_S) == second
    assert worker.stop() == 0
    assert "ended prematurely" not in worker.log


def test_what_runs_when_its_lease_is_lost_may_end_unless_told_otherwise(
    rabbit_rig: Rig, rabbit: VirtualHost, gate: Gate
) -> None:
    worker = rabbit_rig.worker(concurrency=1)
    rabbit_rig.task("hold").delay(gate.path)
    [first] = gate.wait_started(1)
    rabbit.close_connections()
    worker.wait_for_line("the connection was lost, and all leases with it")
    worker.wait_for_line("the leases are refreshed again")
    assert Path(f"/proc/{first}").exists()
    gate.release(2)


def test_task_that_kills_its_process_is_not_run_for_ever(rabbit_rig: Rig, tmp_path: Path) -> None:
    path = tmp_path / "started"
    rabbit_rig.configure(task_max_deliveries=2)
    rabbit_rig.worker()
    with pytest.raises(WorkerLostError):
        rabbit_rig.task("die").delay(str(path)).get(timeout=TIMEOUT_S)
    assert len(read_lines(str(path))) == 2


def test_what_a_killed_node_held_runs_elsewhere(rabbit_rig: Rig, tmp_path: Path) -> None:
    path = str(tmp_path / "effects")
    record = rabbit_rig.task("record_by")
    for number in range(300):
        record.apply_async((path, str(number)), ignore_result=True)
    doomed = rabbit_rig.worker("-n", "doomed@here")
    doomed.kill_node()
    rabbit_rig.worker("-n", "heir@here")
    wait_until(
        lambda: {int(line.split()[0]) for line in read_lines(path)} == set(range(300)),
        "every effect",
        TIMEOUT_S,
    )


def test_shared_rate_limit_is_refused_at_the_start(rabbit_rig: Rig) -> None:
    rabbit_rig.configure(
        task_annotations={"proj.add": {"rate_limit": "5/s", "rate_limit_scope": "cluster"}}
    )
    with pytest.raises(TimeoutError, match="RabbitMQ keeps no count"):
        rabbit_rig.worker()
