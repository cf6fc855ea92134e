"""Random workflows, run by a real Celery worker and by ours: what is called with what, what every id comes to, and what
``get`` gives.

``FASTWORKER_WORKFLOWS`` is how many (``make workflows`` runs 400), ``FASTWORKER_WORKFLOWS_FIRST`` the first one's seed.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from tests.support import redis_db
from tests.support.apps import AppSpec
from tests.support.flow_runs import faults, on_all, shrunk
from tests.support.flow_sides import Side
from tests.support.flow_tasks import CALLS_VARIABLE
from tests.support.flows import random_flow
from tests.support.rig import PRODUCT, Rig

COUNT = int(os.environ.get("FASTWORKER_WORKFLOWS", "60"))
FIRST = int(os.environ.get("FASTWORKER_WORKFLOWS_FIRST", "0"))
#: How many run at the same time.
BATCH = 200
#: How many of those that differ are made smaller.
SHRUNK = 3
#: For one batch; a workflow that hangs does not take it, since a worker without work is at rest.
TIMEOUT_S = 120
#: Framework, runner of the worker, and kind of broker, by the side's name: ours are an application of ours on Redis and
#: on SQLite, and one of Celery's.
SIDES = {
    "celery": ("celery", "celery", "redis"),
    "own": ("fastworker", "fastworker", "redis"),
    "own on SQLite": ("fastworker", "fastworker", "sqlite"),
    "hosted": ("celery", "fastworker", "redis"),
}


@pytest.fixture
def sides(redis_server: str, tmp_path: Path) -> Iterator[dict[str, Side]]:
    """Celery's and ours, each with its worker, on a database of its own."""
    with contextlib.ExitStack() as stack:
        made = {}
        for name, (framework, runner, broker) in SIDES.items():
            calls = stack.enter_context(redis_db.claimed(redis_server))
            url = calls if broker == "redis" else f"sqlite:///{tmp_path}/{len(made)}.db"
            # Celery's worker, too, acknowledges only what has ended: then it is seen to be at rest.
            spec = AppSpec(framework, url, url, {"task_acks_late": True})
            rig = Rig(spec, tmp_path, stack)
            rig.worker("--prefetch-multiplier", "16", runner=runner, **{CALLS_VARIABLE: calls})
            server = stack.enter_context(redis.Redis.from_url(calls))
            made[name] = Side(rig, server)
        yield made


@pytest.mark.skipif(PRODUCT == "celery", reason="has Celery's side already")
def test_random_workflows_come_to_the_same_as_with_celery(sides: dict[str, Side]) -> None:
    wrong = {}
    for first in range(FIRST, FIRST + COUNT, BATCH):
        seeds = range(first, min(first + BATCH, FIRST + COUNT))
        flows = {f"w{seed}": random_flow(seed) for seed in seeds}
        outcomes = on_all(sides, flows, TIMEOUT_S)
        assert any(ran["own"].get("calls") for ran in outcomes.values())
        wrong.update({key: (flows[key], it) for key in flows if (it := faults(outcomes[key]))})
    told = []
    for flow, found in list(wrong.values())[:SHRUNK]:
        least, found = shrunk(sides, flow, found, TIMEOUT_S)
        told.append("\n  ".join([str(least), *found]))
    assert not wrong, f"{' '.join(wrong)}, of them:\n" + "\n".join(told)
