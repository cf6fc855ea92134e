"""What do projects of others, unchanged, get from one changed line: their worker's command?"""

from __future__ import annotations

import sqlite3
import subprocess
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from benches.harness.broker import RedisServer
from benches.harness.projects import PROJECTS, Project
from benches.harness.rabbit import RabbitServer
from benches.harness.runner import IS_QUICK, open_run, rounds
from fastworker.bench.rivals.worker_process import WorkerProcess

WARM_UP = 100
TIMEOUT_S = 120.0
WORKERS = ("celery", "fastworker")

CONDITIONS = {
    "load": "calls published by the project's own client while the warm worker stands still (SIGSTOP)",
    "measured": "from SIGCONT until as many results are stored",
    "worker": "-l INFO -c 2, its log to a file; all else as the project has it",
    "servers": "private ones on loopback, for each worker",
}


def main() -> None:
    """Run the scenario."""
    with open_run("migrated", __doc__, CONDITIONS) as run:
        for project in PROJECTS:
            project.install()
            calls = WARM_UP if IS_QUICK else project.calls
            run.conditions[project.name] = f"{project.what}; {calls:,} calls; {project.versions()}"
            with ExitStack() as stack:
                stages = [Migrated(project, name, stack) for name in WORKERS]
                for stage in stages:
                    stage.drain(WARM_UP)
                for number, stage in rounds(stages):
                    run.add(number, stage.name, stage.drain(calls), case=project.name)


class Migrated:
    """A project with one of the two workers, and its servers."""

    def __init__(self, project: Project, name: str, stack: ExitStack) -> None:
        self.project, self.name = project, name
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-")))
        broker, self._stored = _servers(project, folder, stack)
        self._environment = project.environment(broker)
        self._folder = folder
        program = {
            "celery": [str(project.programs / "celery")],
            "fastworker": [str(project.programs / "python"), "-m", "fastworker"],
        }[name]
        command = [*program, "-A", project.app, "worker", "-l", "INFO", "-c", "2"]
        self.worker = stack.enter_context(
            WorkerProcess(f"{name} ({project.name})", command, folder, self._environment)
        )

    def drain(self, count: int) -> dict[str, float]:
        """How quickly so many calls have their results."""
        before = self._stored()
        with self.worker.frozen():
            self._publish(count)
            cpu_s = self.worker.cpu_s()
            began = time.monotonic()
        deadline = began + TIMEOUT_S
        while self._stored() - before < count:
            self.worker.check()
            if time.monotonic() > deadline:
                raise SystemExit(
                    f"{self.worker.name}: {self._stored() - before} of {count} results in "
                    f"{TIMEOUT_S:g} s{self.worker.last_words()}"
                )
            time.sleep(0.01)  # what is polled is another process's file or server
        elapsed_s = time.monotonic() - began
        self.worker.await_calm(TIMEOUT_S)
        return {
            "tasks_per_s": count / elapsed_s,
            "worker_cpu_us": (self.worker.cpu_s() - cpu_s) / count * 1e6,
        }

    def _publish(self, count: int) -> None:
        command = [str(self.project.programs / "python"), "-c", self.project.publish, str(count)]
        done = subprocess.run(
            command,
            cwd=self._folder,
            env=self._environment,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise SystemExit(f"{self.worker.name}: cannot publish:\n{done.stderr[-2000:]}")


def _servers(project: Project, folder: Path, stack: ExitStack) -> tuple[str, Callable[[], int]]:
    """The broker's URL, and how many results are stored."""
    if project.broker == "redis":
        redis = stack.enter_context(RedisServer(folder))
        return redis.url, lambda: sum(1 for _ in redis.client.scan_iter("celery-task-meta-*", 1000))
    rabbit = stack.enter_context(RabbitServer(folder / "rabbitmq"))
    results = folder / "results.sqlite"
    return rabbit.url, lambda: _rows(results)


def _rows(results: Path) -> int:
    """Of the table of results, which the first result makes."""
    if not results.exists():
        return 0
    connection = sqlite3.connect(f"file:{results}?mode=ro", uri=True, timeout=TIMEOUT_S)
    try:
        found = connection.execute(
            "SELECT count(*) FROM sqlite_master WHERE name = 'celery_taskmeta'"
        ).fetchone()[0]
        if not found:
            return 0
        counted: int = connection.execute("SELECT count(*) FROM celery_taskmeta").fetchone()[0]
        return counted
    finally:
        connection.close()


if __name__ == "__main__":
    main()
