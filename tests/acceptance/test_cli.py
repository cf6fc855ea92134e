"""The command line as a process, in a project folder, on the embedded queue: no server."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.rig import PRODUCT
from tests.support.waiting import wait_until
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


@pytest.fixture
def daemons(project: Path) -> Iterator[Path]:
    """The project, whose workers in the background are ended with the test."""
    yield project
    for file in project.glob("*.pid"):
        with contextlib.suppress(ProcessLookupError):
            os.kill(int(file.read_text()), signal.SIGKILL)


def test_a_detached_worker_goes_on_without_its_command(daemons: Path) -> None:
    line = [
        "-A",
        "tasks",
        "worker",
        "-D",
        "-l",
        "INFO",
        "-c",
        "1",
        "--pidfile",
        "d.pid",
        "--logfile",
        "d.log",
    ]
    assert output(daemons, *line) == ""
    pid = pid_in(daemons / "d.pid")
    task_id = output(daemons, "-A", "tasks", "call", "tasks.add", "-a", "[1, 2]")
    assert output(daemons, "-A", "tasks", "result", task_id) == "3"
    assert os.getsid(pid) != os.getsid(0)
    second = run(daemons, *line)
    assert (second.returncode, f"belongs to process {pid}" in second.stderr) == (2, True)
    os.kill(pid, signal.SIGTERM)
    wait_until(lambda: not (daemons / "d.pid").exists(), "the end of the worker")
    assert "ready." in (daemons / "d.log").read_text()


def test_what_keeps_a_worker_from_starting_is_said_before_it_detaches(project: Path) -> None:
    (project / "broken.py").write_text("import nowhere")
    done = run(project, "-A", "broken", "worker", "--detach")
    assert done.returncode == 2
    assert "No module named 'nowhere'" in done.stderr
    done = run(project, "-A", "tasks", "worker", "--detach", "--logfile", "no/such/folder.log")
    assert (done.returncode, "cannot be written" in done.stderr) == (2, True)


def test_multi_starts_restarts_and_stops_nodes(daemons: Path) -> None:
    options = [
        "-A",
        "tasks",
        "-l",
        "INFO",
        "-c",
        "1",
        "-Q:w2",
        "mail",
        "--pidfile=%n.pid",
        "--logfile=logs/%n.log",
    ]
    said = output(daemons, "multi", "start", "w1", "w2", *options)
    assert [line.split(">")[1].split("@")[0].strip() for line in said.splitlines()[1:]] == [
        "w1",
        "w2",
    ]
    first, second = pid_in(daemons / "w1.pid"), pid_in(daemons / "w2.pid")
    task_id = output(daemons, "-A", "tasks", "call", "tasks.add", "-a", "[1, 2]", "--queue", "mail")
    assert output(daemons, "-A", "tasks", "result", task_id) == "3"
    output(daemons, "multi", "restart", "w1", *options)
    assert pid_in(daemons / "w1.pid") != first
    output(daemons, "multi", "stopwait", "w1", "--pidfile=%n.pid")
    assert [file.name for file in daemons.glob("*.pid")] == ["w2.pid"]
    said = output(daemons, "multi", "kill", "w1", "w2", "--pidfile=%n.pid")
    assert f"SIGKILL -> {second}" in said
    wait_until(lambda: not os.path.exists(f"/proc/{second}"), "the end of the worker")
    assert (
        output(daemons, "multi", "stop", "w1", "w2", "--pidfile=%n.pid")
        == "> No nodes are running."
    )


def test_multi_leaves_a_program_alone_that_has_a_workers_number_by_now(daemons: Path) -> None:
    with subprocess.Popen(["sleep", "60"]) as stranger:
        (daemons / "w1.pid").write_text(f"{stranger.pid}\n")
        said = output(daemons, "multi", "kill", "w1", "--pidfile=%n.pid")
        assert f"process {stranger.pid} has the number in" in said
        assert "No nodes are running" in said
        assert stranger.poll() is None
        stranger.kill()


def pid_in(file: Path) -> int:
    """The process number in a file that is written soon."""
    wait_until(file.exists, f"{file.name}")
    return int(file.read_text())


def test_bindings_are_listed(project: Path) -> None:
    assert output(project, "-A", "tasks", "list", "bindings").splitlines() == [
        "Queue                        Exchange                     Routing Key",
        "----------------             ----------------             ----------------",
        "celery                       celery                       celery",
    ]
    rows = json.loads(output(project, "-A", "tasks", "list", "bindings", "--json"))
    assert rows == [{"queue": "celery", "exchange": "celery", "routing_key": "celery"}]


def test_commands_speak_json(project: Path) -> None:
    called = json.loads(output(project, "-A", "tasks", "call", "tasks.add", "-a", "[1, 2]", "-j"))
    purged = json.loads(output(project, "-A", "tasks", "purge", "-f", "--json"))
    assert purged == {"queues": ["celery"], "removed": 1, "cancelled": 0}
    report = json.loads(output(project, "-A", "tasks", "report", "--json"))
    assert report["app"] == "proj"
    assert "hunter2" not in str(report)
    from_file = (
        f"from tasks import app; app.backend.store_result({called['task_id']!r}, 3, 'SUCCESS')"
    )
    subprocess.run([sys.executable, "-c", from_file], cwd=project, check=True)
    assert json.loads(output(project, "-A", "tasks", "result", called["task_id"], "-j")) == {
        "task_id": called["task_id"],
        "state": "SUCCESS",
        "traceback": None,
        "result": 3,
    }


def test_the_fleet_is_drawn(project: Path) -> None:
    with WorkerProcess(
        (command("fastworker"), "-A", "tasks", "-l", "INFO", "-c", "2", "-n", "w1@here"),
        cwd=project,
    ) as worker:
        worker.wait_ready()
        drawn = output(project, "-A", "tasks", "graph", "workers", "-t", "10")
        fleet = json.loads(output(project, "-A", "tasks", "graph", "workers", "-t", "10", "--json"))
    assert drawn.startswith("digraph dependencies {")
    assert '"2 processes of w1@here" -> "w1@here"' in drawn
    assert fleet["workers"] == {"w1@here": 2}


def test_a_shell_knows_the_application_and_its_tasks(project: Path) -> None:
    done = run(
        project,
        "-A",
        "tasks",
        "shell",
        "--python",
        input="print(app is celery, add.name, group.__name__)",
    )
    assert "True tasks.add group" in done.stdout
    done = run(project, "-A", "tasks", "shell", "--python", "-T", input="print('add' in globals())")
    assert "False" in done.stdout
