"""How many calls per second does one process publish, and how near is that to a bare LPUSH of the
same bytes?
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from benches.harness import client
from benches.harness.broker import RedisServer
from benches.harness.runner import IS_QUICK, open_run, rounds
from benches.harness.systems import CELERY_LATE, FASTWORKER, System

LOOP_S = 0.5 if IS_QUICK else 1.5
BULK_CALLS = 20_000 if IS_QUICK else 100_000

CONDITIONS = {
    "load": "noop(42), JSON, results ignored; no worker",
    "delay_per_s": ".delay() in a loop; each call returns after the server confirmed the message",
    "raw_socket_per_s": "LPUSH of the bytes that .delay() wrote: one blocking socket, the command "
    "encoded once, the answer read each time",
    "raw_redis_py_per_s": "the same through redis-py's lpush()",
    "bulk_per_s": "map_async over a range, all confirmed when it returns; "
    "the queue's length is checked. Celery has no such call; its loop is the comparison",
    "turns": "the three loops take turns in chunks of 500 calls in one process; systems take "
    "turns in rounds",
    "broker": "one private Redis on loopback, persistence off, emptied between measurements",
}


def main() -> None:
    """Run the scenario."""
    with (
        open_run("publish", __doc__, CONDITIONS) as run,
        tempfile.TemporaryDirectory(prefix="bench-") as folder,
        RedisServer(Path(folder)) as server,
    ):
        for number, system in rounds((CELERY_LATE, FASTWORKER)):
            run.add(number, system.name, published(system, server))


def published(system: System, server: RedisServer) -> dict[str, float]:
    """One client process for the loops, another for the bulk call."""
    env = {"BENCH_BROKER": server.url, "BENCH_ACKS_LATE": "1"}
    metrics = client.run(system, env, "publish_loops", seconds=LOOP_S)
    if system.app == "fastworker":
        metrics |= client.run(system, env, "publish_bulk", count=BULK_CALLS)
    return metrics


if __name__ == "__main__":
    main()
