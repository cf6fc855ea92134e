"""What do rate limits for each key cost: in throughput with a thousand active keys, and in memory
with a million?
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from benches.harness.broker import RedisServer
from benches.harness.load import KeyedLoad, RedisLoad
from benches.harness.runner import IS_QUICK, open_run, rounds, sized
from benches.harness.stage import Stage, open_stage
from benches.harness.systems import FASTWORKER
from fastworker.bench.rivals import process_tree

ACTIVE_KEYS = 1_000
MANY_KEYS = int(os.environ.get("BENCH_RATES_KEYS", "20000" if IS_QUICK else "1000000"))
CHUNK = 50_000

CONDITIONS = {
    "load": "no-ops, JSON, results ignored; laid aside, released at once to a warm, idle worker",
    "unlimited": "bench.noop, which has no rate limit; the same worker has the limited tasks too",
    "keyed": f"bench.keyed, rate_limit='1000/s' for each key, {ACTIVE_KEYS:,} keys in turns: the limit is "
    f"never reached, so that all that is measured is its cost",
    "many_keys": f"bench.hourly, rate_limit='1/h' for each key, {MANY_KEYS:,} different keys: each has "
    f"started once within the hour and has to be remembered; server: growth of used_memory, "
    f"worker: growth of the proportional set size of its tree, 1 MB = 2**20 bytes",
    "worker": "2 processes, log level WARNING, defaults",
    "broker": "a private Redis for each, on loopback, persistence off",
}


def main() -> None:
    """Run the scenario."""
    with open_run("rates", __doc__, CONDITIONS) as run:
        with ExitStack() as stack:
            stages = {
                "unlimited": stack.enter_context(open_stage(FASTWORKER)),
                "keyed": stack.enter_context(keyed_stage("keyed", ACTIVE_KEYS)),
            }
            sizes = {name: sized(stage.warm_up()) for name, stage in stages.items()}
            for number, name in rounds(list(stages)):
                run.add(number, name, stages[name].drain(sizes[name]))
        run.add(0, "many_keys", many_keys())


@contextmanager
def keyed_stage(task: str, keys: int, server: RedisServer | None = None) -> Iterator[Stage]:
    """A stage whose messages have keys in turns."""
    with open_stage(FASTWORKER, task=task, args=[KeyedLoad.KEY.decode()], server=server) as stage:
        assert isinstance(stage.load, RedisLoad)
        stage.load = KeyedLoad(stage.load, keys)
        yield stage


def many_keys() -> dict[str, float]:
    """Start each of very many keys once; how much memory the broker and the worker need for it."""
    with (
        tempfile.TemporaryDirectory(prefix="bench-") as folder,
        RedisServer(Path(folder)) as server,
        keyed_stage("hourly", 2 * MANY_KEYS, server) as stage,
    ):
        stage.drain(1_000)
        server_before, worker_before = used(stage), process_tree.tree_pss_bytes(stage.worker.pid)
        left = MANY_KEYS
        while left:
            stage.drain(min(CHUNK, left))
            left -= min(CHUNK, left)
        server_bytes = used(stage) - server_before
        worker_bytes = process_tree.tree_pss_bytes(stage.worker.pid) - worker_before
        return {
            "keys": MANY_KEYS,
            "server_mb": server_bytes / 2**20,
            "worker_mb": worker_bytes / 2**20,
            "total_mb": (server_bytes + worker_bytes) / 2**20,
            "bytes_per_key": (server_bytes + worker_bytes) / MANY_KEYS,
        }


def used(stage: Stage) -> int:
    """What the server has allocated for data and its own structures, in bytes."""
    assert isinstance(stage.broker, RedisServer)
    return int(stage.broker.client.info("memory")["used_memory"])


if __name__ == "__main__":
    main()
