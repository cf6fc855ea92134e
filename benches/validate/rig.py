"""A real worker on a Redis of its own, arrivals at moments that were drawn before, and what the tasks noted."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from benches.harness.broker import RedisServer
from benches.harness.worker import environment
from benches.validate.app import RECORD
from benches.validate.workloads import Case
from fastworker import FastWorker
from fastworker.plan.arrivals import gaps
from fastworker.plan.distributions import Constant
from fastworker.worker.usage import cpu_by_role, descendants

#: Longest wait for tasks that should have ended, in seconds.
PATIENCE_S = 60.0


@dataclass(frozen=True)
class Ran:
    """One task, in seconds since the Unix epoch."""

    intended: float
    started: float
    ended: float
    cpu_s: float


class Rig:
    """A running worker."""

    def __init__(self, server: RedisServer, records: Path, supervisors: Sequence[int]) -> None:
        self._app = FastWorker("validate-client", broker=server.url, set_as_current=False)
        self._server = server
        self._supervisors = tuple(supervisors)
        self._app.conf.task_ignore_result = True
        self._records = records

    def close(self) -> None:
        """Close the connections."""
        self._app.close()

    def used_s(self) -> float:
        """Processor time of workers and server until now."""
        used = self._server.cpu_s()
        for pid in self._supervisors:
            used += sum(cpu_by_role(pid, descendants(pid), ()).values())
        return used

    def await_nodes(self, count: int) -> None:
        """Wait until so many workers answer.

        Raises:
            SystemExit: Not in time.
        """
        deadline = time.monotonic() + PATIENCE_S
        while len(self._app.control.ping(timeout=1.0, limit=count) or []) < count:
            if time.monotonic() > deadline:
                raise SystemExit(f"{count} workers did not answer in {PATIENCE_S:g} s")

    def ran(self) -> list[Ran]:
        """All tasks that have ended since the last call."""
        rows: list[Ran] = []
        for path in self._records.iterdir():
            data = path.read_bytes()
            rows += [Ran(*values) for values in RECORD.iter_unpack(data)]
        return rows

    def clear(self) -> None:
        """Forget what was noted; nothing runs."""
        for path in self._records.iterdir():
            os.truncate(path, 0)

    def await_ran(self, count: int) -> list[Ran]:
        """Wait until so many have ended.

        Raises:
            SystemExit: Not in time.
        """
        deadline = time.monotonic() + PATIENCE_S
        while sum(path.stat().st_size for path in self._records.iterdir()) < count * RECORD.size:
            if time.monotonic() > deadline:
                raise SystemExit(f"{len(self.ran())} of {count} tasks ended in {PATIENCE_S:g} s")
            time.sleep(0.01)
        rows = self.ran()
        self.clear()
        return rows

    def publish(self, case: Case, plan: Sequence[tuple[float, float, int]]) -> tuple[float, float]:
        """Publish tasks at their moments.

        Args:
            case: Which task.
            plan: Seconds from the beginning, service time, and key, of each.

        Returns:
            The beginning, Unix time; and how late the latest of them was, in seconds.
        """
        began, latest = time.time() + 0.05, 0.0
        for after_s, seconds, key in plan:
            at = began + after_s
            left = at - time.time()
            if left > 0:
                time.sleep(left)
            headers = {} if case.zipf is None else {"rate_limit_key": str(key)}
            self._app.send_task(case.task, (at, seconds, key), headers=headers)
            latest = max(latest, time.time() - at)
        return began, latest

    def publish_at_once(self, case: Case, seconds: Sequence[float]) -> None:
        """Publish tasks as fast as it goes; no keys."""
        name = "validate.sleep" if case.task == "validate.keyed" else case.task
        now = time.time()
        for value in seconds:
            self._app.send_task(name, (now, value, 0))


@contextlib.contextmanager
def running(slots: int, nodes: int = 1) -> Iterator[Rig]:
    """Workers with so many slots each, ready."""
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="validate-")))
        records = folder / "records"
        records.mkdir()
        server = stack.enter_context(RedisServer(folder))
        env = environment({"VALIDATE_BROKER": server.url, "VALIDATE_RECORDS": str(records)})
        log = stack.enter_context((folder / "worker.log").open("wb"))
        pids = []
        for place in range(nodes):
            command = [
                *(
                    str(Path(sys.executable).parent / "fastworker"),
                    "-A",
                    "benches.validate.app:app",
                ),
                *("worker", "--concurrency", str(slots), "--loglevel", "WARNING"),
                *("--hostname", f"validate{place}@here"),
            ]
            process = subprocess.Popen(
                command, env=env, stdout=log, stderr=log, start_new_session=True
            )
            stack.callback(_stop, process)
            pids.append(process.pid)
        rig = Rig(server, records, pids)
        stack.callback(rig.close)
        rig.await_nodes(nodes)
        warm = Case("warm-up", "validate.sleep", Constant(0.001))
        rig.publish(warm, [(0.0, 0.001, 0)] * (20 * slots * nodes))
        try:
            rig.await_ran(20 * slots * nodes)
        except SystemExit as error:
            text = (folder / "worker.log").read_text(errors="replace")
            raise SystemExit(f"{error}; the worker's log:\n{text[-2000:]}") from error
        yield rig


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(timeout=15)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def drawn(
    case: Case, slots: int, rate: float, span_s: float, rng: random.Random
) -> list[tuple[float, float, int]]:
    """Arrivals for so long, with their times and keys."""
    limit, rows, now = case.limit(slots), [], 0.0
    gap = gaps(rate, case.scv, rng)
    while (now := now + gap()) < span_s:
        rows.append((now, case.times.sample(rng), limit.draw(rng) if limit else 0))
    return rows
