"""``fastworker events`` in a terminal, with real workers: keys are typed, and the screen is read."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.apps import AppSpec
from tests.support.gate import Gate
from tests.support.rabbitmq import VirtualHost
from tests.support.redis_server import RedisServer
from tests.support.rig import PRODUCT, Rig
from tests.support.terminal import Terminal
from tests.support.waiting import wait_until
from tests.support.workers import command

pytestmark = pytest.mark.skipif(PRODUCT == "celery", reason="fastworker's own monitor")


def monitor(rig: Rig, *options: str, **size: int) -> Terminal:
    """The monitor of a rig's application."""
    line = (command("fastworker"), "-A", "tests.support.worker_app", *options)
    environment = {**os.environ, **rig.spec.environment(), "TZ": "UTC"}
    environment.pop("NO_COLOR", None)
    return Terminal(line, environment, **size)


@pytest.fixture
def terminal(redis_rig: Rig) -> Iterator[Terminal]:
    """The monitor on Redis, once it listens."""
    with monitor(redis_rig, "events") as terminal:
        terminal.wait_for("Workers online: none", "fastworker events")
        yield terminal


@pytest.mark.shows("event events")
def test_tasks_are_seen_selected_and_looked_at(redis_rig: Rig, terminal: Terminal) -> None:
    redis_rig.worker("-n", "w@x", "-E", concurrency=1)
    terminal.wait_for("Workers online: w@x")
    failed = redis_rig.task("fail").delay("it's").id
    terminal.wait_for(failed, "FAILURE")
    added = redis_rig.task("add").delay(40, 2).id
    terminal.wait_for(added, "SUCCESS", "workers: 1/1")
    rows = [line for line in terminal.lines if "proj." in line]
    assert [row.split()[:3] for row in rows] == [
        [added, "proj.add", "w@x"],
        [failed, "proj.fail", "w@x"],
    ]
    assert (terminal.color("SUCCESS"), terminal.color("FAILURE")) == ("green", "red")
    terminal.type("j")
    terminal.wait_for("Selected: args=(40, 2)")
    terminal.type("r")
    terminal.wait_for(f"Result of {added}", " 42")
    terminal.type(" \x1bOB")
    terminal.wait_for("Selected: args=('it")
    terminal.type("t")
    terminal.wait_for(f"Traceback of {failed}", "raise Boom(text)")
    terminal.type(" i")
    terminal.wait_for(f"Task details for {failed}", 'exception: Boom("it\'s")', "worker: w@x")
    terminal.type(" q")
    assert terminal.wait_ended() == 0


def test_a_task_is_revoked_and_a_rate_limited(
    redis_rig: Rig, terminal: Terminal, tmp_path: Path
) -> None:
    redis_rig.worker("-n", "w@x", "-E", concurrency=1)
    terminal.wait_for("Workers online: w@x")
    with Gate(tmp_path) as gate:
        held = redis_rig.task("hold").delay(gate.path)
        gate.wait_started()
        waiting = redis_rig.task("add").delay(1, 2)
        terminal.wait_for(held.id, "STARTED", waiting.id, "RECEIVED")
        terminal.type("jc")
        terminal.wait_for("What the workers say", "w@x: tasks", waiting.id)
        terminal.type(" l10/m\r")
        terminal.wait_for("w@x: new rate limit set successfully")
        terminal.type(" ")
        gate.release()
    terminal.wait_for("REVOKED")
    limits = redis_rig.app.control.inspect(["w@x"], timeout=10).registered("rate_limit")
    assert "proj.add [rate_limit=10/m]" in limits["w@x"]


def is_whole(lines: list[str]) -> bool:
    """Whether the first and the last line of the screen are the monitor's."""
    return lines[0].startswith("fastworker events") and lines[-1].startswith("Keys:")


def test_it_fits_itself_into_a_terminal_that_is_resized(redis_rig: Rig, terminal: Terminal) -> None:
    redis_rig.worker("-n", "w@x", "-E", concurrency=1)
    task_id = redis_rig.task("add").delay(1, 2).id
    terminal.wait_for(task_id, "SUCCESS")
    for rows, columns in ((10, 60), (30, 140), (3, 20), (24, 100)):
        terminal.resize(rows, columns)
        seen = "STATE" if rows < 5 else task_id[:8]
        terminal.wait_until(
            lambda lines, seen=seen: is_whole(lines) and seen in "\n".join(lines),
            f"a picture of {rows}x{columns}",
        )
        assert len(terminal.lines) == rows


def test_a_window_that_is_pulled_at_does_not_stop_it(terminal: Terminal) -> None:
    # The kernel tells of each size on the way, and sooner than the last word of it is understood.
    for columns in [*range(40, 200), *range(200, 40, -1)] * 5:
        terminal.resize(24, columns)
    terminal.resize(12, 100)
    terminal.wait_until(is_whole, "a picture of 12x100")


