"""What a worker of the tests does besides, when a variable of its environment asks for it."""

from __future__ import annotations

import json
import operator
import os
import signal
import time
from typing import Any

from tests.support.gate import append_line, hold


def connect(app: Any) -> None:
    """Do as the environment says.

    ``TEST_EXTRA_TASK`` names one more task, which adds. ``TEST_REVOKED_SIGNAL`` and ``TEST_FAILURE_SIGNAL`` are files
    for what receivers of these signals are told. ``TEST_STUCK_ONCE`` is a file: whoever removes it never gets ready.
    ``TEST_PRERUN_LEAVES`` names a task before which a receiver wants the process to exit. ``TEST_HELD_PUBLISH`` is the
    gate that whoever publishes ``proj.listed`` waits at. ``TEST_ZYGOTE_DIES`` is explained at ``_die_after_fork``.
    """
    extra = os.environ.get("TEST_EXTRA_TASK")
    if extra is not None:
        app.task(name=extra, shared=False)(operator.add)
    for variable, listen in (
        ("TEST_REVOKED_SIGNAL", _note_revoked),
        ("TEST_FAILURE_SIGNAL", _note_failures),
        ("TEST_STUCK_ONCE", _stick_at_start),
        ("TEST_PRERUN_LEAVES", _leave_before),
        ("TEST_HELD_PUBLISH", _hold_publish),
    ):
        value = os.environ.get(variable)
        if value is not None:
            listen(value)
    dies = os.environ.get("TEST_ZYGOTE_DIES")
    if dies is not None:
        _die_after_fork(*json.loads(dies))


def _note_revoked(path: str) -> None:
    from fastworker.signals import task_revoked

    @task_revoked.connect(weak=False)
    def note(
        sender: Any, request: Any, terminated: bool, signum: Any, expired: bool, **_: Any
    ) -> None:
        facts = (sender.name, request.id, terminated, signum, expired, request.args)
        append_line(path, " ".join(map(str, facts)))


def _note_failures(path: str) -> None:
    from fastworker.signals import task_failure

    @task_failure.connect(weak=False)
    def note(task_id: str, exception: BaseException, **_: Any) -> None:
        append_line(path, f"{task_id} {exception!r}")


def _leave_before(task: str) -> None:
    from fastworker.signals import task_prerun

    @task_prerun.connect(weak=False)
    def leave(sender: Any, **_: Any) -> None:
        if sender.name == task:
            raise SystemExit(3)


def _hold_publish(path: str) -> None:
    from fastworker.signals import before_task_publish

    @before_task_publish.connect(weak=False)
    def wait(sender: Any, **_: Any) -> None:
        if sender == "proj.listed":
            hold(path)


def _stick_at_start(path: str) -> None:
    from fastworker.signals import worker_process_init

    worker_process_init.connect(lambda **_: _stick_once(path), weak=False)


def _stick_once(path: str) -> None:
    """Never returns, the first time."""
    try:
        os.unlink(path)
    except FileNotFoundError:
        return
    while True:
        time.sleep(60)


def _die_after_fork(once: str, starts: str) -> None:
    """Kills the zygote between its first fork and its word about it; before that, the child has time to be given a
    task, which says so in the file ``starts``.
    """
    from fastworker.signals import worker_before_create_process

    forking = []
    worker_before_create_process.connect(lambda **_: forking.append(True), weak=False)

    def die() -> None:
        if not forking:
            return
        try:
            os.unlink(once)
        except FileNotFoundError:
            return
        ends = time.monotonic() + 1
        while not os.path.exists(starts) and time.monotonic() < ends:
            time.sleep(0.01)
        os.kill(os.getpid(), signal.SIGKILL)

    os.register_at_fork(after_in_parent=die)
