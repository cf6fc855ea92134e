"""What is there of gevent and eventlet in a process where neither is at work."""

from __future__ import annotations

import subprocess
import sys

import pytest

from fastworker import greenlets
from fastworker.errors import ImproperlyConfigured
from fastworker.worker.options import WorkerOptions
from fastworker.worker.worker import WorkerProcess
from tests.unit.worker.test_startup import app_with


@pytest.mark.parametrize("name", greenlets.NAMES)
def test_package_that_is_not_installed_is_named_with_its_extra(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(greenlets, "find_spec", lambda _: None)
    options = WorkerOptions("w@h", app_spec="proj", pool=name, quiet=True)
    with pytest.raises(ImproperlyConfigured, match=rf"pip install 'fastworker-rs\[{name}\]'"):
        WorkerProcess(app_with(), options).prepare()


def test_application_that_cannot_be_found_again_is_refused() -> None:
    options = WorkerOptions("w@h", pool="gevent", quiet=True)
    with pytest.raises(
        ImproperlyConfigured, match=r"the pool is gevent: .* start the worker with -A"
    ):
        WorkerProcess(app_with(), options).prepare()


def test_connections_are_left_alone_where_nothing_is_replaced() -> None:
    connection = object()
    assert greenlets.at_work() is None
    assert greenlets.cooperative(connection) is connection


_CLIENT = """
import gevent.monkey
gevent.monkey.patch_all()
import gevent
from fastworker import FastWorker
app = FastWorker("proj", broker="sqlite:///{path}", backend="sqlite:///{path}")
result = app.send_task("nobody.has.it")
def work():
    for _ in range(100):
        gevent.sleep(0)
    app.backend.store_result(result.id, "done by another greenlet", "SUCCESS")
gevent.spawn(work)
print(result.get(timeout=30), result.state)
try:
    app.AsyncResult("never").get(timeout=0)
except app.AsyncResult.TimeoutError:
    print("timed out")
"""


def test_client_in_a_program_with_greenlets_lets_others_run(tmp_path: object) -> None:
    text = _CLIENT.format(path=f"{tmp_path}/queue.db")
    done = subprocess.run(
        [sys.executable, "-c", text], capture_output=True, text=True, timeout=60, check=False
    )
    lines = done.stdout.splitlines()
    assert lines == ["done by another greenlet SUCCESS", "timed out"], done.stderr
