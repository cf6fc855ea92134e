"""One worker with several pools, each with queues of its own: what fills, breaks or kills one lane is not the others'
business, and whoever asks the node is answered for all of them.
"""

from __future__ import annotations

import json
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support import processes
from tests.support.gate import Gate, read_lines
from tests.support.rig import PRODUCT, Rig
from tests.support.waiting import wait_until
from tests.support.workers import WorkerProcess, command

pytestmark = pytest.mark.skipif(PRODUCT == "celery", reason="Celery has one pool a worker")

TIMEOUT_S = 30
CPU = ("--lane", "cpu=parse,processes,2")
IO = ("--lane", "io=crawl,asyncio,50")


def start(rig: Rig, *options: str, **environment: str) -> WorkerProcess:
    """A worker with the lanes cpu and io."""
    return rig.worker(*CPU, *IO, *options, concurrency=None, **environment)


def call(rig: Rig, queue: str, name: str, *args: Any) -> Any:
    """Publish a task to a queue."""
    return rig.app.tasks[name].apply_async(args, queue=queue)


def ask(rig: Rig, method: str, **arguments: Any) -> Any:
    """The one node's answer."""
    replies = rig.app.control.broadcast(method, arguments, reply=True, timeout=TIMEOUT_S, limit=1)
    [[reply]] = [list(each.values()) for each in replies]
    return reply


def pids_of(rig: Rig, lane: str) -> list[int]:
    """A lane's children."""
    found: list[int] = ask(rig, "stats")["lanes"][lane]["pool"]["processes"]
    return found


def zygote_of(child: int) -> int:
    """What has made a child, as long as it lives."""
    row = processes.read(child)
    assert row is not None
    return row.parent


def depth(rig: Rig, queue: str) -> int:
    """How many messages wait in a queue."""
    return int(rig.app.publishing.publisher.depth(queue))


@pytest.mark.shows("route --lane")
def test_crawl_and_its_parsing_share_a_worker(rig: Rig, tmp_path: Path) -> None:
    rig.configure(task_routes={"proj.record": "parse", "apool.publish": "crawl"})
    path = str(tmp_path / "parsed")
    worker = start(rig)
    crawls = [rig.app.tasks["apool.publish"].delay(path, 5) for _ in range(40)]
    for crawled in crawls:
        assert len(crawled.get(timeout=TIMEOUT_S)) == 5
    wait_until(lambda: len(read_lines(path)) == 200, "200 pages to be parsed", TIMEOUT_S)
    assert sorted(read_lines(path)) == sorted(
        f"{crawled.id} {number}" for crawled in crawls for number in range(5)
    )
    lanes = ask(rig, "stats")["lanes"]
    assert {lane: len(lanes[lane]["pool"]["processes"]) for lane in lanes} == {"cpu": 2, "io": 1}
    [crawler] = pids_of(rig, "io")
    assert call(rig, "crawl", "apool.who").get(timeout=TIMEOUT_S)[2] == crawler
    assert call(rig, "parse", "pool.who").get(timeout=TIMEOUT_S)[2] in pids_of(rig, "cpu")
    worker.wait_for_line(r"INFO/MainProcess/io\] Task apool\.publish\[.*received")
    worker.wait_for_line(r"INFO/ForkPoolWorker-\d+/cpu\] Task proj\.record\[.*succeeded")
    worker.wait_for_line(rf"INFO/ForkPoolWorker-\d+/io\] Task apool\.who\[.*{crawler}")


@pytest.mark.shows("setting worker_lanes")
def test_setting_makes_the_same_lanes(rig: Rig) -> None:
    rig.configure(
        worker_lanes={
            "cpu": {"queues": ["parse"], "pool": "processes", "concurrency": 1},
            "io": {"queues": ["crawl"], "pool": "asyncio", "concurrency": 7, "processes": 2},
        }
    )
    rig.worker(concurrency=None)
    lanes = ask(rig, "stats")["lanes"]
    sizes = {name: lane["pool"]["max-concurrency"] for name, lane in lanes.items()}
    assert sizes == {"cpu": 1, "io": 14}
    assert {name: lane["queues"] for name, lane in lanes.items()} == {
        "cpu": ["parse"],
        "io": ["crawl"],
    }
    assert call(rig, "parse", "pool.who").get(timeout=TIMEOUT_S)[2] in pids_of(rig, "cpu")
    assert call(rig, "crawl", "pool.who").get(timeout=TIMEOUT_S)[2] in pids_of(rig, "io")


