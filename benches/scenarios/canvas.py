"""How fast are groups and chords published, how large are the messages of nested chords, and how fast are the results
of a group fetched?
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from benches.harness import client
from benches.harness.broker import RedisServer
from benches.harness.runner import IS_QUICK, open_run, rounds
from benches.harness.systems import CELERY_LATE, FASTWORKER, System

MEMBERS = {"celery": 500 if IS_QUICK else 2_000, "fastworker": 10_000 if IS_QUICK else 100_000}
RESULTS = {"celery": 1_000 if IS_QUICK else 10_000, "fastworker": 10_000}
DEPTHS = [1, 5, 10]

CONDITIONS = {
    "load": "noop(i), JSON; no worker",
    "group_per_s": f"{MEMBERS['fastworker']} members built and published, {MEMBERS['celery']} for Celery, whose rate "
    "does not depend on it; the queue's length is checked",
    "chord_per_s": "the same with a body",
    "bytes_n_deep": "largest message of a chord whose body is a chord, and so on",
    "results_per_s": f"GroupResult.get() of {RESULTS['fastworker']} results that are stored",
    "broker": "one private Redis on loopback, persistence off, emptied between measurements; results in it too",
}


def main() -> None:
    """Run the scenario."""
    with (
        open_run("canvas", __doc__, CONDITIONS) as run,
        tempfile.TemporaryDirectory(prefix="bench-") as folder,
        RedisServer(Path(folder)) as server,
    ):
        for number, system in rounds((CELERY_LATE, FASTWORKER)):
            run.add(number, system.name, measured(system, server))


def measured(system: System, server: RedisServer) -> dict[str, float]:
    """One client process for each verb."""
    env = {"BENCH_BROKER": server.url, "BENCH_BACKEND": server.url, "BENCH_ACKS_LATE": "1"}
    return {
        **client.run(system, env, "publish_group", members=MEMBERS[system.app]),
        **client.run(system, env, "nested_bytes", depths=DEPTHS),
        **client.run(system, env, "group_results", members=RESULTS[system.app]),
    }


if __name__ == "__main__":
    main()
