"""One worker with several pools, each with queues of its own: what fills, breaks or kills one lane is not the others'
business.
"""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from tests.support import processes
from tests.support.gate import Gate, read_lines
from tests.support.lanes import CPU, IO, TIMEOUT_S, ask, call, depth, pids_of, start, zygote_of
from tests.support.rig import PRODUCT, Rig
from tests.support.waiting import wait_until
from tests.support.workers import WorkerProcess

pytestmark = pytest.mark.skipif(PRODUCT == "celery", reason="Celery has one pool a worker")


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


@pytest.mark.shows("setting worker_max_tasks_per_child")
def test_children_are_replaced_in_the_lane_that_wants_it(rig: Rig) -> None:
    rig.worker(*("--lane", "cpu=parse,processes,1,max-tasks-per-child=2", *IO), concurrency=None)
    pids = {
        queue: {call(rig, queue, "pool.who").get(timeout=TIMEOUT_S)[2] for _ in range(6)}
        for queue in ("parse", "crawl")
    }
    assert len(pids["parse"]) == 3
    assert len(pids["crawl"]) == 1


@pytest.mark.parametrize("queue", ["parse", "crawl"])
def test_calls_of_a_batch_task_wait_for_each_other_in_their_lane(rig: Rig, queue: str) -> None:
    start(rig)
    results = [call(rig, queue, "abatch.double", number) for number in range(10)]
    assert [result.get(timeout=TIMEOUT_S) for result in results] == [
        [2 * number, 10] for number in range(10)
    ]
    # Counted when the function has returned: the results of its calls are there a moment sooner.
    wait_until(lambda: ask(rig, "stats")["total"] == {"abatch.double": 10}, "ten calls counted")


def test_limit_of_each_worker_is_said_to_be_divided(rig: Rig) -> None:
    rig.configure(task_annotations={"proj.add": {"rate_limit": "100/s"}})
    worker = start(rig)
    for _ in range(3):
        for queue in ("parse", "crawl"):
            call(rig, queue, "proj.add", 1, 1).get(timeout=TIMEOUT_S)
            call(rig, queue, "proj.echo").get(timeout=TIMEOUT_S)
    said = worker.wait_for_line(r"task (\S+) has the rate limit 100/s and comes to the lanes")
    assert said[1] == "proj.add"
    assert worker.log.count("has the rate limit") == 1


def test_limit_of_each_worker_is_divided_between_the_lanes_to_which_its_task_comes(
    rig: Rig,
) -> None:
    rig.configure(task_annotations={"proj.now": {"rate_limit": "10/s"}})
    worker = start(rig)
    for queue in ("parse", "crawl"):
        call(rig, queue, "proj.now").get(timeout=TIMEOUT_S)
    worker.wait_for_line("has the rate limit 10/s and comes to the lanes cpu, io")
    calls = [call(rig, queue, "proj.now") for _ in range(6) for queue in ("parse", "crawl")]
    times = sorted(result.get(timeout=TIMEOUT_S) for result in calls)
    # Twelve at ten a second, of which the first two may come at once.
    assert times[-1] - times[0] >= 0.8


def test_rate_limited_task_of_one_lane_waits_for_its_permit_there(rig: Rig, tmp_path: Path) -> None:
    rig.configure(task_annotations={"proj.now": {"rate_limit": "5/s"}})
    start(rig)
    times = sorted(
        result.get(timeout=TIMEOUT_S)
        for result in [call(rig, "crawl", "proj.now") for _ in range(4)]
    )
    assert times[3] - times[0] >= 0.55
    assert call(rig, "parse", "proj.add", 1, 1).get(timeout=TIMEOUT_S) == 2


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
