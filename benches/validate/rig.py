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
from fastworker.plan.distributions import Constant

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

    def __init__(self, url: str, records: Path) -> None:
        self._app = FastWorker("validate-client", broker=url, set_as_current=False)
        self._app.conf.task_ignore_result = True
        self._records = records

    def close(self) -> None:
        """Close the connections."""
        self._app.close()

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

    def publish(self, case: Case, plan: Sequence[tuple[float, float, int]]) -> float:
        """Publish tasks at their moments; returns how late the latest of them was, in seconds.

        Args:
            case: Which task.
            plan: Seconds from now, service time, and key, of each.
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
        return latest

    def publish_at_once(self, case: Case, seconds: Sequence[float]) -> None:
        """Publish tasks as fast as it goes; no keys."""
        name = "validate.sleep" if case.task == "validate.keyed" else case.task
        now = time.time()
        for value in seconds:
            self._app.send_task(name, (now, value, 0))


@contextlib.contextmanager
def running(slots: int) -> Iterator[Rig]:
    """A worker with so many slots, ready."""
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="validate-")))
        records = folder / "records"
        records.mkdir()
        server = stack.enter_context(RedisServer(folder))
        env = environment({"VALIDATE_BROKER": server.url, "VALIDATE_RECORDS": str(records)})
        command = [
            *(str(Path(sys.executable).parent / "fastworker"), "-A", "benches.validate.app:app"),
            *("worker", "--concurrency", str(slots), "--loglevel", "WARNING"),
        ]
        log = stack.enter_context((folder / "worker.log").open("wb"))
        process = subprocess.Popen(command, env=env, stdout=log, stderr=log, start_new_session=True)
        stack.callback(_stop, process)
        rig = Rig(server.url, records)
        stack.callback(rig.close)
        warm = Case("warm-up", "validate.sleep", Constant(0.001))
        rig.publish(warm, [(0.0, 0.001, 0)] * (20 * slots))
        try:
            rig.await_ran(20 * slots)
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
    """Poisson arrivals for so long, with their times and keys."""
    limit, rows, now = case.limit(slots), [], 0.0
    while (now := now + rng.expovariate(rate)) < span_s:
        rows.append((now, case.times.sample(rng), limit.draw(rng) if limit else 0))
    return rows