def test_lane_full_of_waiting_coroutines_does_not_hold_up_the_other(
    rig: Rig, tmp_path: Path
) -> None:
    path = str(tmp_path / "waiting")
    # Each lane holds no more than it runs, so that neither could take what the other cannot.
    start(rig, "--prefetch-multiplier", "1")
    waiting = [call(rig, "crawl", "apool.wait", path) for _ in range(80)]
    wait_until(lambda: len(read_lines(path)) == 50, "the lane to be full", TIMEOUT_S)
    for number in range(50):
        assert call(rig, "parse", "proj.add", number, 1).get(timeout=TIMEOUT_S) == number + 1
    assert len(read_lines(path)) == 50
    Path(path + ".go").touch()
    pids = {result.get(timeout=TIMEOUT_S) for result in waiting}
    assert pids == set(pids_of(rig, "io"))


def test_lane_full_of_work_does_not_hold_up_the_other(rig: Rig, gate: Gate) -> None:
    start(rig, "--prefetch-multiplier", "1")
    held = [call(rig, "parse", "proj.hold", gate.path) for _ in range(10)]
    gate.wait_started(2)
    crawled = [call(rig, "crawl", "apool.who") for _ in range(100)]
    [crawler] = pids_of(rig, "io")
    assert {result.get(timeout=TIMEOUT_S)[2] for result in crawled} == {crawler}
    assert len(gate.starts) == 2
    gate.release(10)
    assert {result.get(timeout=TIMEOUT_S) for result in held} <= set(pids_of(rig, "cpu"))


def test_dead_child_harms_its_own_lane_alone(rig: Rig, gate: Gate, tmp_path: Path) -> None:
    path = str(tmp_path / "waiting")
    start(rig)
    waiting = call(rig, "crawl", "apool.wait", path)
    held = call(rig, "parse", "proj.hold", gate.path)
    [victim] = gate.wait_started(1)
    wait_until(lambda: read_lines(path), "the coroutine to wait")
    processes.kill(victim)
    gate.wait_started(2)
    gate.release(2)
    assert held.get(timeout=TIMEOUT_S) != victim
    [crawler] = pids_of(rig, "io")
    Path(path + ".go").touch()
    assert waiting.get(timeout=TIMEOUT_S) == crawler
    assert read_lines(path) == [str(crawler)]


@pytest.mark.parametrize(
    ("lane", "queue", "other"), [("cpu", "parse", "crawl"), ("io", "crawl", "parse")]
)
def test_dead_zygote_is_replaced_in_its_lane(
    rig: Rig, gate: Gate, lane: str, queue: str, other: str
) -> None:
    worker = start(rig)
    held = call(rig, other, "proj.hold", gate.path)
    gate.wait_started(1)
    before = pids_of(rig, lane)
    processes.kill(zygote_of(before[0]))
    worker.wait_for_line(rf"ERROR/MainProcess/{lane}\] the zygote process died; starting another")
    # Its children have outlived it, and work.
    assert call(rig, queue, "pool.who").get(timeout=TIMEOUT_S)[2] in before
    for child in before:
        processes.kill(child)
    assert call(rig, queue, "pool.who").get(timeout=TIMEOUT_S)[2] not in before
    wait_until(lambda: len(pids_of(rig, lane)) == len(before), "new children", TIMEOUT_S)
    gate.release()
    assert held.get(timeout=TIMEOUT_S)
    assert len(gate.starts) == 1
    worker.wait_for_line(rf"/ForkPoolWorker-\d+/{lane}\] Task pool\.who\[.*succeeded")


def test_zygotes_hold_no_sockets_to_each_other(rig: Rig) -> None:
    worker = start(rig)
    children = {lane: pids_of(rig, lane)[0] for lane in ("cpu", "io")}
    for lane, child in children.items():
        row = processes.read(child)
        assert row is not None
        held = sockets_of(row.parent)
        # To the parent, and the two ends of the bell.
        assert len(held) == 3, (lane, held)
    assert worker.stop() == 0


def sockets_of(pid: int) -> list[str]:
    """The sockets that a process has open."""
    links = (link.readlink() for link in Path(f"/proc/{pid}/fd").iterdir())
    return [str(link) for link in links if str(link).startswith("socket:")]


