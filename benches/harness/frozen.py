"""A stage whose load is laid while the worker's processes stand still.

The queues of the peers have many layouts, and a load cannot be moved into all of them at one instant.
So the worker, up, warm and idle, is stopped (SIGSTOP), the system's own client publishes, and the worker
goes on (SIGCONT): again neither process start nor publishing is in a figure. All systems are treated so,
also those whose load could be renamed into place.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from benches.harness import processes
from benches.harness.broker import RedisServer
from benches.harness.load import RedisLoad
from benches.harness.postgres import PostgresServer
from benches.harness.rivals import BIN, Rival
from benches.harness.worker import Worker, environment

TIMEOUT_S = 180.0
CALM_WINDOW_S = 0.1
CALM_SHARE = 0.3
"""A worker whose tree uses less of one core than this is idle; some poll."""
MEMORY_EVERY_S = 0.1


class Publisher(Protocol):
    """Puts messages where the worker will find them."""

    def lay(self, count: int) -> None:
        """Everything that takes its time."""

    def release(self) -> None:
        """The rest."""


@dataclass
class OwnPublisher:
    """The system's own client, in a process of its own."""

    system: Rival
    env: Mapping[str, str]
    task: str
    argument: Any

    def lay(self, count: int) -> None:
        """Publish ``count`` calls."""
        publish(self.system, self.env, self.task, self.argument, count)

    def release(self) -> None:
        """They are there already."""


@dataclass
class FrozenStage:
    """Where one system performs."""

    system: Rival
    broker: RedisServer | PostgresServer
    worker: Worker
    load: Publisher

    def warm_up(self, count: int) -> None:
        """Wait until the worker is up, has run ``count`` tasks, and is idle."""
        self.load.lay(count)
        self.load.release()
        self.worker.await_effects(count, TIMEOUT_S)
        self.await_calm()

    def drain(self, count: int) -> dict[str, float]:
        """Run ``count`` tasks, and see how quickly.

        Returns:
            ``tasks_per_s``: from the moment when the worker goes on to the end of the last task.
            ``worker_cpu_us``, ``broker_cpu_us``: processor time per task of the worker's tree and of the
            server, until the worker is idle again, so that acknowledgements are in. ``extra_runs``:
            executions beyond one per message.
        """
        started = self._begin(count)
        finished = self.worker.await_effects(started.ran + count, TIMEOUT_S)
        return self._metrics(started, count, finished)

    def drain_watched(self, count: int) -> dict[str, float]:
        """The same with the memory watched, which costs some speed.

        Returns:
            Besides: ``idle_mb`` before, ``peak_mb``, ``in_flight``: the most tasks seen between their start
            and their end, ``kb_per_task``: growth over the most in flight.
        """
        idle = processes.tree_pss_bytes(self.worker.pid)
        peak, in_flight = idle, 1
        started = self._begin(count)
        deadline = started.at + TIMEOUT_S
        while self.worker.effects.total() < started.ran + count and time.monotonic() < deadline:
            in_flight = max(in_flight, self.worker.effects.in_flight())
            peak = max(peak, processes.tree_pss_bytes(self.worker.pid))
            time.sleep(MEMORY_EVERY_S)  # between two readings
        finished = self.worker.await_effects(started.ran + count, 0.0)
        return {
            **self._metrics(started, count, finished),
            "idle_mb": idle / 2**20,
            "peak_mb": peak / 2**20,
            "in_flight": in_flight,
            "kb_per_task": (peak - idle) / 2**10 / in_flight,
        }

    def await_calm(self) -> None:
        """Wait until the worker is idle: what it does after the last task (acknowledging) is over."""
        deadline = time.monotonic() + TIMEOUT_S
        before = self.worker.cpu_s()
        while time.monotonic() < deadline:
            time.sleep(CALM_WINDOW_S)  # the window that is measured
            now = self.worker.cpu_s()
            if now - before < CALM_SHARE * CALM_WINDOW_S:
                return
            before = now
        raise SystemExit(f"{self.system.name}: all tasks ran, but the worker is busy still")

    def _begin(self, count: int) -> _Start:
        tree = processes.tree(self.worker.pid)
        for pid in tree:
            os.kill(pid, signal.SIGSTOP)
        try:
            self.load.lay(count)
            self.load.release()
            start = _Start(
                self.worker.effects.total(),
                self.worker.cpu_s(),
                self.broker.cpu_s(),
                time.monotonic(),
            )
        finally:
            for pid in reversed(tree):
                os.kill(pid, signal.SIGCONT)
        return start

    def _metrics(self, start: _Start, count: int, finished: float) -> dict[str, float]:
        self.await_calm()
        return {
            "tasks_per_s": count / (finished - start.at),
            "worker_cpu_us": (self.worker.cpu_s() - start.worker_cpu_s) / count * 1e6,
            "broker_cpu_us": (self.broker.cpu_s() - start.broker_cpu_s) / count * 1e6,
            "tasks": count,
            "extra_runs": self.worker.effects.total() - start.ran - count,
        }


@dataclass(frozen=True)
class _Start:
    ran: int
    worker_cpu_s: float
    broker_cpu_s: float
    at: float


@contextmanager
def open_frozen_stage(system: Rival, task: str, argument: Any) -> Iterator[FrozenStage]:
    """Start broker and worker, and stop both at the end.

    Raises:
        NoPostgres: The system needs one, and there is none.
    """
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-")))
        broker: RedisServer | PostgresServer
        broker = PostgresServer() if system.needs_postgres else RedisServer(folder)
        stack.enter_context(broker)
        env = {
            "BENCH_BROKER": broker.url,
            "BENCH_BACKEND": "",
            "BENCH_ACKS_LATE": "1" if system.acks_late else "0",
            "BENCH_CONCURRENCY": str(system.concurrency),
        }
        if system.needs_postgres:
            install = [f"{BIN}/pgq", "--pg-dsn", broker.url, "install", "--durability", "volatile"]
            subprocess.run(install, check=True, env=environment(env), capture_output=True)
        load: Publisher = OwnPublisher(system, env, task, argument)
        if system.copies_messages:
            load.lay(1)
            assert isinstance(broker, RedisServer)  # kombu's layout is on Redis
            load = RedisLoad(broker)
        worker = stack.enter_context(Worker(system, system.concurrency, folder, env))
        yield FrozenStage(system, broker, worker, load)


def publish(system: Rival, env: Mapping[str, str], task: str, argument: Any, count: int) -> None:
    """Let the system's client publish; returns when it has."""
    arguments = [system.module, task, json.dumps(argument), str(count)]
    command = [f"{BIN}/python", "-m", "benches.rivals.publish", *arguments]
    if subprocess.run(command, env=environment(env), check=False).returncode != 0:
        raise SystemExit(f"{system.name}: publishing failed; its error is above")
