"""Control commands that an application brings along: Celery's client asks, both workers answer alike."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import Any

import pytest
from celery import Celery

from tests.support.rig import PRODUCT
from tests.support.waiting import wait_until
from tests.support.workers import WorkerProcess, command

pytestmark = pytest.mark.skipif(PRODUCT == "celery", reason="has both of them already")

NODE = "w@here"
TIMEOUT_S = 30

COMMANDS = """
import os
from {package} import {framework}
from {package}.worker.control import Panel, control_command, inspect_command
app = {framework}("proj", broker=os.environ["TEST_URL"], backend=os.environ["TEST_URL"])

@inspect_command(alias="dump_facts")
def facts(state):
    "What a command finds."
    consumer = state.consumer
    return {{
        "hostname": state.hostname,
        "app": state.app is app,
        "consumer": [consumer.hostname, consumer.app is app, consumer.qos.value > 0],
        "pool": consumer.pool.num_processes,
        "queues": [queue.name for queue in consumer.task_consumer.queues],
        "controller": [consumer.controller.hostname, sorted(consumer.controller.stats())],
        "set": sorted(set(state.tset([2, 1, 2]))),
    }}

@control_command(args=[("n", int)], signature="[N=1]")
def double(state, n=1):
    return {{"ok": 2 * n}}

@control_command(name="take_more")
def take(state, queue):
    state.consumer.call_soon(state.consumer.add_task_queue, queue)
    return {{"ok": queue}}

@Panel.register
def old_style(state, **kwargs):
    raise LookupError(sorted(kwargs))

@inspect_command()
def ping(state, **kwargs):
    return {{"ok": "own"}}
"""
APPLICATIONS = {
    "celery": {"package": "celery", "framework": "Celery"},
    "hosted": {"package": "celery", "framework": "Celery"},
    "own": {"package": "fastworker", "framework": "FastWorker"},
}


def answers(client: Any) -> dict[str, Any]:
    """What the node says to all of them."""

    def ask(method: str, **arguments: Any) -> Any:
        replies = client.control.broadcast(
            method, arguments, reply=True, timeout=TIMEOUT_S, destination=[NODE]
        )
        [[reply]] = [list(each.values()) for each in replies]
        return reply

    return {
        "facts": ask("facts"),
        "alias": ask("dump_facts")["hostname"],
        "double": ask("double", n=3),
        "wrong arguments": list(ask("double", m=3)),
        "old style": ask("old_style", b=1, a=2),
        "take_more": ask("take_more", queue="more"),
        "queues": sorted(queue["name"] for queue in ask("active_queues")),
        "ping": ask("ping"),
    }


@pytest.mark.shows("control own commands")
@pytest.mark.parametrize("name", ["hosted", "own"])
def test_commands_of_applications_answer_as_in_celery(
    redis_url: str, tmp_path: Path, name: str
) -> None:
    found = {}
    for each in ("celery", name):
        folder = tmp_path / each
        folder.mkdir()
        (folder / "proj.py").write_text(COMMANDS.format(**APPLICATIONS[each]))
        environment = {"TEST_URL": redis_url}
        line = (
            command("celery" if each == "celery" else "fastworker"),
            *("-A", "proj", "worker", "-l", "INFO", "-n", NODE, "-c", "2"),
        )
        with (
            contextlib.closing(Celery(broker=redis_url, set_as_current=False)) as client,
            WorkerProcess(line, environment, folder) as worker,
        ):
            worker.wait_ready()
            # Celery's says so before it hears.
            wait_until(lambda asking=client: asking.control.ping([NODE], timeout=0.5), "it to hear")
            found[each] = answers(client)
    for question in found["celery"]:
        assert found[name][question] == found["celery"][question], question
    assert found[name]["facts"]["app"]


@pytest.mark.parametrize("name", ["hosted", "own"])
def test_our_command_line_knows_them(redis_url: str, tmp_path: Path, name: str) -> None:
    (tmp_path / "proj.py").write_text(COMMANDS.format(**APPLICATIONS[name]))
    environment = {**os.environ, "TEST_URL": redis_url}

    def run(*words: str) -> str:
        line = (command("fastworker"), "-A", "proj", *words)
        with WorkerProcess(line, environment, tmp_path) as process:
            assert process.wait_ended() == 0, process.log
            return process.log

    line = (command("fastworker"), *("-A", "proj", "worker", "-l", "INFO", "-n", NODE, "-c", "1"))
    with WorkerProcess(line, environment, tmp_path) as worker:
        worker.wait_ready()
        assert "What a command finds." in run("inspect", "--list")
        assert f"->  {NODE}: OK" in run("inspect", "-t", str(TIMEOUT_S), "-d", NODE, "facts")
        assert "14" in run("control", "-t", str(TIMEOUT_S), "-d", NODE, "double", "7")
