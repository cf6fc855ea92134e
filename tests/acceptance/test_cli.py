"""The command line as a process, in a project folder, on the embedded queue: no server."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from tests.support.rig import PRODUCT
from tests.support.workers import WorkerProcess, command

pytestmark = pytest.mark.skipif(PRODUCT == "celery", reason="fastworker's own command line")

TASKS = """
from fastworker import FastWorker
app = FastWorker("proj")
app.conf.update(task_serialiser="json", my_password="hunter2")

@app.task
def add(x, y):
    return x + y
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A folder with ``tasks.py``."""
    (tmp_path / "tasks.py").write_text(TASKS)
    return tmp_path


def run(
    project: Path, *arguments: str, input: str = "", **environment: str
) -> subprocess.CompletedProcess[str]:
    """Run ``fastworker …`` in ``project``."""
    return subprocess.run(
        [command("fastworker"), *arguments],
        cwd=project,
        env={**os.environ, "NO_COLOR": "1", **environment},
        input=input,
        capture_output=True,
        text=True,
        timeout=60,
    )


def output(project: Path, *arguments: str) -> str:
    """What a command prints that succeeds."""
    done = run(project, *arguments)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("-A taks worker", "did you mean 'tasks'"),
        ("-A tasks:ap worker", "did you mean 'app'"),
        ("-A tasks wroker", "did you mean 'worker'"),
        ("-A tasks worker --concurency 2", "--concurrency"),
        ("-A tasks worker --beat", "later version"),
        ("worker", "-A"),
    ],
)
def test_what_cannot_be_started_says_why(project: Path, line: str, said: str) -> None:
    done = run(project, *line.split())
    assert done.returncode == 2
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_an_import_error_is_the_users_traceback_and_one_line(project: Path) -> None:
    (project / "broken.py").write_text("import json\nimport not_there\n")
    done = run(project, "-A", "broken", "worker")
    assert done.returncode == 2
    lines = done.stderr.strip().splitlines()
    assert "broken.py" in lines[1]
    assert "line 2" in lines[1]
    assert lines[-1].startswith("fastworker: cannot import 'broken'")
    assert "'not_there', which is not installed" in lines[-1]


def test_report_shows_settings_without_secrets(project: Path) -> None:
    report = output(project, "-A", "tasks", "report")
    assert "my_password: '********'" in report
    assert "did you mean 'task_serializer'" in report
    assert str(project / ".fastworker") in report


def test_a_called_task_runs_and_its_result_is_printed(project: Path) -> None:
    task_id = output(project, "-A", "tasks", "call", "tasks.add", "-a", "[2, 40]")
    line = (command("fastworker"), "-A", "tasks", "-l", "INFO", "-c", "1")
    with WorkerProcess(line, cwd=project) as worker:
        worker.wait_ready()
        assert output(project, "-A", "tasks", "result", task_id) == "42"


def test_arguments_that_are_no_json_are_refused(project: Path) -> None:
    done = run(project, "-A", "tasks", "call", "tasks.add", "-a", "(1, 2)")
    assert done.returncode == 2
    assert "expected a JSON list" in done.stderr


def test_purge_asks_and_then_removes_what_waits(project: Path) -> None:
    for _ in range(3):
        output(project, "-A", "tasks", "call", "tasks.add", "-a", "[1, 1]")
    assert run(project, "-A", "tasks", "purge", input="n\n").returncode == 130
    assert "Removed 3 messages from celery." in output(project, "-A", "tasks", "purge", "-f")
    assert "Removed 0 messages" in output(project, "-A", "tasks", "purge", "-f")


def test_a_dead_letter_is_listed_retried_and_thrown_away(project: Path) -> None:
    task_id = output(project, "-A", "tasks", "call", "tasks.unknown")
    line = (command("fastworker"), "-A", "tasks", "-l", "INFO", "-c", "1")
    with WorkerProcess(line, cwd=project) as worker:
        worker.wait_ready()
        worker.wait_for_line(task_id)
    (letter,) = map(json.loads, output(project, "-A", "tasks", "dead", "list", "-j").splitlines())
    assert (letter["id"], letter["task"]) == (task_id, "tasks.unknown")
    assert letter["reason"] in output(project, "-A", "tasks", "dead", "list")
    assert task_id in output(project, "-A", "tasks", "dead", "show", task_id[:8])
    assert "Published 1 of 1" in output(project, "-A", "tasks", "dead", "retry", task_id)
    assert output(project, "-A", "tasks", "dead", "list") == "No dead letters."
    assert "Threw away 0" in output(project, "-A", "tasks", "dead", "purge", "-y")


def test_options_come_from_the_environment_too(project: Path) -> None:
    environment = {"APP": "tasks", "CELERY_WORKER_CONCURRENCY": "many"}
    done = run(project, "worker", **environment)
    assert done.returncode == 2
    assert "'many': expected a whole number" in done.stderr


def test_a_pidfile_is_there_while_the_worker_runs(project: Path) -> None:
    line = (*["-A", "tasks", "-l", "INFO", "-c", "1", "-n", "w1@%h", "--pidfile", "%n.pid"],)
    with WorkerProcess((command("fastworker"), *line), cwd=project) as worker:
        worker.wait_ready()
        assert (project / "w1.pid").read_text().strip() == str(worker.pid)
        second = run(project, *line)
        assert second.returncode == 2
        assert f"belongs to process {worker.pid}" in second.stderr
        assert worker.stop() == 0
    assert not (project / "w1.pid").exists()
