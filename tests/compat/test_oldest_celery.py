"""The oldest Celery that is supported, with its own kombu: an application runs the same with its worker and ours."""

from __future__ import annotations

import contextlib
import json
import subprocess
from pathlib import Path

import pytest
import redis

from tests.support import oldest_celery
from tests.support.rig import PRODUCT
from tests.support.servers import NoServer, is_ci
from tests.support.workers import WorkerProcess

pytestmark = pytest.mark.skipif(PRODUCT != "fastworker", reason="runs both products itself")

APP = """\
import os
import uuid
from datetime import date, datetime, timezone
from decimal import Decimal

from celery import Celery, Task

app = Celery("old", broker=os.environ["BROKER"], backend=os.environ["BROKER"])


class Counted(Task):
    def on_failure(self, exc, task_id, args, kwargs, einfo):
        self.app.backend.client.incr("failures-of-old")


@app.task
def add(x, y):
    return x + y


@app.task
def total(numbers):
    return sum(numbers)


@app.task
def told(value):
    return [type(value).__name__, repr(value)]


@app.task
def typed():
    moment = datetime(2026, 1, 2, 3, 4, 5, tzinfo=timezone.utc)
    return [moment, date(2026, 1, 2), Decimal("1.50"), uuid.UUID(int=7)]


@app.task(base=Counted, bind=True, max_retries=2, default_retry_delay=0)
def tired(self):
    raise self.retry(exc=ValueError("again"))


@app.task(base=Counted)
def boom():
    raise KeyError("boom")


@app.task(bind=True)
def replaced(self, x):
    raise self.replace(add.s(x, 100))


@app.task(bind=True, ignore_result=True)
def marked(self):
    self.update_state(state="MARKED", meta={"at": 1})
"""
CLIENT = """\
import json
import uuid
from datetime import datetime, timezone

from celery import chain, chord, group
from old import app, add, boom, marked, replaced, tired, told, total, typed

moment = datetime(2026, 1, 2, 3, 4, 5, tzinfo=timezone.utc)
calls = {
    "add": add.delay(1, 2),
    "countdown": add.apply_async((1, 2), countdown=0.2),
    "typed": typed.delay(),
    "told": told.delay(moment),
    "told id": told.delay(uuid.UUID(int=9)),
    "tired": tired.delay(),
    "boom": boom.delay(),
    "replaced": replaced.delay(5),
    "chain": chain(add.s(1, 2), add.s(3))(),
    "group": group(add.s(n, n) for n in range(5))(),
    "chord": chord((add.s(n, n) for n in range(5)), total.s())(),
    "linked": add.apply_async((1, 1), link=add.s(5)),
}
found = {}
for name, result in calls.items():
    try:
        found[name] = repr(result.get(timeout=30))
    except Exception as exc:
        found[name] = f"{type(exc).__name__}: {exc}"
state = marked.delay()
while state.state != "MARKED":
    pass
found["marked"] = repr(state.info)
found["failures"] = int(app.backend.client.get("failures-of-old"))
found["nodes"] = len(app.control.inspect(timeout=2).ping())
found["stats"] = sorted(next(iter(app.control.inspect(timeout=2).stats().values()))["total"])
print(json.dumps(found))
"""


@pytest.fixture(scope="module")
def programs() -> Path:
    """Those of its environment."""
    try:
        return oldest_celery.programs()
    except NoServer as error:
        if is_ci():
            pytest.fail(str(error))
        pytest.skip(str(error))


@pytest.mark.timeout(400)  # the environment is installed once
def test_an_application_of_the_oldest_celery_runs_the_same(
    programs: Path, redis_url: str, tmp_path: Path
) -> None:
    (tmp_path / "old.py").write_text(APP)
    (tmp_path / "client.py").write_text(CLIENT)
    environment = {**oldest_celery.environment(tmp_path), "BROKER": redis_url}
    celery, ours = (
        _outcomes(programs, command, environment, tmp_path)
        for command in ([str(programs / "celery")], [str(programs / "python"), "-m", "fastworker"])
    )
    assert celery["chord"] == "20"
    assert ours == celery


def _outcomes(
    programs: Path, command: list[str], environment: dict[str, str], directory: Path
) -> dict[str, object]:
    """What the client sees with a worker that nobody was before."""
    with redis.Redis.from_url(environment["BROKER"]) as client:
        client.flushdb()
    options = ("-A", "old", "worker", "--loglevel", "INFO", "--concurrency", "2")
    with contextlib.ExitStack() as stack:
        worker = stack.enter_context(WorkerProcess([*command, *options], environment, directory))
        worker.wait_ready()
        done = subprocess.run(
            [programs / "python", "client.py"],
            cwd=directory,
            env=environment,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, done.stderr + worker.log
        found: dict[str, object] = json.loads(done.stdout)
        return found
