"""How much does a worker grow by tasks that are due in an hour: a million of ours, and as many as
Celery can bear?
"""

from __future__ import annotations

import os
import time

from benches.harness.broker import RedisServer
from benches.harness.load import EtaLoad, RedisLoad
from benches.harness.runner import IS_QUICK, open_run
from benches.harness.stage import TIMEOUT_S, WARM_UP_TASKS, Stage, open_stage, settled_pss
from benches.harness.systems import CELERY_LATE, FASTWORKER, System
from fastworker.bench.rivals import process_tree

MANY = int(os.environ.get("BENCH_PARKED_TASKS", "20000" if IS_QUICK else "1000000"))
FEW = 2_000 if IS_QUICK else 20_000
"""Celery holds each in its memory."""
LOOK_S = 0.5

CONDITIONS = {
    "load": "no-ops that are due in an hour, JSON, results ignored; laid aside, released at once to a warm, "
    "idle worker",
    "tasks": f"fastworker: {MANY:,}; celery-late: {FEW:,}",
    "growth_mb": "proportional set size of the whole tree (1 MB = 2**20 bytes) when the worker has taken all of them "
    f"and is idle again, less that of the idle worker before, which had run {WARM_UP_TASKS} no-ops",
    "peak_mb": f"the largest growth while it took them, looked at every {LOOK_S:g} s",
    "server_mb": "growth of the server's used_memory from messages that wait to messages that are put aside",
    "taken_per_s": "until no message waits and nothing is leased that is not put aside (Celery: held by the worker)",
    "worker": "2 processes, log level WARNING; celery: prefork, prefetch multiplier 128, acks late, no gossip, "
    "mingle, heartbeat or events; fastworker: defaults",
    "broker": "a private Redis for each system, on loopback, persistence off",
}


def main() -> None:
    """Run the scenario; once for each system: memory does not drift as speed does."""
    with open_run("parked", __doc__, CONDITIONS) as run:
        for system, count in ((FASTWORKER, MANY), (CELERY_LATE, FEW)):
            run.add(0, system.name, growth(system, count))


def growth(system: System, count: int) -> dict[str, float]:
    """What a worker and its server grow by when it takes ``count`` tasks with a far eta."""
    with open_stage(system) as stage:
        stage.drain(WARM_UP_TASKS)
        idle = settled_pss(stage)
        assert isinstance(stage.load, RedisLoad)
        load = EtaLoad(stage.load, seconds=3600)
        load.lay(count)
        server_before = used(stage)
        started = time.monotonic()
        load.release()
        peak, deadline = idle, started + 10 * TIMEOUT_S
        while not are_taken(stage, count):
            if time.monotonic() > deadline:
                raise SystemExit(f"{system.name}: did not take {count:,} tasks in time")
            time.sleep(LOOK_S)
            peak = max(peak, process_tree.tree_pss_bytes(stage.worker.pid))
        took = time.monotonic() - started
        grown = settled_pss(stage) - idle
        return {
            "tasks": count,
            "growth_mb": grown / 2**20,
            "bytes_per_task": grown / count,
            "peak_mb": (peak - idle) / 2**20,
            "idle_mb": idle / 2**20,
            "server_mb": (used(stage) - server_before) / 2**20,
            "taken_per_s": count / took,
        }


def are_taken(stage: Stage, count: int) -> bool:
    """All are parked; with Celery, all are held by its worker."""
    client = redis_of(stage).client
    if stage.system.app == "fastworker":
        return bool(client.zcard("fastworker:parked") == count)
    return bool(client.hlen("unacked") == count)


def used(stage: Stage) -> int:
    """What the server has allocated for data and its own structures, in bytes."""
    return int(redis_of(stage).client.info("memory")["used_memory"])


def redis_of(stage: Stage) -> RedisServer:
    """The stage's server."""
    assert isinstance(stage.broker, RedisServer)
    return stage.broker


if __name__ == "__main__":
    main()
