"""``fastworker events --camera``: snapshots of real workers, by cameras of ours and of Celery's."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.support.gate import read_lines
from tests.support.rig import PRODUCT, Rig
from tests.support.waiting import wait_until
from tests.support.workers import ROOT, WorkerProcess, command

pytestmark = pytest.mark.skipif(PRODUCT == "celery", reason="fastworker's own cameras")

CAMERA = """
import json, os
from {package}.events.snapshot import Polaroid

class Camera(Polaroid):
    clear_after = {clears}

    def __init__(self, *args, **kwargs):
        super().__init__(*args, cleanup_freq=0.2, **kwargs)
        self.state.event_callback = self.note

    def note(self, state, event):
        with open({notes!r} + ".heard", "a") as lines:
            lines.write(f"{{event['type']}} {{event.get('uuid')}} {{event.get('freq')}}\\n")

    def on_shutter(self, state):
        with open({notes!r}, "a") as lines:
            lines.write(json.dumps({{
                "app": type(self.app).__module__.split(".")[0],
                "pid": os.getpid(),
                "events": state.event_count,
                "workers": {{name: [worker.alive, len(worker.heartbeats) > 0]
                             for name, worker in state.workers.items()}},
                "tasks": {{uuid: [task.name, task.state, task.worker.hostname]
                           for uuid, task in state.tasks.items()}},
            }}) + "\\n")

    def on_cleanup(self):
        with open({notes!r} + ".cleanups", "a") as lines:
            lines.write("cleanup\\n")

class Broken(Camera):
    def on_shutter(self, state):
        super().on_shutter(state)
        raise ValueError("out of film")
