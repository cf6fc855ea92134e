"""``pool_restart``: new processes with new code take the place of the old ones, which finish what they run."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fastworker import FastWorker
from tests.support.gate import Gate
from tests.support.rig import PRODUCT
from tests.support.waiting import wait_until
from tests.support.workers import WorkerProcess, command

pytestmark = pytest.mark.skipif(PRODUCT == "celery", reason="its processes have the old code again")

NODE = "w@here"
TIMEOUT_S = 30

CODE = """
import os
from fastworker import FastWorker
from tests.support.gate import hold
app = FastWorker("proj", broker=os.environ["TEST_URL"], backend=os.environ["TEST_URL"])
app.conf.worker_pool_restarts = os.environ.get("TEST_RESTARTS") != "no"

@app.task(name="proj.version")
def version():
    return [1, os.getpid()]

@app.task(name="proj.hold")
def hold_(path):
    hold(path)
    return [1, os.getpid()]
"""


class Project:
    """A folder with an application, its client, and a worker of it.

    Args:
        folder: Where.
        url: Broker and results.
    """

    def __init__(self, folder: Path, url: str) -> None:
        self.client = FastWorker("client", broker=url, backend=url, set_as_current=False)
        self._folder = folder
        self._url = url
        self.write(CODE)

    def write(self, code: str) -> None:
        """Give the application other code."""
        (self._folder / "proj.py").write_text(code)

    def worker(self, *options: str, **environment: str) -> WorkerProcess:
        """Its worker; to be entered."""
        line = (command("fastworker"), "-A", "proj", "worker", "-l", "INFO", "-n", NODE, *options)
        # Files of one second and one length look alike to Python's cache of compiled code.
        variables = {"TEST_URL": self._url, "PYTHONDONTWRITEBYTECODE": "1", **environment}
        return WorkerProcess(line, variables, self._folder)

    def ask(self, method: str, **arguments: Any) -> Any:
        """The node's reply."""
        replies = self.client.control.broadcast(
            method, arguments, reply=True, timeout=TIMEOUT_S, destination=[NODE]
        )
        assert replies is not None
        [[reply]] = [list(each.values()) for each in replies]
        return reply

    def pids(self) -> list[int]:
        """The pool's processes."""
        found: list[int] = self.ask("stats")["pool"]["processes"]
        return found

    def run(self, name: str, *args: Any) -> Any:
        """A task's result, once it is there."""
        return self.client.send_task(name, args).get(timeout=TIMEOUT_S)


@pytest.fixture
def project(redis_url: str, tmp_path: Path) -> Iterator[Project]:
    """On Redis: which broker it is has no part in it."""
    made = Project(tmp_path, redis_url)
    yield made
    made.client.close()


@pytest.mark.shows("setting worker_pool_restarts", "control pool_restart")
@pytest.mark.parametrize("options", [(), ("--pool", "threads"), ("--pool-start-method", "spawn")])
def test_new_processes_have_the_new_code_and_what_runs_ends_in_the_old(
    project: Project, gate: Gate, options: tuple[str, ...]
) -> None:
    with project.worker("-c", "2", *options) as worker:
        worker.wait_ready()
        running = project.client.send_task("proj.hold", (gate.path,))
        [old] = gate.wait_started()
        before = set(project.pids())
        project.write(CODE.replace("[1,", "[2,"))
        assert project.ask("pool_restart") == {"ok": "reload started"}
        worker.wait_for_line("the pool is restarted", TIMEOUT_S)
        number, pid = project.run("proj.version")
        assert (number, pid in before) == (2, False)
        assert running.state != "SUCCESS"
        gate.release()
        assert running.get(timeout=TIMEOUT_S) == [1, old]
        wait_until(lambda: not before & set(project.pids()), "the end of the old processes")
        assert len(project.pids()) == len(before)
        assert worker.stop() == 0
        assert "prematurely" not in worker.log
        worker.wait_no_members()


def test_what_waits_at_an_old_process_runs_in_a_new_one(project: Project, gate: Gate) -> None:
    with project.worker("-c", "1") as worker:
        worker.wait_ready()
        running = project.client.send_task("proj.hold", (gate.path,))
        gate.wait_started()
        waiting = [project.client.send_task("proj.version") for _ in range(50)]
        project.write(CODE.replace("[1,", "[2,"))
        assert project.ask("pool_restart") == {"ok": "reload started"}
        worker.wait_for_line("the pool is restarted", TIMEOUT_S)
        gate.release()
        assert running.get(timeout=TIMEOUT_S)[0] == 1
        assert {result.get(timeout=TIMEOUT_S)[0] for result in waiting} == {2}


def test_code_that_cannot_be_imported_changes_nothing(project: Project) -> None:
    with project.worker("-c", "1") as worker:
        worker.wait_ready()
        before = project.pids()
        project.write("raise RuntimeError('half written')")
        assert project.ask("pool_restart") == {"ok": "reload started"}
        worker.wait_for_line("the pool is not restarted", TIMEOUT_S)
        assert "half written" in worker.log
        assert (project.run("proj.version"), project.pids()) == ([1, *before], before)
        project.write(CODE.replace("[1,", "[3,"))
        assert project.ask("pool_restart") == {"ok": "reload started"}
        worker.wait_for_line("the pool is restarted", TIMEOUT_S)
        assert project.run("proj.version")[0] == 3


def test_new_processes_import_the_named_modules_too(project: Project, tmp_path: Path) -> None:
    (tmp_path / "more.py").write_text("print('more is imported', flush=True)")
    with project.worker("-c", "1") as worker:
        worker.wait_ready()
        assert project.ask("pool_restart", modules=["more"]) == {"ok": "reload started"}
        worker.wait_for_line("more is imported", TIMEOUT_S)
        worker.wait_for_line("the pool is restarted", TIMEOUT_S)


def test_restart_has_to_be_allowed(project: Project) -> None:
    with project.worker("-c", "1", TEST_RESTARTS="no") as worker:
        worker.wait_ready()
        reply = project.ask("pool_restart")
        assert reply == {"error": "ValueError('Pool restarts not enabled')"}


def test_pool_without_processes_says_so(project: Project) -> None:
    with project.worker("--pool", "solo") as worker:
        worker.wait_ready()
        reply = project.ask("pool_restart")
        assert "pool solo has no processes that could be replaced" in reply["error"]
