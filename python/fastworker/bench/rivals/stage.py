"""Where one system performs: its broker, its worker, and a load that is laid while the worker stands still.

The queues have many layouts, and a load cannot be moved into all of them at one instant. So the worker, up, warm and
idle, is stopped (SIGSTOP), the system's own client publishes, and the worker goes on (SIGCONT): neither process start
nor publishing is in a drain's figure.
"""

from __future__ import annotations

import json
import os
import shlex
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fastworker.bench.errors import BenchError
from fastworker.bench.rivals.adapters.rival_apps.marks import Marks, create
from fastworker.bench.rivals.environments import Environments
from fastworker.bench.rivals.postgres import PostgresServer
from fastworker.bench.rivals.rival import Rival, Setting
from fastworker.bench.rivals.servers import RedisServer
from fastworker.bench.rivals.worker_process import WorkerProcess
from fastworker.bench.rivals.workloads import TASKS

#: Calls of one stage; a place costs nothing until it is used.
_CAPACITY = 2_000_000
#: As in ``rival_apps.publish``: calls before those that are paced.
WARM_UP = 10
_POLL_S = 0.005
_CALM_S = 30.0
_PUBLISH_S = 120.0
_NS = 1e-9
_LINES = 15


@dataclass
class Stage:
    """One system, ready.

    Attributes:
        rival: Which.
        setting: Its settings.
        broker: Its server.
        worker: Its processes.
        marks: What ran.
        publisher: The command that publishes, but for its order.
        variables: The publisher's environment.
        timeout_s: How long a drain may take.
    """

    rival: Rival
    setting: Setting
    broker: RedisServer | PostgresServer
    worker: WorkerProcess
    marks: Marks
    publisher: Sequence[str]
    variables: dict[str, str]
    timeout_s: float
    _next: int = field(default=0, repr=False)

    def warm_up(self, task: str, rest: Sequence[Any], count: int) -> None:
        """Have ``count`` calls run, and wait until the worker is idle. It may take its time to start."""
        numbers = self._numbers(count)
        self._publish(task, rest, numbers)
        self._await(numbers, self.timeout_s)
        self.worker.await_calm(_CALM_S)

    def drain(
        self,
        task: str,
        rest: Sequence[Any],
        count: int,
        meanwhile: Callable[[], None] | None = None,
    ) -> dict[str, float]:
        """Publish ``count`` calls while the worker stands still, have them run, and see how quickly.

        Args:
            task: Of the adapter.
            rest: Arguments after the number of the call.
            count: Calls.
            meanwhile: Called every few milliseconds while they run.

        Returns:
            ``tasks_per_s``: from the moment when the worker goes on to the end of the last task. ``publish_per_s``:
            one call after the other; ``bulk_per_s``: in the client's quickest way, where it has another.
            ``worker_cpu_us``, ``broker_cpu_us``: processor time a task of the worker's tree and of the server, until
            the worker is idle again, so that acknowledgements are in. ``memory_mb``: of the tree then. ``in_flight``:
            most tasks that ran at once. ``extra_runs``: runs beyond one for each call. ``tasks``: ``count``.

        Raises:
            BenchError: Tasks were missing when the time was over, or the worker ended; the text says how many.
        """
        numbers = self._numbers(count)
        with self.worker.frozen():
            published = self._publish(task, rest, numbers)
            worker_cpu_s, broker_cpu_s = self.worker.cpu_s(), self.broker.cpu_s()
            began_ns = time.monotonic_ns()
        self._await(numbers, self.timeout_s, meanwhile)
        self.worker.await_calm(_CALM_S)
        part = slice(numbers.start, numbers.stop)
        metrics = {
            "tasks": float(count),
            "tasks_per_s": count / ((max(self.marks.ended[part]) - began_ns) * _NS),
            "worker_cpu_us": (self.worker.cpu_s() - worker_cpu_s) / count * 1e6,
            "broker_cpu_us": (self.broker.cpu_s() - broker_cpu_s) / count * 1e6,
            "memory_mb": self.worker.memory_bytes() / 2**20,
            "in_flight": float(most_at_once(self.marks.began[part], self.marks.ended[part])),
            "extra_runs": float(sum(self.marks.ends[part]) - count),
        }
        if published["one"]:
            metrics["publish_per_s"] = published["one"] / published["one_s"]
        if published["many"]:
            metrics["bulk_per_s"] = published["many"] / published["many_s"]
        return metrics

    def pace(
        self, task: str, rest: Sequence[Any], rate: float, duration_s: float
    ) -> dict[str, float]:
        """Publish at a fixed rate in an open loop, and see how long after its moment each task starts.

        Returns:
            ``wait_p50_ms``, ``wait_p99_ms``, ``wait_max_ms``; ``late_ms``: how late the publisher was at most.

        Raises:
            BenchError: As ``drain``.
        """
        numbers = self._numbers(WARM_UP + max(1, int(rate * duration_s)))
        published = self._publish(task, rest, numbers, rate=rate)
        self._await(numbers, self.timeout_s)
        part = slice(numbers.start, numbers.stop)
        pairs = zip(self.marks.began[part], self.marks.due[part], strict=True)
        waits_ms = sorted((began - due) / 1e6 for began, due in pairs if due)
        self.worker.await_calm(_CALM_S)
        return {
            "wait_p50_ms": statistics.median(waits_ms),
            "wait_p99_ms": waits_ms[min(len(waits_ms) - 1, int(0.99 * len(waits_ms)))],
            "wait_max_ms": waits_ms[-1],
            "late_ms": published["late_s"] * 1e3,
        }

    def _numbers(self, count: int) -> range:
        """Places for so many calls."""
        first, self._next = self._next, self._next + count
        if self._next > self.marks.capacity:
            raise BenchError(f"more than {self.marks.capacity:,} calls of one worker")
        return range(first, self._next)

    def _publish(
        self, task: str, rest: Sequence[Any], numbers: range, **how: Any
    ) -> dict[str, Any]:
        order = {
            "module": self.rival.module,
            "task": task,
            "rest": rest,
            "first": numbers.start,
            "count": len(numbers),
            **how,
        }
        try:
            done = subprocess.run(
                [*self.publisher, json.dumps(order)],
                env=self.variables,
                capture_output=True,
                text=True,
                timeout=_PUBLISH_S,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise BenchError(
                f"its client did not publish {len(numbers):,} calls in {_PUBLISH_S:g} s"
            ) from None
        lines = done.stdout.splitlines()
        if done.returncode != 0 or not lines:
            status = f" (status {done.returncode})"
            raise BenchError(f"its client could not publish{status}: {_said(done.stderr)}")
        said: dict[str, Any] = json.loads(lines[-1])
        return said

    def _await(
        self, numbers: range, timeout_s: float, meanwhile: Callable[[], None] | None = None
    ) -> None:
        """Wait until all these calls have run.

        Raises:
            BenchError: Not in time, or the worker ended.
        """
        deadline = time.monotonic() + timeout_s
        ends = self.marks.ends[numbers.start : numbers.stop]
        while missing := bytes(ends).count(0):
            self.worker.check()
            if time.monotonic() > deadline:
                raise BenchError(
                    f"{missing:,} of {len(numbers):,} tasks had not run after {timeout_s:g} s"
                    f"{self.worker.last_words()}"
                )
            if meanwhile is not None:
                meanwhile()
            time.sleep(_POLL_S)


def most_at_once(began: Sequence[int], ended: Sequence[int]) -> int:
    """How many intervals overlap at most."""
    most = now = 0
    for _, step in sorted([*((at, 1) for at in began), *((at, -1) for at in ended)]):
        now += step
        most = max(most, now)
    return most


@contextmanager
def open_stage(
    rival: Rival,
    setting: Setting,
    environments: Environments,
    timeout_s: float,
    module: str = TASKS,
) -> Iterator[Stage]:
    """Start broker and worker, and stop both at the end.

    Args:
        rival: Which system.
        setting: How.
        environments: Where it is installed.
        timeout_s: How long a drain may take.
        module: Where its tasks are.

    Raises:
        BenchError: It cannot be run here.
    """
    programs = environments.programs(rival)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="fastworker-rivals-")))
        broker: RedisServer | PostgresServer
        broker = PostgresServer() if rival.broker == "postgres" else RedisServer(folder)
        stack.enter_context(broker)
        marks = create(folder / "marks", _CAPACITY)
        variables = {
            **environments.variables(rival),
            **setting.environment,
            # As in an environment that is active: some start more processes by name.
            "VIRTUAL_ENV": str(programs.parent),
            "PATH": os.pathsep.join([str(programs), os.environ.get("PATH", os.defpath)]),
            "RIVALS_BROKER": broker.url,
            "RIVALS_CONCURRENCY": str(setting.concurrency),
            "RIVALS_ACKS_LATE": "1" if rival.acks_late else "0",
            "RIVALS_MARKS": str(folder / "marks"),
            "RIVALS_TASKS": module,
        }
        if rival.prepare:
            _prepare(rival.prepare.format(broker=broker.url), programs, variables)
        command = setting.worker_command(programs, broker.url)
        worker = stack.enter_context(WorkerProcess(rival.name, command, folder, variables))
        publisher = [str(programs / "python"), "-m", "rival_apps.publish"]
        yield Stage(rival, setting, broker, worker, marks, publisher, variables, timeout_s)


def _prepare(command: str, programs: Path, variables: dict[str, str]) -> None:
    words = shlex.split(command)
    words[0] = str(programs / words[0])
    done = subprocess.run(words, env=variables, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise BenchError(f"its tables could not be made: {_said(done.stderr)}")


def _said(errors: str) -> str:
    """The last line first, which names the error."""
    lines = errors.strip().splitlines() or ["it does not say why"]
    return "\n".join([lines[-1], *lines[-_LINES:]])
