"""Revoked tasks do not run, wherever they wait; running ones are ended when that is asked for."""

from __future__ import annotations

import importlib
import os
import signal
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.support import processes
from tests.support.gate import Gate, read_lines
from tests.support.proxy import Proxy
from tests.support.rig import PRODUCT, Rig
from tests.support.waiting import wait_until

TIMEOUT_S = 30

only_fastworker = pytest.mark.skipif(PRODUCT == "celery", reason="Celery does not promise this")


def revoked_error() -> type[Exception]:
    """The product's TaskRevokedError."""
    errors = importlib.import_module(f"{PRODUCT}.exceptions")
    found: type[Exception] = errors.TaskRevokedError
    return found


def confirmed(rig: Rig, *ids: str, **options: Any) -> None:
    """Revoke, and wait for the worker's word that it has heard it."""
    replies = rig.app.control.revoke(list(ids), reply=True, timeout=TIMEOUT_S, limit=1, **options)
    assert len(replies) == 1


def run_next(rig: Rig) -> None:
    """Whatever was in front of it has been decided once this task has run."""
    assert rig.task("add").delay(1, 1).get(timeout=TIMEOUT_S) == 2


@pytest.mark.each_pool
@pytest.mark.shows("outcome revoked")
def test_task_that_waits_in_the_worker_is_not_run(rig: Rig, gate: Gate, tmp_path: Path) -> None:
    path = str(tmp_path / "effect")
    rig.worker(concurrency=1)
    running = rig.task("hold").delay(gate.path)
    gate.wait_started()
    waiting = rig.task("record").delay(path, "ran")
    confirmed(rig, waiting.id)
    with pytest.raises(revoked_error()):
        waiting.get(timeout=TIMEOUT_S)
    gate.release()
    assert running.get(timeout=TIMEOUT_S)
    run_next(rig)
    assert (read_lines(path), waiting.state) == ([], "REVOKED")


def test_task_that_waits_for_its_eta_is_not_run(rig: Rig, tmp_path: Path) -> None:
    path = str(tmp_path / "effect")
    rig.worker()
    soon = rig.task("record").apply_async((path, "soon"), countdown=2)
    later = rig.task("record").apply_async((path, "later"), countdown=2.2)
    run_next(rig)
    confirmed(rig, soon.id)
    later.get(timeout=TIMEOUT_S)
    assert (read_lines(path), soon.state) == (["later"], "REVOKED")


def test_running_task_may_finish(rig: Rig, gate: Gate) -> None:
    rig.worker(concurrency=1)
    running = rig.task("hold").delay(gate.path)
    gate.wait_started()
    confirmed(rig, running.id)
    gate.release()
    assert running.get(timeout=TIMEOUT_S)


@pytest.mark.needs("signals", "own-process")
@pytest.mark.shows("outcome terminated")
@pytest.mark.parametrize("name", ["SIGTERM", "SIGKILL"])
def test_running_task_is_terminated_and_no_other(rig: Rig, gate: Gate, name: str) -> None:
    worker = rig.worker(concurrency=2)
    first = rig.task("hold").delay(gate.path)
    [first_pid] = gate.wait_started(1)
    second = rig.task("hold").delay(gate.path)
    [_, second_pid] = gate.wait_started(2)
    confirmed(rig, first.id, terminate=True, signal=name)
    with pytest.raises(revoked_error(), match="terminated"):
        first.get(timeout=TIMEOUT_S)
    wait_until(lambda: processes.read(first_pid) is None, "the end of the process")
    gate.release()
    assert second.get(timeout=TIMEOUT_S) == second_pid
    run_next(rig)
    assert len(gate.starts) == 2, "it was delivered again"
    assert "WorkerLost" not in worker.log


@pytest.mark.each_pool
@pytest.mark.needs("terminate")
def test_revoke_of_a_result_terminates_its_task(rig: Rig, gate: Gate) -> None:
    rig.worker(concurrency=1)
    running = rig.task("hold").delay(gate.path)
    gate.wait_started()
    running.revoke(terminate=True, wait=True, timeout=5)
    with pytest.raises(revoked_error()):
        running.get(timeout=TIMEOUT_S)


@only_fastworker
def test_revoke_outlives_every_worker(rig: Rig, gate: Gate, tmp_path: Path) -> None:
    path = str(tmp_path / "effect")
    before = rig.task("record").delay(path, "nobody ran when it was revoked")
    before.revoke()
    worker = rig.worker(concurrency=1)
    with pytest.raises(revoked_error()):
        before.get(timeout=TIMEOUT_S)
    rig.task("hold").delay(gate.path)
    gate.wait_started()
    waiting = rig.task("record").delay(path, "the worker was killed")
    confirmed(rig, waiting.id)
    worker.kill_node()
    gate.release(100)
    rig.worker(concurrency=1)
    run_next(rig)
    assert read_lines(path) == []