"""


class Studio:
    """A folder with cameras in ``cameras.py``, and what they have noted."""

    def __init__(self, rig: Rig, folder: Path, package: str, clears: bool = False) -> None:
        self.rig = rig
        self.folder = folder
        self.notes = str(folder / "notes")
        source = CAMERA.format(package=package, clears=clears, notes=self.notes)
        (folder / "cameras.py").write_text(source)

    @property
    def line(self) -> list[str]:
        return [command("fastworker"), "-A", "tests.support.worker_app", "events"]

    @property
    def environment(self) -> dict[str, str]:
        return {**self.rig.spec.environment(), "PYTHONPATH": f"{self.folder}:{ROOT}"}

    def start(self, *options: str, camera: str = "Camera") -> WorkerProcess:
        line = (*self.line, "--camera", f"cameras.{camera}", *options)
        process = self.rig.run(*line, environment=self.environment)
        process.wait_for_line("evcam: Taking snapshots")
        return process

    def pictures(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in read_lines(self.notes)]

    def wait_heard(self, *ids: str) -> None:
        """Wait until the ends of these tasks were taken in: something was heard after them."""
        heard = self.notes + ".heard"
        ends = {f"task-succeeded {task_id} None" for task_id in ids}
        wait_until(lambda: ends <= set(read_lines(heard)), "the ends of tasks", 30)
        self.rig.app.control.heartbeat()
        wait_until(lambda: "worker-heartbeat None 5" in read_lines(heard), "a heartbeat", 30)

    def wait_for(self, task_id: str, state: str) -> dict[str, Any]:
        """The first picture of a task in this state."""

        def found() -> list[dict[str, Any]]:
            return [one for one in self.pictures() if one["tasks"].get(task_id, [0, 0])[1] == state]

        return wait_until(found, f"a picture of {state}", 30)[0]


@pytest.mark.parametrize("package", ["fastworker", "celery"])
@pytest.mark.shows("event events --camera", "event Polaroid")
def test_a_camera_takes_pictures_until_it_is_stopped(
    redis_rig: Rig, tmp_path: Path, package: str
) -> None:
    studio = Studio(redis_rig, tmp_path, package)
    redis_rig.worker("-n", "w@x", "-E", concurrency=1)
    camera = studio.start("--freq", "0.1")
    wait_until(lambda: any(one["workers"] for one in studio.pictures()), "a worker")
    task_id = redis_rig.task("add").delay(1, 2).id
    picture = studio.wait_for(task_id, "SUCCESS")
    assert picture["tasks"][task_id] == ["proj.add", "SUCCESS", "w@x"]
    assert picture["workers"] == {"w@x": [True, True]}
    assert picture["app"] == package
    wait_until(lambda: read_lines(studio.notes + ".cleanups"), "a cleanup")
    camera.signal(signal.SIGTERM)
    assert camera.wait_ended() == 0
    assert "Traceback" not in camera.log


def test_the_last_picture_has_what_was_told_since_the_one_before(
    redis_rig: Rig, tmp_path: Path
) -> None:
    studio = Studio(redis_rig, tmp_path, "fastworker", clears=True)
    camera = studio.start("--freq", "3600")
    redis_rig.worker("-n", "w@x", "-E", concurrency=1)
    task_id = redis_rig.task("add").delay(1, 2).id
    studio.wait_heard(task_id)
    camera.signal(signal.SIGINT)
    assert camera.wait_ended() == 0
    (picture,) = studio.pictures()
    assert picture["tasks"][task_id][1] == "SUCCESS"


def test_at_most_as_often_as_is_said_and_nothing_is_lost_by_that(
    redis_rig: Rig, tmp_path: Path
) -> None:
    studio = Studio(redis_rig, tmp_path, "fastworker", clears=True)
    redis_rig.worker("-n", "w@x", "-E", concurrency=1)
    camera = studio.start("--freq", "0.05", "--maxrate", "1/h")
    wait_until(studio.pictures, "the first picture")
    ids = [redis_rig.task("add").delay(n, n).id for n in range(3)]
    studio.wait_heard(*ids)
    camera.signal(signal.SIGTERM)
    assert camera.wait_ended() == 0
    assert len(studio.pictures()) == 2
    assert set(ids) <= set(studio.pictures()[1]["tasks"])


def test_a_camera_that_fails_is_told_of_and_goes_on(redis_rig: Rig, tmp_path: Path) -> None:
    log = tmp_path / "camera.log"
    studio = Studio(redis_rig, tmp_path, "fastworker")
    studio.start("--freq", "0.1", "-f", str(log), camera="Broken")
    wait_until(lambda: len(studio.pictures()) >= 3, "pictures")
    wait_until(lambda: log.read_text().count("ValueError: out of film") >= 2, "log lines")


def test_in_the_background_with_a_pidfile_that_one_may_hold(redis_rig: Rig, tmp_path: Path) -> None:
    studio = Studio(redis_rig, tmp_path, "fastworker")
    pidfile = tmp_path / "camera.pid"
    line = [*studio.line, "--camera", "cameras.Camera", "--freq", "0.1"]
    line += ["--pidfile", str(pidfile), "-f", str(tmp_path / "camera.log"), "--detach"]
    started = run(line, studio)
    assert started.returncode == 0, started.stderr
    with contextlib.ExitStack() as stack:
        wait_until(lambda: pidfile.exists() and pidfile.read_text().strip(), "the pidfile")
        pid = int(pidfile.read_text())
        stack.callback(end, pid)
        wait_until(studio.pictures, "a picture")
        assert studio.pictures()[0]["pid"] == pid
        second = run(line, studio)
        assert (second.returncode, f"belongs to process {pid}" in second.stderr) == (2, True)
        os.kill(pid, signal.SIGTERM)
        wait_until(lambda: not pidfile.exists(), "the end")


def end(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--camera", "cameras.Nobody"], "has no attribute 'Nobody'"),
        (["--camera", "nowhere.Camera"], "No module named 'nowhere'"),
        (["--camera", "cameras.Camera", "--maxrate", "often"], "rate limit 'often'"),
        (["--camera", "cameras.Camera", "--freq", "0"], "--frequency"),
        (["--camera", "cameras.Camera", "--dump"], "expected one of them"),
        (["--detach"], "--detach goes with --camera"),
    ],
)
def test_what_cannot_be_done_says_why(
    redis_rig: Rig, tmp_path: Path, options: list[str], said: str
) -> None:
    studio = Studio(redis_rig, tmp_path, "fastworker")
    done = run([*studio.line, *options], studio)
    assert done.returncode == 2
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def run(line: list[str], studio: Studio) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, **studio.environment}
    return subprocess.run(line, env=environment, capture_output=True, text=True, timeout=60)
