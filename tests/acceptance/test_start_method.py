"""How processes are made, and where they may run: ``--pool-start-method``, ``--cpu-affinity``."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from fastworker import FastWorker
from fastworker.errors import ImproperlyConfigured
from fastworker.worker.options import WorkerOptions
from fastworker.worker.worker import WorkerProcess as Supervisor
from tests.support import processes
from tests.support.gate import Gate
from tests.support.rig import PRODUCT, Rig
from tests.support.roles import children_of, zygote_of
from tests.support.waiting import wait_until
from tests.support.workers import WorkerProcess, command

pytestmark = pytest.mark.skipif(PRODUCT == "celery", reason="Celery has other processes")

TIMEOUT_S = 30


THREADED = """
import os
import threading
from fastworker import FastWorker

app = FastWorker("threaded", broker={url!r}, backend={url!r})
asked, answered = threading.Event(), threading.Event()


def serve():
    asked.wait()
    answered.set()


threading.Thread(target=serve, daemon=True).start()


@app.task(name="threaded.ask")
def ask():
    asked.set()
    return answered.wait(2)
"""


@pytest.mark.shows("setting worker_pool_start_method")
def test_spawned_children_are_programs_and_are_replaced(rig: Rig, gate: Gate) -> None:
    worker = rig.worker("--pool-start-method", "spawn")
    result = rig.task("hold").delay(gate.path)
    [first] = gate.wait_started()
    titles = [processes.read(child.pid) for child in children_of(worker.pid)]
    assert all(title is not None and "fastworker.worker.birth" in title.title for title in titles)
    processes.kill(first)
    first, second = gate.wait_started(2)
    gate.release()
    assert result.get(timeout=TIMEOUT_S) == second != first
    assert worker.stop() == 0
    worker.wait_no_members(5)


@pytest.mark.shows("setting worker_pool_start_method")
def test_spawned_children_do_not_outlive_the_supervisor(rig: Rig, gate: Gate) -> None:
    worker = rig.worker("--pool-start-method", "spawn")
    rig.task("hold").delay(gate.path)
    gate.wait_started()
    processes.kill(zygote_of(worker.pid).pid)
    worker.kill()
    worker.wait_no_members(5)


@pytest.mark.shows("setting worker_pool_start_method")
def test_threads_that_an_import_starts_are_alive_in_spawned_children(
    tmp_path: Path, sqlite_url: str
) -> None:
    (tmp_path / "threaded.py").write_text(THREADED.format(url=sqlite_url))
    client = FastWorker("client", broker=sqlite_url, backend=sqlite_url, set_as_current=False)
    line = [command("fastworker"), "-A", "threaded", "worker", "-c", "1"]
    with WorkerProcess([*line, "--pool-start-method", "spawn"], cwd=tmp_path) as worker:
        worker.wait_ready()
        assert client.send_task("threaded.ask").get(timeout=TIMEOUT_S) is True
    with WorkerProcess(line, cwd=tmp_path) as worker:
        worker.wait_ready()
        worker.wait_for_line("a fork does not copy them.*--pool-start-method spawn")
        assert client.send_task("threaded.ask").get(timeout=TIMEOUT_S) is False


@pytest.mark.shows("setting worker_pool_start_method")
def test_spawn_without_a_place_to_import_from_is_refused(sqlite_url: str) -> None:
    app = FastWorker("proj", broker=sqlite_url, set_as_current=False)
    app.conf.worker_pool_start_method = "spawn"
    with pytest.raises(ImproperlyConfigured, match="start the worker with -A"):
        Supervisor(app, WorkerOptions("w@h", quiet=True)).prepare()


@pytest.mark.shows("setting worker_cpu_affinity")
def test_children_are_spread_over_the_cores_and_so_are_their_successors(
    rig: Rig, gate: Gate
) -> None:
    cores = sorted(os.sched_getaffinity(0))
    worker = rig.worker("--cpu-affinity", ",".join(map(str, cores)), concurrency=len(cores))

    def pinned() -> list[int]:
        found = [os.sched_getaffinity(child.pid) for child in children_of(worker.pid)]
        return sorted(core for one in found for core in one)

    wait_until(lambda: pinned() == cores, "a child on each core")
    rig.task("hold").delay(gate.path)
    [first] = gate.wait_started()
    processes.kill(first)
    gate.wait_started(2)
    wait_until(lambda: pinned() == cores, "a successor on the core of the dead")
    assert os.sched_getaffinity(worker.pid) == set(cores)


SLOW = """
import time
from fastworker import FastWorker

app = FastWorker("slow", broker={url!r}, backend={url!r})
time.sleep(5)


@app.task(name="slow.ask")
def ask():
    return True
"""

PATCHED = """
from gevent import monkey

monkey.patch_all()

import os
import time
from fastworker import FastWorker

app = FastWorker("patched", broker={url!r}, backend={url!r})


@app.task(name="patched.ask")
def ask():
    time.sleep(0.05)
    return os.getpid()
"""


@pytest.mark.shows("setting worker_pool_start_method")
def test_spawned_children_have_time_to_import_the_application(
    tmp_path: Path, sqlite_url: str
) -> None:
    (tmp_path / "slow.py").write_text(SLOW.format(url=sqlite_url))
    client = FastWorker("client", broker=sqlite_url, backend=sqlite_url, set_as_current=False)
    line = [command("fastworker"), "-A", "slow", "worker", "-c", "1"]
    with WorkerProcess([*line, "--pool-start-method", "spawn"], cwd=tmp_path) as worker:
        worker.wait_ready()
        assert client.send_task("slow.ask").get(timeout=TIMEOUT_S) is True
        assert "is not ready" not in worker.log


def test_forked_children_of_an_application_that_gevent_has_patched_live_on(
    tmp_path: Path, sqlite_url: str
) -> None:
    (tmp_path / "patched.py").write_text(PATCHED.format(url=sqlite_url))
    client = FastWorker("client", broker=sqlite_url, backend=sqlite_url, set_as_current=False)
    with WorkerProcess(
        [command("fastworker"), "-A", "patched", "worker", "-c", "1"], cwd=tmp_path
    ) as worker:
        worker.wait_ready()
        pids = {client.send_task("patched.ask").get(timeout=TIMEOUT_S) for _ in range(3)}
        assert len(pids) == 1
