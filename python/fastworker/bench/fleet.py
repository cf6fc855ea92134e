"""The workers of a bench: processes of its own, or a fleet that runs already; and their recorders."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fastworker.bench.errors import BenchError

if TYPE_CHECKING:
    from fastworker.app.app import FastWorker

#: A worker that imports a large application may take this long.
_START_S = 60.0
_STOP_S = 20.0
#: For each answer to a recorder's order; histograms of many tasks are some 100 KB.
_ANSWER_S = 15.0


@dataclass(frozen=True)
class OwnWorkers:
    """Workers that a bench starts.

    Attributes:
        spec: What ``-A`` names.
        count: Nodes.
        concurrency: Slots of each.
        pool: As for ``worker --pool``.
        queue: What they consume.
        environment: Added to ours.
        options: Further options of ``fastworker worker``.
    """

    spec: str
    count: int
    concurrency: int
    pool: str
    queue: str
    environment: Mapping[str, str] = field(default_factory=dict)
    options: Sequence[str] = ()

    def names(self) -> list[str]:
        """Of the nodes."""
        return [f"{self.queue}-{place}@local" for place in range(self.count)]


class Fleet:
    """Workers whose recorders can be asked.

    Args:
        app: Through whose broker they are asked.
        nodes: Their names.
        processes: Those that are ours, with their logs.
    """

    def __init__(
        self,
        app: FastWorker,
        nodes: Sequence[str],
        processes: Sequence[tuple[subprocess.Popen[bytes], Path]] = (),
    ) -> None:
        self._app = app
        self.nodes = tuple(nodes)
        self._processes = tuple(processes)

    def ask(self, order: str) -> list[dict[str, Any]]:
        """What each node answers to ``bench_record``.

        Raises:
            BenchError: One does not answer, or cannot; the text says which.
        """
        replies = self._app.control.broadcast(
            "bench_record",
            arguments={"order": order},
            destination=list(self.nodes),
            reply=True,
            limit=len(self.nodes),
            timeout=_ANSWER_S,
        )
        answers = {node: answer for reply in replies or [] for node, answer in reply.items()}
        for node in self.nodes:
            if node not in answers:
                raise BenchError(f"worker {node} does not answer; {self._fate()}")
            if "error" in answers[node]:
                raise BenchError(
                    f"worker {node} cannot be measured: {answers[node]['error']}; expected a fastworker of this version"
                )
        return [answers[node] for node in self.nodes]

    def check(self) -> None:
        """See whether all of ours live.

        Raises:
            BenchError: One has ended; the text has the end of its log.
        """
        if any(process.poll() is not None for process, _ in self._processes):
            raise BenchError(self._fate())

    def _fate(self) -> str:
        for process, log in self._processes:
            if process.poll() is not None:
                return f"it has ended with status {process.returncode}; its log ends with:\n{_tail(log)}"
        return "is it stopped, or cut off from the broker?"


@contextmanager
def attached(app: FastWorker, nodes: Sequence[str]) -> Iterator[Fleet]:
    """The workers that run now, or those that are named.

    Raises:
        BenchError: There is none.
    """
    found = list(nodes) or [node for reply in app.control.ping(timeout=1.0) or [] for node in reply]
    if not found:
        raise BenchError(
            "--attach: no worker answers at this broker; start one, or leave --attach out"
        )
    fleet = Fleet(app, sorted(found))
    try:
        yield fleet
    finally:
        fleet.ask("stop")


@contextmanager
def started(app: FastWorker, own: OwnWorkers) -> Iterator[Fleet]:
    """Workers of our own, ready; stopped at the end.

    Raises:
        BenchError: One does not come up; the text has the end of its log.
    """
    with tempfile.TemporaryDirectory(prefix="fastworker-bench-") as directory:
        processes: list[tuple[subprocess.Popen[bytes], Path]] = []
        try:
            for name in own.names():
                log = Path(directory) / f"{name}.log"
                processes.append((_start(own, name, log), log))
            fleet = Fleet(app, own.names(), processes)
            _wait_ready(app, fleet)
            yield fleet
        finally:
            _stop([process for process, _ in processes])


def _start(own: OwnWorkers, name: str, log: Path) -> subprocess.Popen[bytes]:
    command = [
        *(
            sys.executable,
            "-m",
            "fastworker",
            "-A",
            own.spec,
            "worker",
            "-n",
            name,
            "-l",
            "WARNING",
        ),
        *("-Q", own.queue, "-c", str(own.concurrency), "-P", own.pool, *own.options),
    ]
    with log.open("wb") as output:
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env={**os.environ, **own.environment},
            start_new_session=True,
        )


def _wait_ready(app: FastWorker, fleet: Fleet) -> None:
    """Until each answers; one that has not begun to listen leaves the question unanswered."""
    missing = set(fleet.nodes)
    deadline = time.monotonic() + _START_S
    while missing:
        fleet.check()
        if time.monotonic() > deadline:
            raise BenchError(f"worker {min(missing)} is not ready after {_START_S:g} s")
        answers = app.control.ping(destination=sorted(missing), timeout=0.5, limit=len(missing))
        for reply in answers or []:
            missing.difference_update(reply)


def _stop(processes: Sequence[subprocess.Popen[bytes]]) -> None:
    for process in processes:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
    for process in processes:
        try:
            process.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()  # its children end with it
            process.wait()


def _tail(log: Path) -> str:
    return "\n".join(log.read_text(errors="replace").splitlines()[-20:])