@only_fastworker
@pytest.mark.parametrize("by", ["id", "stamp"])
def test_worker_that_was_cut_off_terminates_what_it_runs(rig: Rig, gate: Gate, by: str) -> None:
    """It did not hear the word: the broker tells it afterwards, and by which signal."""
    if not rig.is_redis:
        pytest.skip("a file is never away")
    app, address = rig.app, urlsplit(rig.spec.broker)
    with Proxy((address.hostname or "127.0.0.1", address.port or 6379)) as proxy:
        through = f"redis://127.0.0.1:{proxy.port}{address.path}"
        rig.spec = replace(rig.spec, broker=through, backend=through)
        worker = rig.worker(concurrency=2)
        stamps = {"stamped_headers": ["job"], "stamps": {"job": "7"}}
        running = rig.task("hold").apply_async((gate.path,), headers=stamps)
        [pid] = gate.wait_started(1)
        rig.task("hold").delay(gate.path)
        [_, other_pid] = gate.wait_started(2)
        proxy.refuse()
        worker.wait_for_line("Remote control is not heard")
        if by == "id":
            app.control.revoke(running.id, terminate=True, signal="SIGKILL")
        else:
            app.control.revoke_by_stamped_headers({"job": "7"}, terminate=True, signal="SIGKILL")
        proxy.accept_again()
        with pytest.raises(revoked_error(), match="terminated"):
            running.get(timeout=TIMEOUT_S)
        assert processes.read(pid) is None
        assert processes.read(other_pid) is not None, "another task was ended"
        assert app.control.inspect(timeout=TIMEOUT_S, limit=1).ping()
        gate.release()
        worker.stop()


def test_signal_that_there_is_not_is_refused_at_once(rig: Rig) -> None:
    if PRODUCT == "celery":
        pytest.skip("Celery's workers say so, each in its log")
    with pytest.raises(ValueError, match="expected a name such as TERM"):
        rig.app.control.revoke("7", terminate=True, signal="SIGNONE")


@pytest.mark.shows("setting worker_state_db")
@only_fastworker
def test_state_file_remembers_beside_the_broker(rig: Rig, tmp_path: Path) -> None:
    path, state = str(tmp_path / "effect"), tmp_path / "state"
    worker = rig.worker("--statedb", str(state), "-n", "w@here")
    result = rig.task("record").apply_async((path, "ran"), countdown=3600)
    confirmed(rig, result.id, destination=["w@here"])
    assert worker.stop() == 0
    assert result.id in state.read_text()
    rig.worker("--statedb", str(state), "-n", "w@here")
    [revoked] = rig.app.control.inspect(timeout=TIMEOUT_S, limit=1).revoked().values()
    assert revoked == [result.id]


@only_fastworker
def test_state_file_of_something_else_is_refused(rig: Rig, tmp_path: Path) -> None:
    state = tmp_path / "state"
    state.write_bytes(b"\x00shelve")
    spec = rig.spec
    from tests.support.workers import command

    worker = rig.run(
        command("fastworker"),
        *("-A", "tests.support.worker_app", "worker", "--statedb", str(state)),
        environment=spec.environment(),
    )
    assert worker.wait_ended() == 2
    assert "not a state file of fastworker" in worker.log


def test_stamped_tasks_are_revoked_together(rig: Rig, gate: Gate, tmp_path: Path) -> None:
    path = str(tmp_path / "effect")
    rig.worker(concurrency=1)
    rig.task("hold").delay(gate.path)
    gate.wait_started()
    stamped = rig.task("record").apply_async(
        (path, "stamped"), stamped_headers=["job"], job=["7", "8"]
    )
    other = rig.task("record").apply_async((path, "other"))
    replies = rig.app.control.revoke_by_stamped_headers(
        {"job": ["7"]}, reply=True, timeout=TIMEOUT_S, limit=1
    )
    [[reply]] = [list(each.values()) for each in replies]
    assert reply == {"ok": "headers {'job': ['7']} flagged as revoked, but not terminated"}
    gate.release()
    other.get(timeout=TIMEOUT_S)
    with pytest.raises(revoked_error()):
        stamped.get(timeout=TIMEOUT_S)
    assert read_lines(path) == ["other"]


@pytest.mark.needs("processes")
def test_signal_for_the_process_group_leaves_tasks_alone(rig: Rig, gate: Gate) -> None:
    """A service manager sends SIGTERM to every process: children must not die of it."""
    worker = rig.worker(concurrency=1)
    running = rig.task("hold").delay(gate.path)
    [pid] = gate.wait_started()
    if PRODUCT == "fastworker":
        os.kill(pid, signal.SIGTERM)
    worker.signal(signal.SIGTERM)
    gate.release()
    assert running.get(timeout=TIMEOUT_S) == pid
    assert worker.wait_ended() == 0


@pytest.mark.needs("terminate")
@pytest.mark.shows("signal task_revoked")
@only_fastworker
def test_task_revoked_signal_has_its_arguments(rig: Rig, gate: Gate, tmp_path: Path) -> None:
    path = str(tmp_path / "signals")
    rig.worker(concurrency=1, TEST_REVOKED_SIGNAL=path)
    running = rig.task("hold").delay(gate.path)
    gate.wait_started()
    waiting = rig.task("echo").delay("argument")
    confirmed(rig, waiting.id)
    wait_until(lambda: len(read_lines(path)) == 1, "the signal")
    expired = rig.task("echo").apply_async(("late",), expires=-1)
    confirmed(rig, running.id, terminate=True)
    wait_until(lambda: len(read_lines(path)) == 3, "all signals")
    told = {tuple(line.split(" ", 4)) for line in read_lines(path)}
    assert told == {
        ("proj.echo", waiting.id, "False", "None", "False ['argument']"),
        ("proj.hold", running.id, "True", "15", f"False ['{gate.path}']"),
        ("proj.echo", expired.id, "False", "None", "True ['late']"),
    }
