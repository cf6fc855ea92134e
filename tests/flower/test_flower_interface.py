"""The real Flower, by its HTTP interface: what it learns of our workers is complete, comes in time and is what Celery's
workers say; what it orders is done.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.flower.conftest import NODE, TIMEOUT_S, Station
from tests.support.gate import Gate
from tests.support.rig import PRODUCT
from tests.support.waiting import wait_until

pytestmark = pytest.mark.skipif(PRODUCT == "celery", reason="Flower is made for it")

MakeStation = Callable[..., Station]
LISTS = ("scheduled", "active", "reserved", "revoked")
#: Whose application, and its broker. With those of the orders below, each of one on each of the other.
KINDS = [("fastworker", "rabbit"), ("celery", "redis")]


@pytest.mark.shows("program Flower")
@pytest.mark.parametrize(("framework", "broker"), KINDS)
def test_flower_learns_all_about_a_worker(
    make_station: MakeStation, gate: Gate, framework: str, broker: str
) -> None:
    station = make_station(framework, broker, worker_prefetch_multiplier=4)
    station.worker(concurrency=1)
    running = station.task("hold").delay(gate.path)
    gate.wait_started()
    later = station.task("add").apply_async((1, 2), countdown=500)
    wait_until(lambda: station.ask("scheduled"), "the second task in the worker")
    station.client.control.revoke("nobody")
    flower = station.flower()
    known = flower.worker(NODE)
    asked = ("stats", "active_queues", "registered", "conf", *LISTS)
    assert {*known} == {*asked, "timestamp"}
    assert [task["id"] for task in known["active"]] == [running.id]
    # What cannot start soon goes back to its queue.
    assert known["reserved"] == []
    assert [task["request"]["id"] for task in known["scheduled"]] == [later.id]
    assert "nobody" in known["revoked"]
    assert [queue["name"] for queue in known["active_queues"]] == ["celery"]
    assert "proj.add" in known["registered"]
    assert known["conf"]["worker_prefetch_multiplier"] == 4
    stats = known["stats"]
    assert stats["broker"]["transport"] == {"redis": "redis", "rabbit": "amqp"}[broker]
    assert stats["pool"]["max-concurrency"] == len(stats["pool"]["processes"]) == 1
    assert stats["pool"]["writes"]["total"] == 1
    assert stats["total"] == {"proj.hold": 1}
    gate.release()
    assert running.get(timeout=TIMEOUT_S) == stats["pool"]["processes"][0]
    assert flower.complaints == []


@pytest.mark.shows("control pool_grow", "control pool_shrink")
@pytest.mark.parametrize(("framework", "broker"), [("fastworker", "redis"), ("celery", "rabbit")])
def test_what_flower_orders_is_done(
    make_station: MakeStation, gate: Gate, framework: str, broker: str
) -> None:
    station = make_station(framework, broker)
    worker = station.worker()
    flower = station.flower()
    flower.worker(NODE)

    def order(path: str, **fields: Any) -> str:
        status, text = flower.post(path, workername=NODE, **fields)
        assert status == 200, text
        return text

    def processes() -> int:
        return len(station.ask("stats")["pool"]["processes"])

    assert "Growing" in order(f"/api/worker/pool/grow/{NODE}", n=2)
    wait_until(lambda: processes() == 4, "four processes")
    assert "Shrinking" in order(f"/api/worker/pool/shrink/{NODE}", n=3)
    wait_until(lambda: processes() == 1, "one process")
    assert "add consumer more" in order(f"/api/worker/queue/add-consumer/{NODE}", queue="more")
    assert station.task("add").apply_async((1, 2), queue="more").get(timeout=TIMEOUT_S) == 3
    assert "no longer" in order(f"/api/worker/queue/cancel-consumer/{NODE}", queue="more")
    assert [queue["name"] for queue in station.ask("active_queues")] == ["celery"]
    order("/api/task/rate-limit/proj.add", ratelimit="5")
    order("/api/task/timeout/proj.add", soft=7, hard=9)
    items = ["rate_limit", "soft_time_limit", "time_limit"]
    [shown] = [
        task
        for task in station.ask("registered", taskinfoitems=items)
        if task.startswith("proj.add ")
    ]
    assert shown == "proj.add [rate_limit=5 soft_time_limit=7.0 time_limit=9.0]"
    assert flower.complaints == []
    for path, fields, reason in (
        (f"/api/worker/pool/restart/{NODE}", {}, "Pool restarts not enabled"),
        (f"/api/worker/pool/autoscale/{NODE}", {"min": 1, "max": 2}, "Autoscale not enabled"),
        ("/api/task/rate-limit/proj.add", {"ratelimit": "x"}, "Invalid rate limit"),
    ):
        status, text = flower.post(path, workername=NODE, **fields)
        assert (status, reason in text) == (403, True), text
    running = station.task("hold").delay(gate.path)
    gate.wait_started()
    status, _ = flower.post(f"/api/task/revoke/{running.id}", terminate="true", signal="SIGKILL")
    assert status == 200
    wait_until(lambda: running.state == "REVOKED", "the end of the task")
    order(f"/api/worker/shutdown/{NODE}")
    assert worker.wait_ended() == 0


def test_flower_scales_and_restarts_a_pool(make_station: MakeStation) -> None:
    station = make_station("fastworker", worker_pool_restarts=True)
    station.worker("--autoscale", "3,1")
    flower = station.flower()
    before = flower.worker(NODE)["stats"]["pool"]["processes"]
    status, text = flower.post(f"/api/worker/pool/autoscale/{NODE}", min=2, max=5)
    assert status == 200, text
    wait_until(lambda: len(station.ask("stats")["pool"]["processes"]) >= 2, "two processes")
    assert station.ask("stats")["autoscaler"].items() >= {"min": 2, "max": 5}.items()
    status, text = flower.post(f"/api/worker/pool/restart/{NODE}")
    assert status == 200, text
    wait_until(
        lambda: not {*before} & {*station.ask("stats")["pool"]["processes"]}, "other processes"
    )
    assert station.task("add").delay(1, 2).get(timeout=TIMEOUT_S) == 3
    assert flower.complaints == []