@pytest.mark.parametrize("end", ["q", "ctrl-c", "SIGTERM"])
def test_the_terminal_is_left_as_it_was(terminal: Terminal, end: str) -> None:
    assert terminal.modes_now() != terminal.modes
    if end == "SIGTERM":
        terminal.signal(signal.SIGTERM)
    else:
        terminal.type({"q": "q", "ctrl-c": "\x03"}[end])
    assert terminal.wait_ended() == 0
    assert terminal.modes_now() == terminal.modes
    # The cursor is there again, and the other screen, with nothing on it.
    wait_until(lambda: terminal.raw.rstrip().endswith(b"\x1b>"), "the last word of curses")
    assert b"\x1b[?1049l" in terminal.raw
    assert terminal.raw.rindex(b"\x1b[?25h") > terminal.raw.rindex(b"\x1b[?25l")
    assert b"Traceback" not in terminal.raw


def test_without_colours_there_are_none(redis_rig: Rig) -> None:
    with monitor(redis_rig, "--no-color", "events") as terminal:
        terminal.wait_for("Workers online")
        redis_rig.worker("-n", "w@x", "-E", concurrency=1)
        redis_rig.task("add").delay(1, 2)
        terminal.wait_for("SUCCESS")
        assert terminal.color("SUCCESS") == "default"


def test_a_broker_that_goes_away_is_told_of_until_it_is_back(tmp_path: Path) -> None:
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(RedisServer(tmp_path))
        rig = Rig(AppSpec("fastworker", server.url, server.url), tmp_path, stack)
        terminal = stack.enter_context(monitor(rig, "events"))
        rig.worker("-n", "w@x", "-E", concurrency=1)
        terminal.wait_for("Workers online: w@x")
        server.kill()
        terminal.wait_for("Connection lost")
        server.start()
        wait_until(lambda: "Connection lost" not in "\n".join(terminal.lines), "the way back")
        task_id = rig.task("add").delay(1, 2).id
        terminal.wait_for(task_id, "SUCCESS")
        terminal.type("q")
        assert terminal.wait_ended() == 0


def test_on_rabbitmq_too(rabbit: VirtualHost, redis_url: str, tmp_path: Path) -> None:
    with contextlib.ExitStack() as stack:
        rig = Rig(AppSpec("fastworker", rabbit.url, redis_url), tmp_path, stack)
        terminal = stack.enter_context(monitor(rig, "events"))
        terminal.wait_for("Workers online")
        rig.worker("-n", "w@x", "-E", concurrency=1)
        task_id = rig.task("add").delay(1, 2).id
        terminal.wait_for(task_id, "SUCCESS", "Workers online: w@x")


def test_as_many_tasks_are_remembered_as_is_said(redis_rig: Rig) -> None:
    with monitor(redis_rig, "events", "--max", "2") as terminal:
        terminal.wait_for("Workers online")
        redis_rig.worker("-n", "w@x", "-E", concurrency=1)
        ids = [redis_rig.task("add").delay(n, n).id for n in range(2)]
        terminal.wait_for(*ids, "tasks: 2")
        ids.append(redis_rig.task("add").delay(2, 2).id)
        terminal.wait_for(ids[-1], "tasks: 3")
        rows = [line.split()[0] for line in terminal.lines if "proj.add" in line]
        assert rows == [ids[2], ids[1]]


def test_a_broker_that_was_never_there_is_an_error(tmp_path: Path) -> None:
    with contextlib.ExitStack() as stack:
        spec = AppSpec("fastworker", "redis://127.0.0.1:1/0", "redis://127.0.0.1:1/0")
        terminal = stack.enter_context(monitor(Rig(spec, tmp_path, stack), "events"))
        assert terminal.wait_ended() == 1
        assert terminal.modes_now() == terminal.modes
        terminal.wait_for("fastworker:", "127.0.0.1:1")


def test_without_a_terminal_it_says_what_to_do(redis_rig: Rig) -> None:
    done = subprocess.run(
        [command("fastworker"), "-A", "tests.support.worker_app", "events"],
        env={**os.environ, **redis_rig.spec.environment()},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2
    assert "needs a terminal; --dump" in done.stderr


def test_without_curses_it_says_what_to_do(redis_rig: Rig) -> None:
    code = "import sys; sys.modules['curses'] = None; from fastworker.cli.main import main; "
    line = "main(['-A', 'tests.support.worker_app', 'events'])"
    done = subprocess.run(
        [sys.executable, "-c", f"{code}sys.exit({line})"],
        env={**os.environ, **redis_rig.spec.environment()},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2
    assert "built without curses" in done.stderr
