"""A stage: one broker and one warm worker of one system, on which loads are released and measured.

The worker is up, warm and idle when a load is released, and sees all of it at one instant. So
neither process start nor publishing is in the figures, and both sides start from the same state.
Stages of all systems stay up during a scenario, each with its own server (an idle worker costs
next to nothing), and take turns.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benches.harness import client
from benches.harness.broker import RedisServer
from benches.harness.load import QUEUE, Load, RedisLoad, SqliteLoad
from benches.harness.sqlite_file import SqliteFile
from benches.harness.systems import CONCURRENCY, System
from benches.harness.worker import Worker
from fastworker.bench.rivals import process_tree

TIMEOUT_S = 300.0
WARM_UP_TASKS = 200
WARM_S = 0.5
"""A warm-up ends when one load took this long, so that its rate can size the next load."""


@dataclass
class Stage:
    """Where one system performs. ``env`` is what its clients are told."""

    system: System
    broker: RedisServer | SqliteFile
    worker: Worker
    env: dict[str, str]
    load: Load

    def warm_up(self, count: int = WARM_UP_TASKS) -> float:
        """Run growing loads until one takes long enough to be timed; returns its tasks per second.

        Every process has started and run tasks by then, and whatever adapts has adapted.

        Args:
            count: Size of the first load.
        """
        self.drain(count)  # includes the start of the processes
        while count / (rate := self.drain(count)["tasks_per_s"]) < WARM_S:
            count *= 3
        return rate

    def drain(self, count: int) -> dict[str, float]:
        """Release ``count`` messages and wait until all ran and all are acknowledged.

        Returns:
            ``tasks_per_s``: from the release to the moment when every task has run and the broker
            holds nothing. ``worker_cpu_us``, ``broker_cpu_us``: processor time per task of the
            worker's tree and of the server. ``extra_runs``: executions beyond one per message.
        """
        self.load.lay(count)
        ran_before = self.worker.effects.total()
        worker_cpu, broker_cpu = self.worker.cpu_s(), self.broker.cpu_s()
        released = time.monotonic()
        self.load.release()
        self.worker.await_effects(ran_before + count, TIMEOUT_S)
        finished = self.await_empty()
        return {
            "tasks_per_s": count / (finished - released),
            "worker_cpu_us": (self.worker.cpu_s() - worker_cpu) / count * 1e6,
            "broker_cpu_us": (self.broker.cpu_s() - broker_cpu) / count * 1e6,
            "tasks": count,
            "extra_runs": self.worker.effects.total() - ran_before - count,
        }

    def await_empty(self) -> float:
        """Wait until the broker holds neither message nor lease; returns when that was seen."""
        deadline = time.monotonic() + TIMEOUT_S
        while held := self.broker.held(QUEUE):
            if time.monotonic() > deadline:
                raise SystemExit(
                    f"{self.system.name}: all tasks ran, but the broker still holds {held} messages"
                )
            time.sleep(0.002)
        return time.monotonic()


@contextmanager
def open_stage(
    system: System,
    *,
    task: str = "noop",
    args: list[Any] | None = None,
    concurrency: int = CONCURRENCY,
    with_results: bool = False,
    ballast_mb: int = 0,
    broker_url: str | None = None,
    server: RedisServer | None = None,
) -> Iterator[Stage]:
    """Start broker and worker, and stop both at the end.

    Args:
        system: Which.
        task: The function whose messages make the load.
        args: Its arguments; None: ``[42]``.
        concurrency: Processes that run tasks.
        with_results: Store results, in another database of the same server.
        ballast_mb: Size of the application (``benches.apps.ballast``).
        broker_url: What the worker connects to when that is not the server itself (a proxy).
        server: One that runs already; it stays running.
    """
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-")))
        broker: RedisServer | SqliteFile | None = (
            SqliteFile(folder) if system.is_embedded else server
        )
        if broker is None:
            broker = stack.enter_context(RedisServer(folder))
        # A client has no use for the ballast, and publishes to the server without the proxy.
        env = {
            "BENCH_BROKER": broker.url,
            "BENCH_BACKEND": broker.backend_url if with_results else "",
            "BENCH_ACKS_LATE": "1" if system.acks_late else "0",
        }
        load: Load
        if isinstance(broker, SqliteFile):
            load = SqliteLoad(broker, system, env, task, args or [42])
        else:
            client.run(system, env, "publish_one", task=task, args=args or [42])
            load = RedisLoad(broker)
        told = {
            **env,
            "BENCH_BROKER": broker_url or broker.url,
            "BENCH_BALLAST_MB": str(ballast_mb),
        }
        worker = stack.enter_context(Worker(system, concurrency, folder, told))
        yield Stage(system, broker, worker, env, load)


def settled_pss(stage: Stage) -> int:
    """Read until two readings agree: children that start late and buffers that shrink are over by
    then.
    """
    before = process_tree.tree_pss_bytes(stage.worker.pid)
    while True:
        time.sleep(
            0.5
        )  # the interval between two readings is the measurement, not a wait for an event
        now = process_tree.tree_pss_bytes(stage.worker.pid)
        if abs(now - before) < 0.01 * before:
            return now
        before = now
