"""``fastworker plan --live`` with a worker that really sends events."""

from __future__ import annotations

import json
import threading

import pytest

from tests.support.rig import PRODUCT, Rig
from tests.support.workers import command

pytestmark = pytest.mark.skipif(PRODUCT != "fastworker", reason="fastworker's own command")


def test_a_running_fleet_is_measured(redis_rig: Rig) -> None:
    """Calls go on arriving until the plan is there, however long it takes to begin to listen."""
    redis_rig.worker("-E")
    task, is_over = redis_rig.task("add"), threading.Event()

    def publish() -> None:
        while not is_over.wait(0.05):
            task.delay(1, 2)

    publisher = threading.Thread(target=publish)
    publisher.start()
    try:
        plan = redis_rig.run(
            *(command("fastworker"), "-A", "tests.support.worker_app"),
            *("plan", "--live", "3s", "--json"),
            environment=redis_rig.spec.environment(),
        )
        status = plan.wait_ended(100)
    finally:
        is_over.set()
        publisher.join()
    assert status == 0, plan.log
    made = json.loads(plan.log)
    figures = {figure["name"]: figure for figure in made["figures"]}
    rate = figures["class proj.add.rate"]
    assert rate["origin"] == "measured"
    assert 1 < rate["value"] <= 21
    assert 0 < figures["class proj.add.service.mean"]["value"] < 1
