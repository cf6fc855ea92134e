"""``worker --reload``: a changed module is run without anybody restarting anything."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from fastworker import FastWorker
from tests.support.rig import PRODUCT
from tests.support.workers import WorkerProcess, command

TIMEOUT_S = 20

pytestmark = pytest.mark.skipif(PRODUCT == "celery", reason="Celery has no --reload any more")

SOURCE = """
from fastworker import FastWorker

app = FastWorker("reloaded", broker={url!r}, backend={url!r})


@app.task(name="answer")
def answer():
    return {value}
"""


class Project:
    """A directory with one module, and the client of its task."""

    def __init__(self, directory: Path, url: str) -> None:
        self.directory = directory
        self.url = url
        self.app = FastWorker("reloaded", broker=url, backend=url, set_as_current=False)

    def write(self, value: str, at_s: int | None = None) -> None:
        """Save the module as an editor does: a new file in the place of the old one. ``at_s``: the time that it has."""
        fresh = self.directory / "reloaded_tasks.tmp"
        fresh.write_text(SOURCE.format(url=self.url, value=value))
        if at_s is not None:
            os.utime(fresh, (at_s, at_s))
        fresh.rename(self.directory / "reloaded_tasks.py")

    def answer(self) -> object:
        return self.app.send_task("answer").get(timeout=TIMEOUT_S)

    def worker(self, *prefix: str) -> WorkerProcess:
        arguments = [command("fastworker"), "-A", "reloaded_tasks", "worker", "--reload"]
        return WorkerProcess([*prefix, *arguments], cwd=self.directory)


@pytest.fixture
def project(tmp_path: Path, sqlite_url: str) -> Iterator[Project]:
    directory = tmp_path / "project"
    directory.mkdir()
    made = Project(directory, sqlite_url)
    made.write("1")
    with made.app:
        yield made


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_changed_code_runs_and_a_signal_ends_it_all(project: Project, number: int) -> None:
    with project.worker() as worker:
        worker.wait_ready()
        assert project.answer() == 1
        project.write("2")
        worker.wait_for_line(r"ready\.", TIMEOUT_S, count=2)
        assert project.answer() == 2
        # As a terminal sends it.
        os.killpg(worker.pid, number)
        assert worker.wait_ended() == 0
        worker.wait_no_members(5)
    assert "cold shutdown" not in worker.log


def test_broken_code_waits_for_the_next_change(project: Project) -> None:
    with project.worker() as worker:
        worker.wait_ready()
        project.write("1 +")
        worker.wait_for_line(r"SyntaxError")
        worker.wait_for_line(r"the worker ended with status 2; waiting for a change", TIMEOUT_S)
        project.write("3")
        worker.wait_for_line(r"ready\.", TIMEOUT_S, count=2)
        assert project.answer() == 3


def test_directory_that_is_not_there_is_refused(project: Project) -> None:
    arguments = [command("fastworker"), "-A", "reloaded_tasks", "worker"]
    arguments += ["--reload", "--reload-dir", "src"]
    with WorkerProcess(arguments, cwd=project.directory) as refused:
        refused.wait_for_line(r"--reload-dir: 'src' is no directory")
        assert refused.wait_ended() == 2


def test_code_is_polled_where_no_inotify_is_left(project: Project) -> None:
    # A user namespace has limits of its own.
    none_left = "echo 0 > /proc/sys/user/max_inotify_instances"
    if subprocess.run(["unshare", "-Ur", "sh", "-c", none_left], check=False).returncode != 0:
        pytest.skip("this user may not make user namespaces")
    prefix = ["unshare", "-Ur", "sh", "-c", f'{none_left}; exec "$0" "$@"']
    # Several changes within one second look alike to who compares times.
    project.write("1", at_s=100)
    with project.worker(*prefix) as worker:
        worker.wait_for_line(r"files are polled, because .*Too many open files")
        worker.wait_ready()
        project.write("2", at_s=100)
        worker.wait_for_line(r"ready\.", TIMEOUT_S, count=2)
        assert project.answer() == 2
