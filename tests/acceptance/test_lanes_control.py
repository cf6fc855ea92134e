"""A node with lanes is one node to whoever asks or orders it; what is for one lane names it."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import Any

import pytest

from tests.support.apps import AppSpec
from tests.support.gate import Gate, read_lines
from tests.support.lanes import IO, TIMEOUT_S, ask, call, depth, pids_of, start
from tests.support.rig import PRODUCT, Rig
from tests.support.waiting import wait_until
from tests.support.workers import WorkerProcess, command

pytestmark = pytest.mark.skipif(PRODUCT == "celery", reason="Celery has one pool a worker")


def test_task_is_terminated_in_whatever_lane(rig: Rig, gate: Gate, tmp_path: Path) -> None:
    path = str(tmp_path / "waiting")
    start(rig)
    held = call(rig, "parse", "proj.hold", gate.path)
    waiting = call(rig, "crawl", "apool.wait", path)
    gate.wait_started()
    wait_until(lambda: read_lines(path), "the coroutine to wait")
    active = {task["id"]: (task["lane"], task["worker_pid"]) for task in ask(rig, "active")}
    assert active == {
        held.id: ("cpu", gate.starts[0]),
        waiting.id: ("io", int(read_lines(path)[0])),
    }
    assert ask(rig, "revoke", task_id=held.id, terminate=True) == {"ok": f"terminate: {held.id}"}
    answer = ask(rig, "revoke", task_id=waiting.id, terminate=True)
    assert answer == {"ok": f"terminate: {waiting.id}"}
    for result in (held, waiting):
        result.get(timeout=TIMEOUT_S, propagate=False)
        assert result.state == "REVOKED"
    assert len(gate.starts) == 1


@pytest.mark.parametrize("queue", ["parse", "crawl"])
def test_revoked_task_does_not_start_in_whatever_lane(rig: Rig, queue: str, tmp_path: Path) -> None:
    path = str(tmp_path / "effects")
    start(rig)
    unwanted = rig.app.tasks["proj.record"].apply_async(
        (path, "unwanted"), queue=queue, countdown=1
    )
    ask(rig, "revoke", task_id=unwanted.id)
    call(rig, queue, "proj.record", path, "wanted").get(timeout=TIMEOUT_S)
    unwanted.get(timeout=TIMEOUT_S, propagate=False)
    assert (unwanted.state, read_lines(path)) == ("REVOKED", ["wanted"])
    assert ask(rig, "revoked") == [unwanted.id]


def test_queues_come_to_a_lane_and_go(rig: Rig) -> None:
    start(rig)
    early = call(rig, "late", "pool.who")
    refused = ask(rig, "add_consumer", queue="late")
    assert "has the lanes cpu, io" in refused["error"]
    added = ask(rig, "add_consumer", queue="late", lane="io")
    assert added == {"ok": "add consumer late"}
    assert early.get(timeout=TIMEOUT_S)[2] in pids_of(rig, "io")
    queues = {queue["name"]: queue["lane"] for queue in ask(rig, "active_queues")}
    assert queues == {"parse": "cpu", "crawl": "io", "late": "io"}
    ask(rig, "cancel_consumer", queue="late")
    waits = call(rig, "late", "pool.who")
    assert call(rig, "crawl", "pool.who").get(timeout=TIMEOUT_S)
    assert depth(rig, "late") == 1
    ask(rig, "add_consumer", queue="late", lane="cpu")
    assert waits.get(timeout=TIMEOUT_S)[2] in pids_of(rig, "cpu")


@pytest.mark.shows("control pool_shrink")
def test_lane_grows_and_shrinks_and_scales(rig: Rig, gate: Gate) -> None:
    rig.worker(*("--lane", "cpu=parse,processes,1,autoscale=3", *IO), concurrency=None)
    assert "has the lanes cpu, io" in ask(rig, "pool_grow")["error"]
    assert ask(rig, "pool_grow", n=1, lane="io") == {"ok": "pool will grow"}
    wait_until(lambda: len(pids_of(rig, "io")) == 2, "another process", TIMEOUT_S)
    ask(rig, "pool_shrink", n=1, lane="io")
    wait_until(lambda: len(pids_of(rig, "io")) == 1, "one process less", TIMEOUT_S)
    assert "with autoscale" in ask(rig, "pool_grow", lane="cpu")["error"]
    for _ in range(5):
        call(rig, "parse", "proj.hold", gate.path)
    gate.wait_started(3)
    assert ask(rig, "stats")["lanes"]["cpu"]["autoscaler"] == {
        "max": 3,
        "min": 1,
        "current": 3,
        "qty": 0,
    }
    assert ask(rig, "autoscale", max=4, min=1, lane="cpu") == {"ok": "autoscale now max=4 min=1"}
    gate.wait_started(4)
    gate.release(5)


def test_command_line_says_which_lane(rig: Rig) -> None:
    def control(*words: str) -> WorkerProcess:
        asked = rig.run(
            command("fastworker"),
            *("-A", "tests.support.worker_app", "control", *words),
            environment=rig.spec.environment(),
        )
        asked.wait_ended()
        return asked

    start(rig)
    assert "pool will grow" in control("--lane", "io", "pool_grow").log
    wait_until(lambda: len(pids_of(rig, "io")) == 2, "another process", TIMEOUT_S)
    added = control("--lane", "io", "add_consumer", "late")
    assert "add consumer late" in added.log
    assert call(rig, "late", "pool.who").get(timeout=TIMEOUT_S)[2] in pids_of(rig, "io")
    unknown = control("--lane", "gpu", "pool_grow")
    assert "no lane 'gpu'; expected one of cpu, io" in unknown.log
    refused = control("--lane", "io", "revoke", "id")
    assert refused.returncode == 2
    assert "--lane: revoke is for a worker, whatever its lanes" in refused.log


def test_limits_of_a_task_are_changed_in_every_lane(rig: Rig, tmp_path: Path) -> None:
    start(rig)
    assert ask(rig, "time_limit", task_name="apool.wait", soft=None, hard=0.2)["ok"]
    assert ask(rig, "rate_limit", task_name="proj.now", rate_limit="5/s")["ok"]
    for queue in ("parse", "crawl"):
        ended = call(rig, queue, "apool.wait", str(tmp_path / "waiting"))
        ended.get(timeout=TIMEOUT_S, propagate=False)
        assert ended.result.args == (0.2,)
        calls = [call(rig, queue, "proj.now") for _ in range(4)]
        times = sorted(result.get(timeout=TIMEOUT_S) for result in calls)
        assert times[3] - times[0] >= 0.55


def test_state_file_is_of_the_whole_node(rig: Rig, tmp_path: Path) -> None:
    path = str(tmp_path / "effects")
    worker = start(rig, "--statedb", str(tmp_path / "state"))
    ask(rig, "revoke", task_id=["one", "two"])
    assert worker.stop() == 0
    if rig.is_redis:
        rig.redis().flushdb()
    start(rig, "--statedb", str(tmp_path / "state"))
    for queue, task_id in (("parse", "one"), ("crawl", "two")):
        unwanted = rig.app.tasks["proj.record"].apply_async(
            (path, task_id), queue=queue, task_id=task_id
        )
        unwanted.get(timeout=TIMEOUT_S, propagate=False)
        assert unwanted.state == "REVOKED"
    assert read_lines(path) == []


def test_real_celery_is_answered_once_for_the_node(
    redis_url: str, tmp_path: Path, gate: Gate
) -> None:
    with contextlib.ExitStack() as stack:
        rig = Rig(AppSpec(PRODUCT, redis_url, redis_url), tmp_path, stack)
        start(rig, "-n", "w@here")
        held = call(rig, "parse", "proj.hold", gate.path)
        gate.wait_started()
        active = celery(rig, "inspect", "active")
        assert list(active) == ["w@here"]
        assert [(task["id"], task["lane"]) for task in active["w@here"]] == [(held.id, "cpu")]
        [queues] = celery(rig, "inspect", "active_queues").values()
        assert [(queue["name"], queue["lane"]) for queue in queues] == [
            ("parse", "cpu"),
            ("crawl", "io"),
        ]
        [stats] = celery(rig, "inspect", "stats").values()
        assert stats["pool"]["max-concurrency"] == 52
        assert sorted(stats["lanes"]) == ["cpu", "io"]
        assert celery(rig, "inspect", "ping") == {"w@here": {"ok": "pong"}}
        terminated = celery(rig, "control", "terminate", "TERM", held.id)
        assert terminated == [{"w@here": {"ok": f"terminate: {held.id}"}}]
        held.get(timeout=TIMEOUT_S, propagate=False)
        assert held.state == "REVOKED"


def celery(rig: Rig, *words: str) -> Any:
    """What a command of the real Celery on the same database prints as JSON."""
    asked = rig.run(
        command("celery"),
        *("-A", "tests.support.worker_app", *words, "--json"),
        environment=rig.spec.of("celery").environment(),
    )
    assert asked.wait_ended() == 0, asked.log
    return json.loads(asked.log)
