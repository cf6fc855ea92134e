"""Two clients and two kinds of workers on one Redis database."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.support.apps import AppSpec
from tests.support.rig import PRODUCT, Rig
from tests.support.workers import WorkerProcess

# Publisher and worker. With FASTWORKER_TEST_PRODUCT=celery both ends are Celery: the tests
# themselves are tested.
DIRECTIONS = [(PRODUCT, "celery"), ("celery", PRODUCT)]


@dataclass
class Pair:
    """A publisher of one framework, a worker of the other; either client can read the results."""

    publisher: Rig
    worker: Rig

    def task(self, name: str) -> Any:
        """The publisher's side of a task."""
        return self.publisher.task(name)

    def start(self, *options: str, concurrency: int = 2) -> WorkerProcess:
        """Start the other framework's worker."""
        return self.worker.worker(*options, concurrency=concurrency)

    def read_by_both(self, task_id: str, timeout_s: float = 20) -> list[Any]:
        """The result as each framework's client reads it."""
        rigs = (self.publisher, self.worker)
        return [rig.app.AsyncResult(task_id).get(timeout=timeout_s) for rig in rigs]


@pytest.fixture(params=DIRECTIONS, ids=[f"{a} to {b}" for a, b in DIRECTIONS])
def pair(request: pytest.FixtureRequest, redis_url: str, tmp_path: Path) -> Iterator[Pair]:
    """A publisher and the rig of the other framework's worker, not started, in both directions."""
    with contextlib.ExitStack() as stack:
        spec = AppSpec(PRODUCT, redis_url, redis_url)
        ends = [Rig(spec.of(framework), tmp_path, stack) for framework in request.param]
        yield Pair(*ends)
