"""``memory://``: one room for all connections of a process with the same name."""

from __future__ import annotations

import subprocess
import sys
import threading

import pytest

from fastworker import FastWorker
from fastworker.errors import ImproperlyConfigured
from fastworker.worker.startup import refuse_memory


def _app(broker: str, backend: str | None = None) -> FastWorker:
    app = FastWorker("proj", broker=broker, backend=backend, set_as_current=False)
    app.task(name="add", shared=False)(lambda x, y: x + y)
    return app


def test_threads_and_apps_share_the_room_of_one_name() -> None:
    one, other = _app("memory://shared"), _app("memory://shared")
    thread = threading.Thread(target=lambda: one.tasks["add"].delay(1, 2))
    thread.start()
    thread.join()
    assert other.publishing.publisher.depth("celery") == 1
    assert _app("memory://apart").publishing.publisher.depth("celery") == 0


@pytest.mark.parametrize("backend", [None, "memory://beside", "cache+memory://beside"])
def test_results_are_in_the_same_room(backend: str | None) -> None:
    app = _app("memory://beside", backend)
    app.backend.store_result("t-1", 42, "SUCCESS")
    assert _app("memory://beside").AsyncResult("t-1").get(timeout=1) == 42
    app.backend.forget("t-1")


@pytest.mark.parametrize(
    ("broker", "backend"),
    [("memory://", None), ("redis://nowhere", "cache+memory://"), ("redis://nowhere", "memory://")],
)
def test_a_worker_process_refuses_what_it_cannot_share(broker: str, backend: str | None) -> None:
    with pytest.raises(ImproperlyConfigured, match="memory of one process"):
        refuse_memory(_app(broker, backend))


_FORKS = """
import os
from fastworker import FastWorker
from fastworker.errors import OperationalError
app = FastWorker("proj", broker="memory://forked")
app.task(name="add")(lambda: None)
app.tasks["add"].delay()
if os.fork() == 0:
    try:
        app.tasks["add"].apply_async(retry=False)
    except OperationalError as error:
        assert "was forked" in str(error), error
        FastWorker("other", broker="memory://new in the child").send_task("add")
        os._exit(7)
    os._exit(1)
status = os.waitstatus_to_exitcode(os.wait()[1])
assert app.publishing.publisher.depth("celery") == 1
raise SystemExit(status)
"""


def test_a_forked_process_is_told_that_it_is_outside() -> None:
    ended = subprocess.run([sys.executable, "-c", _FORKS], capture_output=True, text=True)
    assert ended.returncode == 7, ended.stderr