def test_warm_shutdown_waits_for_every_lane_and_answers_meanwhile(
    rig: Rig, gate: Gate, tmp_path: Path
) -> None:
    path = str(tmp_path / "waiting")
    worker = start(rig)
    held = call(rig, "parse", "proj.hold", gate.path)
    waiting = call(rig, "crawl", "apool.wait", path)
    gate.wait_started()
    wait_until(lambda: read_lines(path), "the coroutine to wait")
    worker.signal(signal.SIGTERM)
    worker.wait_for_line("SIGTERM: warm shutdown")
    gate.release()
    assert held.get(timeout=TIMEOUT_S)
    later = call(rig, "parse", "proj.add", 1, 1)
    # The lane that heard first has ended by now, or is about to: the other hears too.
    wait_until(
        lambda: [task["lane"] for task in ask(rig, "active")] == ["io"], "one lane to be left"
    )
    assert worker.returncode is None
    Path(path + ".go").touch()
    assert worker.wait_ended() == 0
    assert waiting.get(timeout=TIMEOUT_S)
    assert depth(rig, "parse") == 1, "nothing starts after the signal"
    worker.wait_no_members(5)
    rig.worker("-Q", "parse")
    assert later.get(timeout=TIMEOUT_S) == 2


def test_cold_shutdown_gives_back_what_runs_in_every_lane(
    rig: Rig, gate: Gate, tmp_path: Path
) -> None:
    path = str(tmp_path / "waiting")
    worker = start(rig)
    held = call(rig, "parse", "proj.hold", gate.path)
    waiting = call(rig, "crawl", "apool.wait", path)
    gate.wait_started()
    wait_until(lambda: read_lines(path), "the coroutine to wait")
    worker.signal(signal.SIGQUIT)
    assert worker.wait_ended() == 0
    worker.wait_no_members(5)
    Path(path + ".go").touch()
    gate.release(2)
    start(rig)
    assert held.get(timeout=TIMEOUT_S)
    assert waiting.get(timeout=TIMEOUT_S)
    assert (len(gate.starts), len(read_lines(path))) == (2, 2)


def test_dead_node_loses_nothing_of_any_lane(rig: Rig, gate: Gate, tmp_path: Path) -> None:
    rig.configure(worker_lease_life=2)
    path = str(tmp_path / "waiting")
    worker = start(rig)
    held = call(rig, "parse", "proj.hold", gate.path)
    waiting = call(rig, "crawl", "apool.wait", path)
    gate.wait_started()
    wait_until(lambda: read_lines(path), "the coroutine to wait")
    worker.kill()
    worker.wait_no_members()
    Path(path + ".go").touch()
    gate.release(2)
    start(rig)
    assert held.get(timeout=TIMEOUT_S)
    assert waiting.get(timeout=TIMEOUT_S)


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


def test_spawned_children_are_their_lanes_too(rig: Rig) -> None:
    worker = start(rig, "--pool-start-method", "spawn")
    for lane, queue in (("cpu", "parse"), ("io", "crawl")):
        before = pids_of(rig, lane)
        assert call(rig, queue, "pool.who").get(timeout=TIMEOUT_S)[2] in before
        processes.kill(zygote_of(before[0]))
        for child in before:
            processes.kill(child)
        assert call(rig, queue, "pool.who").get(timeout=TIMEOUT_S)[2] not in before
        worker.wait_for_line(rf"/ForkPoolWorker-\d+/{lane}\] Task pool\.who\[.*succeeded")


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


@pytest.mark.shows("setting worker_max_tasks_per_child")
def test_children_are_replaced_in_the_lane_that_wants_it(rig: Rig) -> None:
    rig.worker(*("--lane", "cpu=parse,processes,1,max-tasks-per-child=2", *IO), concurrency=None)
    pids = {
        queue: {call(rig, queue, "pool.who").get(timeout=TIMEOUT_S)[2] for _ in range(6)}
        for queue in ("parse", "crawl")
    }
    assert len(pids["parse"]) == 3
    assert len(pids["crawl"]) == 1


def test_limit_of_each_worker_is_said_to_be_each_lanes(rig: Rig) -> None:
    rig.configure(task_annotations={"proj.add": {"rate_limit": "100/s"}})
    worker = start(rig)
    for _ in range(3):
        for queue in ("parse", "crawl"):
            call(rig, queue, "proj.add", 1, 1).get(timeout=TIMEOUT_S)
            call(rig, queue, "proj.echo").get(timeout=TIMEOUT_S)
    said = worker.wait_for_line(
        r"task (\S+) has a rate limit for each worker and comes to the lanes"
    )
    assert said[1] == "proj.add"
    assert worker.log.count("has a rate limit for each worker") == 1


def test_rate_limited_task_of_one_lane_waits_for_its_permit_there(rig: Rig, tmp_path: Path) -> None:
    rig.configure(task_annotations={"proj.now": {"rate_limit": "5/s"}})
    start(rig)
    times = sorted(
        result.get(timeout=TIMEOUT_S)
        for result in [call(rig, "crawl", "proj.now") for _ in range(4)]
    )
    assert times[3] - times[0] >= 0.55
    assert call(rig, "parse", "proj.add", 1, 1).get(timeout=TIMEOUT_S) == 2


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


