"""One run of numbered tasks under fire: processes, faults, and the account at the end."""

from __future__ import annotations

import contextlib
import os
import random
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from tests.stress.account import Account, Fault
from tests.stress.numbers import count_effects, read_effects, read_moments
from tests.support import processes, queue_state
from tests.support.apps import AppSpec
from tests.support.proxy import Proxy
from tests.support.redis_server import RedisServer
from tests.support.roles import children_of, zygote_of
from tests.support.waiting import wait_until
from tests.support.workers import WorkerProcess, command

# How long a run may stand still before it counts as stuck. A dead supervisor's leases need a lease
# life and a little.
STUCK_S = 60

ENDS_THE_NODE = ("supervisor", "node")

LANES = {
    "task_routes": {"stress.effect": "pages", "stress.flaky": "pages"},
    "worker_lanes": {
        "cpu": {"queues": ["celery"], "pool": "processes", "concurrency": 2},
        "io": {"queues": ["pages"], "pool": "threads", "concurrency": 4},
    },
}


@dataclass
class Run:
    """A broker, a worker, a publisher, and somebody who breaks them. A context manager.

    Args:
        folder: For everything that is written.
        spec: The application; its broker is the real one, for reading states.
        server: The private Redis, when the broker is one.
        seed: Makes the choice of victims repeatable.
        has_worker: Start one at once.
        has_bystander: Start another that is never killed, so that there is a fleet.
        has_lanes: Workers have two lanes; most effects are in a queue of their own, and run in threads.
    """

    folder: Path
    spec: AppSpec
    server: RedisServer | None
    seed: int
    has_worker: bool = True
    has_bystander: bool = False
    has_lanes: bool = False
    faults: list[Fault] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._random = random.Random(self.seed)
        self._stack = contextlib.ExitStack()
        self._effects = self.folder / "effects"
        self._effects.mkdir()
        self._publisher: subprocess.Popen[bytes] | None = None
        self._publish: tuple[int, float] = (0, 0.0)
        self.proxy: Proxy | None = None
        if self.has_lanes:
            self.spec = self.spec.with_conf(**LANES)
        self._fired = self.spec
        if self.server is not None:
            self.proxy = self._stack.enter_context(
                Proxy(("127.0.0.1", self.server.port), seed=self.seed)
            )
            path = urlsplit(self.spec.broker).path
            url = f"redis://127.0.0.1:{self.proxy.port}{path}"
            self._fired = AppSpec(self.spec.framework, url, None, self.spec.conf)
        if self.has_bystander:
            self._start("bystander@here")
        if self.has_worker:
            self.start_worker()

    # ---------------------------------------------------------------------------------------
    # processes

    def start_worker(self) -> None:
        """Start a worker; ``worker`` is the last one started."""
        self.worker = self._start("stress@here")

    def _start(self, name: str) -> WorkerProcess:
        line = (command(self.spec.framework), "-A", "tests.stress.worker_app", "worker")
        size = () if self.has_lanes else ("--concurrency", "2")
        options = ("--loglevel", "WARNING", *size, "-n", name)
        worker = WorkerProcess((*line, *options), self._fired.environment())
        return self._stack.enter_context(worker)

    def publish(self, total: int, pause_s: float) -> None:
        """Start the publisher, or start it again after a kill."""
        self._publish = (total, pause_s)
        line = [sys.executable, "-m", "tests.stress.publisher", str(self.folder)]
        self._publisher = subprocess.Popen(
            [*line, str(total), str(pause_s)], env={**os.environ, **self._fired.environment()}
        )

    def wait_published(self) -> int:
        """Wait for the publisher; its exit status."""
        total, pause_s = self._publish
        assert self._publisher is not None
        return self._publisher.wait(STUCK_S + total * pause_s * 3)

    def state(self) -> queue_state.QueueState:
        """Where the messages are now."""
        return queue_state.read(self.spec.broker)

    def effects(self) -> int:
        """How many effects there are so far, repetitions included."""
        return count_effects(self._effects)

    def wait_effects(self, count: int) -> None:
        """Wait until there are ``count``; as long as they grow, there is no hurry."""
        while self.effects() < count:
            before = self.effects()
            wait_until(lambda before=before: self._goes_on(before), "an effect", STUCK_S)  # type: ignore[misc]
            if self._is_idle():
                return

    # ------------------------------------------------------------------------------------------
    # faults

    def break_something(self, kind: str) -> None:
        """Do it, and wait until the work goes on."""
        lost = self.state()
        started, at = time.monotonic(), time.time()
        getattr(self, f"_break_{kind}")()
        done_at = time.time()
        if kind in ENDS_THE_NODE:
            lost = self.state()
            self.start_worker()
        fault = Fault(kind, at, done_at, lost.leased)
        self.faults.append(fault)
        before = self.effects()
        wait_until(lambda: self._goes_on(before), f"work to go on after {kind}", STUCK_S)
        if kind in ENDS_THE_NODE:
            wait_until(lambda: not (lost.tags & self.state().tags), "lost leases", STUCK_S, 0.1)
        fault.recovery_s = time.monotonic() - started

    def _goes_on(self, before: int) -> bool:
        return self.effects() > before or self._is_idle()

    def _is_idle(self) -> bool:
        publisher = self._publisher
        if publisher is None or publisher.poll() is None:
            return False
        state = self.state()
        return state.ready == state.leased == state.parked == state.laned == 0

    def _break_child(self) -> None:
        children = wait_until(lambda: children_of(self.worker.pid), "a child process")
        processes.kill(self._random.choice(children).pid)

    def _break_zygote(self) -> None:
        zygote = wait_until(lambda: zygote_of(self.worker.pid), "a zygote")
        assert zygote is not None
        processes.kill(zygote.pid)

    def _break_supervisor(self) -> None:
        self.worker.kill()

    def _break_node(self) -> None:
        self.worker.kill_node()

    def _break_publisher(self) -> None:
        assert self._publisher is not None
        self._publisher.kill()
        self._publisher.wait()
        self.publish(*self._publish)

    def _break_connection(self) -> None:
        assert self.proxy is not None
        self.proxy.cut()

    def _break_server(self) -> None:
        assert self.server is not None
        self.server.kill()
        self.server.start()

    # ----------------------------------------------------------------------------------------- the
    # end

    def finish(self, started: float) -> Account:
        """Wait for the publisher and for the last effect, and draw up the account."""
        total = self._publish[0]
        status = self.wait_published()
        assert status == 0, f"publisher ended with {status}"
        try:
            wait_until(self._is_idle, "empty queues", STUCK_S + total * 0.005, 0.2)
        except TimeoutError as error:
            # The account says what is left, which is more to the point than that we waited.
            print(f"{error}; worker's last lines:\n{self.worker.log[-3000:]}")
        return Account(
            total,
            read_effects(self._effects),
            frozenset(self._noted("repeated")),
            tuple(self._noted("overran")),
            read_moments(self.folder / "revoked"),
            read_moments(self.folder / "outlasted"),
            self.state(),
            self.faults,
            time.monotonic() - started,
        )

    def _noted(self, name: str) -> list[int]:
        path = self.folder / name
        return list(map(int, path.read_text().split())) if path.exists() else []

    def __enter__(self) -> Run:
        return self

    def __exit__(self, kind: type[BaseException] | None, *rest: object) -> None:
        if self._publisher is not None and self._publisher.poll() is None:
            self._publisher.kill()
            self._publisher.wait()
        if kind is not None:
            print(f"worker's last lines:\n{self.worker.log[-5000:]}")
        self._stack.close()
