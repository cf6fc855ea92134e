"""What Celery says of its eventlet pool, and we of ours: the same signals in the same order, with the same facts."""

from __future__ import annotations

import contextlib
import json
import signal
from pathlib import Path
from typing import Any

import pytest

from tests.support.apps import AppSpec
from tests.support.gate import read_lines
from tests.support.rig import Rig
from tests.support.workers import command

TIMEOUT_S = 30


def told(spec: AppSpec, directory: Path) -> list[tuple[str, list[str]]]:
    """``(signal, names of its arguments)`` while one task ran in a worker with that pool."""
    path = str(directory / f"{spec.framework}.signals")
    with contextlib.ExitStack() as stack:
        rig = Rig(spec, directory, stack)
        worker = rig.run(
            command(spec.framework),
            *("-A", "tests.support.signal_app", "worker"),
            *("--loglevel", "INFO", "-c", "2", "--pool", "eventlet"),
            environment={**spec.environment(), "TEST_SIGNALS": path},
        ).wait_ready()
        assert rig.task("add").delay(1, 2).get(timeout=TIMEOUT_S) == 3
        worker.signal(signal.SIGTERM)
        worker.wait_ended(TIMEOUT_S)
    lines: list[dict[str, Any]] = [json.loads(line) for line in read_lines(path)]
    ours = [line for line in lines if line["signal"].startswith("eventlet_pool")]
    assert len({line["pid"] for line in ours}) == 1
    return [(line["signal"], line["keys"]) for line in ours]


@pytest.mark.shows(
    "signal eventlet_pool_started",
    "signal eventlet_pool_preshutdown",
    "signal eventlet_pool_postshutdown",
    "signal eventlet_pool_apply",
)
def test_eventlet_pool_tells_what_celerys_does(redis_url: str, tmp_path: Path) -> None:
    celery = told(AppSpec("celery", redis_url, redis_url), tmp_path)
    assert [name for name, _ in celery] == [
        "eventlet_pool_started",
        "eventlet_pool_apply",
        "eventlet_pool_preshutdown",
        "eventlet_pool_postshutdown",
    ]
    assert told(AppSpec("fastworker", redis_url, redis_url), tmp_path) == celery
