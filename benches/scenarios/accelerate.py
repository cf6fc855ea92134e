"""How many calls, members of groups and results per second does a Celery client publish and read, as it is and
accelerated by ``fastworker.accelerate``?
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from benches.harness import client
from benches.harness.broker import RedisServer
from benches.harness.runner import IS_QUICK, open_run, rounds
from benches.harness.systems import ACCELERATED, CELERY_CLIENT, System

LOOP_S = 1.0 if IS_QUICK else 2.0
MEMBERS = 10_000

CONDITIONS = {
    "load": "noop(42), JSON; no worker. benches/apps/celery_app.py for both, with one line more for one of them",
    "delay_per_s": ".delay() in a loop, results kept, each AsyncResult let go at once",
    "ignored_delay_per_s": "the same with task_ignore_result",
    "raw_socket_per_s": "LPUSH of the bytes that .delay() wrote: one blocking socket, the answer read each time; in "
    "turns with the loop before",
    "group_per_s": f"a group of {MEMBERS:,}, a list of signatures, made and published",
    "chord_per_s": f"a chord of {MEMBERS:,} members, the same",
    "results_per_s": f"GroupResult.get() of {MEMBERS:,} results that are stored",
    "turns": "systems take turns in rounds, each in processes of its own",
    "broker": "one private Redis on loopback, persistence off, emptied between measurements",
}


def main() -> None:
    """Run the scenario."""
    with (
        open_run("accelerate", __doc__, CONDITIONS) as run,
        tempfile.TemporaryDirectory(prefix="bench-") as folder,
        RedisServer(Path(folder)) as server,
    ):
        for number, system in rounds((CELERY_CLIENT, ACCELERATED)):
            run.add(number, system.name, measured(system, server))


def measured(system: System, server: RedisServer) -> dict[str, float]:
    """A client process for each figure."""
    ignoring = {"BENCH_BROKER": server.url, "BENCH_ACCELERATED": str(int(system is ACCELERATED))}
    keeping = {**ignoring, "BENCH_BACKEND": server.backend_url}
    ignored = client.run(system, ignoring, "publish_loops", seconds=LOOP_S)
    kept = client.run(system, keeping, "publish_loops", seconds=LOOP_S)
    return {
        "delay_per_s": kept["delay_per_s"],
        "delay_cpu_us": kept["delay_cpu_us"],
        "ignored_delay_per_s": ignored["delay_per_s"],
        "ignored_delay_cpu_us": ignored["delay_cpu_us"],
        "raw_socket_per_s": ignored["raw_socket_per_s"],
        **client.run(system, keeping, "publish_group", members=MEMBERS),
        **client.run(system, keeping, "group_results", members=MEMBERS),
    }


if __name__ == "__main__":
    main()