def test_purge_empties_the_queues_of_all_lanes_and_no_other(rig: Rig) -> None:
    for queue in ("parse", "crawl", "celery"):
        call(rig, queue, "proj.add", 1, 1)
    start(rig, "--purge")
    assert [depth(rig, queue) for queue in ("parse", "crawl", "celery")] == [0, 0, 1]
    assert ask(rig, "stats")["total"] == {}


@pytest.mark.parametrize("pool", ["gevent", "eventlet"])
def test_greenlets_are_patched_in_their_own_lane_alone(rig: Rig, pool: str) -> None:
    rig.worker(
        *CPU, "--lane", f"green=crawl,{pool},20", "--lane", "few=few,threads,3", concurrency=None
    )
    where = {
        queue: call(rig, queue, "greenlets.imported").get(timeout=TIMEOUT_S)
        for queue in ("parse", "crawl", "few")
    }
    assert where["crawl"].startswith(pool)
    assert (where["parse"], where["few"]) == ("socket", "socket")
    met = [call(rig, "crawl", "pool.meet", 15) for _ in range(15)]
    assert max(result.get(timeout=TIMEOUT_S) for result in met) == 15


def test_lane_that_cannot_go_on_ends_the_worker_after_the_others_tasks(
    rig: Rig, gate: Gate, tmp_path: Path
) -> None:
    worker = start(rig)
    held = call(rig, "parse", "proj.hold", gate.path)
    gate.wait_started()
    for count in range(1, 7):
        processes.kill(zygote_of_lane(worker, rig, count))
    worker.wait_for_line("warm shutdown")
    gate.release()
    assert held.get(timeout=TIMEOUT_S)
    assert worker.wait_ended() == 1
    assert "the zygote process died 6 times within 5 s of its start" in worker.log
    worker.wait_no_members(5)


def zygote_of_lane(worker: WorkerProcess, rig: Rig, count: int) -> int:
    """The zygote of the lane io that is the ``count``-th."""
    if count == 1:
        return zygote_of(pids_of(rig, "io")[0])
    found: list[int] = []

    def is_there() -> bool:
        found[:] = [
            row.pid
            for row in processes.below(worker.pid)
            if "fastworker.worker.zygote" in row.title
        ]
        return bool(found)

    worker.wait_for_line(r"/io\] the zygote process died", count=count - 1)
    wait_until(is_there, "another zygote", TIMEOUT_S)
    return found[0]


def test_real_celery_is_answered_once_for_the_node(
    redis_url: str, tmp_path: Path, gate: Gate, celery_command: Callable[..., Any]
) -> None:
    rig = celery_command.rig  # type: ignore[attr-defined]
    start(rig, "-n", "w@here")
    held = call(rig, "parse", "proj.hold", gate.path)
    gate.wait_started()
    active = celery_command("inspect", "active")
    assert list(active) == ["w@here"]
    assert [(task["id"], task["lane"]) for task in active["w@here"]] == [(held.id, "cpu")]
    [queues] = celery_command("inspect", "active_queues").values()
    assert [(queue["name"], queue["lane"]) for queue in queues] == [
        ("parse", "cpu"),
        ("crawl", "io"),
    ]
    [stats] = celery_command("inspect", "stats").values()
    assert stats["pool"]["max-concurrency"] == 52
    assert sorted(stats["lanes"]) == ["cpu", "io"]
    assert celery_command("inspect", "ping") == {"w@here": {"ok": "pong"}}
    terminated = celery_command("control", "terminate", "TERM", held.id)
    assert terminated == [{"w@here": {"ok": f"terminate: {held.id}"}}]
    held.get(timeout=TIMEOUT_S, propagate=False)
    assert held.state == "REVOKED"


@pytest.fixture
def celery_command(redis_url: str, tmp_path: Path) -> Any:
    """Runs a command of the real Celery, and reads its JSON; ``rig``: ours on the same database."""
    import contextlib

    from tests.support.apps import AppSpec

    with contextlib.ExitStack() as stack:
        rig = Rig(AppSpec(PRODUCT, redis_url, redis_url), tmp_path, stack)

        def run(*words: str) -> Any:
            asked = rig.run(
                command("celery"),
                *("-A", "tests.support.worker_app", *words, "--json"),
                environment=rig.spec.of("celery").environment(),
            )
            assert asked.wait_ended() == 0, asked.log
            return json.loads(asked.log)

        run.rig = rig  # type: ignore[attr-defined]
        yield run
