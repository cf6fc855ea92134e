"""What does a node cost that runs processes and coroutines side by side: two lanes of one worker, two workers,
or two of Celery's?
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from benches.harness import client
from benches.harness.broker import RedisServer
from benches.harness.load import QUEUE, RedisLoad
from benches.harness.runner import IS_QUICK, ROUNDS, open_run, rounds
from benches.harness.stage import TIMEOUT_S, WARM_UP_TASKS
from benches.harness.systems import CELERY_LATE, FASTWORKER, System
from benches.harness.worker import Worker
from fastworker.bench.rivals import process_tree

IO_QUEUE = "io"
IDLE_WINDOW_S = 3.0 if IS_QUICK else 30.0 / ROUNDS
_QUIET = ("--without-gossip", "--without-mingle", "--without-heartbeat", "-O", "fair")


@dataclass(frozen=True)
class Node:
    """One worker of a setup. ``queues``: what it consumes."""

    name: str
    app: str
    queues: tuple[str, ...]
    options: tuple[str, ...]

    def worker_command(self, concurrency: int) -> list[str]:
        """The command line; the options say the concurrency."""
        start = (sys.executable, "-m", self.app, "-A", f"benches.apps.{self.app}_app", "worker")
        return [*start, "--loglevel", "WARNING", *self.options]


@dataclass(frozen=True)
class Setup:
    """Workers that belong together; ``system``: who publishes for them."""

    name: str
    system: System
    nodes: tuple[Node, ...]


def _pair(app: str, coroutines: str, *more: str) -> tuple[Node, Node]:
    cpu = ("-Q", QUEUE, "-c", "2", "-n", "cpu@%h", *more)
    io = ("-Q", IO_QUEUE, "-P", coroutines, "-c", "500", "-n", "io@%h", *more)
    return Node("cpu", app, (QUEUE,), cpu), Node("io", app, (IO_QUEUE,), io)


_LANES = ("--lane", f"cpu={QUEUE},processes,2", "--lane", f"io={IO_QUEUE},asyncio,500")
SETUPS = (
    Setup("celery-workers", CELERY_LATE, _pair("celery", "gevent", *_QUIET)),
    Setup("fastworker-workers", FASTWORKER, _pair("fastworker", "asyncio")),
    Setup(
        "fastworker-lanes",
        FASTWORKER,
        (Node("lanes", "fastworker", (QUEUE, IO_QUEUE), _LANES),),
    ),
    # Only the first pool of the others, to see what the second one adds.
    Setup("fastworker", FASTWORKER, _pair("fastworker", "asyncio")[:1]),
)

CONDITIONS = {
    "pools": "2 processes for one queue; 500 coroutines (celery: greenlets of gevent) in one process for another; "
    "the setup fastworker has the 2 processes alone",
    "pss_mb": "proportional set size of all processes of the setup, 1 MB = 2**20 bytes, "
    f"after {WARM_UP_TASKS} no-op tasks in each queue, when two readings 0.5 s apart agree within 1 %",
    "idle_cpu_percent": f"processor time of all threads of the setup over {IDLE_WINDOW_S:g} s without tasks, "
    "percent of one core",
    "processes, connections": "of the setup; connections to its Redis, but for the harness's own",
    "worker": "log level WARNING; celery: no gossip, mingle, heartbeat or events; fastworker: defaults",
    "broker": "a private Redis for each setup, on loopback, persistence off",
}


def main() -> None:
    """Run the scenario."""
    with open_run("lanes", __doc__, CONDITIONS) as run:
        for number, setup in rounds(SETUPS):
            run.add(number, setup.name, measured(setup))


def measured(setup: Setup) -> dict[str, float]:
    """The setup, idle after some tasks."""
    with opened(setup) as (server, workers):
        pids = [worker.pid for worker in workers]
        pss = settled(pids)
        before = sum(map(process_tree.thread_cpu_s, pids))
        time.sleep(IDLE_WINDOW_S)  # the window that is measured
        used = sum(map(process_tree.thread_cpu_s, pids)) - before
        return {
            "pss_mb": pss / 2**20,
            "idle_cpu_percent": used / IDLE_WINDOW_S * 100,
            "processes": sum(len(process_tree.tree(pid)) for pid in pids),
            "connections": int(server.client.info("clients")["connected_clients"]) - 1,
        }


@contextmanager
def opened(setup: Setup) -> Iterator[tuple[RedisServer, list[Worker]]]:
    """Broker and workers, which have run some tasks of each of their queues."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-")))
        server = stack.enter_context(RedisServer(folder))
        env = {"BENCH_BROKER": server.url, "BENCH_ACKS_LATE": "1"}
        client.run(setup.system, env, "publish_one", task="noop", args=[42])
        load = RedisLoad(server)
        workers = []
        for node in setup.nodes:
            place = folder / node.name
            place.mkdir()
            workers.append(stack.enter_context(Worker(node, 2, place, env)))
            for queue in node.queues:
                load.add(WARM_UP_TASKS, queue)
        for node, worker in zip(setup.nodes, workers, strict=True):
            worker.await_effects(WARM_UP_TASKS * len(node.queues), TIMEOUT_S)
        yield server, workers


def settled(pids: list[int]) -> int:
    """The memory of these trees, as ``stage.settled_pss`` reads that of one."""
    before = sum(map(process_tree.tree_pss_bytes, pids))
    while True:
        time.sleep(0.5)  # the interval between two readings is the measurement
        now = sum(map(process_tree.tree_pss_bytes, pids))
        if abs(now - before) < 0.01 * before:
            return now
        before = now


if __name__ == "__main__":
    main()
