"""Random workflows, run by a real Celery worker and by one of ours: what is called with what, what every id comes to,
and what ``get`` gives.

``FASTWORKER_WORKFLOWS`` is how many (``make workflows`` runs 400), ``FASTWORKER_WORKFLOWS_FIRST`` the first one's seed.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import redis_db
from tests.support.apps import AppSpec
from tests.support.flow_runs import Side, both, faults, shrunk
from tests.support.flows import random_flow
from tests.support.rig import PRODUCT, Rig

COUNT = int(os.environ.get("FASTWORKER_WORKFLOWS", "60"))
FIRST = int(os.environ.get("FASTWORKER_WORKFLOWS_FIRST", "0"))
#: How many run at the same time.
BATCH = 200
#: For one batch; a workflow that hangs does not take it, since a worker without work is at rest.
TIMEOUT_S = 120


@pytest.fixture
def sides(redis_server: str, tmp_path: Path) -> Iterator[list[Side]]:
    """Celery's and ours, each with its worker, on a database of its own."""
    with contextlib.ExitStack() as stack:
        made = []
        for framework in ("celery", PRODUCT):
            url = stack.enter_context(redis_db.claimed(redis_server))
            # Celery's worker, too, acknowledges only what has ended: then it is seen to be at rest.
            spec = AppSpec(framework, url, url, {"task_acks_late": True})
            rig = Rig(spec, tmp_path, stack)
            rig.worker("--prefetch-multiplier", "16")
            made.append(Side(rig))
        yield made


def test_random_workflows_come_to_the_same_as_with_celery(sides: list[Side]) -> None:
    wrong = []
    for first in range(FIRST, FIRST + COUNT, BATCH):
        seeds = range(first, min(first + BATCH, FIRST + COUNT))
        flows = {f"w{seed}": random_flow(seed) for seed in seeds}
        outcomes = both(sides, flows, TIMEOUT_S)
        assert any(ours.get("calls") for _, ours in outcomes.values())
        wrong += [flows[key] for key in flows if faults(*outcomes[key])]
    told = []
    for flow in wrong[:3]:
        least, found = shrunk(sides, flow, TIMEOUT_S)
        told.append("\n  ".join([str(least), *found]))
    assert not wrong, f"{len(wrong)} workflows, of them:\n" + "\n".join(told)
