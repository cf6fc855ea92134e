"""``fastworker plan --live`` with two workers, which need no option for it."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest

from tests.support.rig import PRODUCT, Rig
from tests.support.workers import command

pytestmark = pytest.mark.skipif(PRODUCT != "fastworker", reason="fastworker's own command")


def plan(rig: Rig, *options: str) -> dict[str, Any]:
    made = rig.run(
        *(command("fastworker"), "-A", "tests.support.worker_app"),
        *("plan", "--live", "--json", *options),
        environment=rig.spec.environment(),
    )
    assert made.wait_ended(100) == 0, made.log
    found: dict[str, Any] = json.loads(made.log)
    return found


def test_a_running_fleet_is_measured(redis_rig: Rig) -> None:
    before = time.monotonic()
    for name in ("one@here", "two@here"):
        redis_rig.worker("-n", name)
    both = time.monotonic()
    task = redis_rig.task("add")
    for result in [task.delay(number, 1) for number in range(60)]:
        result.get(timeout=20)
    ended = time.monotonic()
    made = plan(redis_rig)
    figures = {figure["name"]: figure for figure in made["figures"]}
    rate = figures["class proj.add.rate"]
    assert rate["origin"] == "measured"
    # Over the time that both nodes ran.
    assert 60 / (time.monotonic() - before) <= rate["value"] <= 60 / (ended - both)
    assert 0 < figures["class proj.add.service.mean"]["value"] < 1
    assert "60 tasks of 2 nodes" in figures["class proj.add.service.mean"]["note"]
    assert figures["node.slots"]["value"] == 2
    assert figures["node.slots"]["origin"] == "measured"
    assert figures["class proj.add.cpu_share"]["origin"] == "measured"
    assert any("the youngest node" in warning for warning in made["warnings"])


def test_without_a_worker_it_says_so(redis_rig: Rig) -> None:
    made = redis_rig.run(
        *(command("fastworker"), "-A", "tests.support.worker_app", "plan", "--live"),
        environment=redis_rig.spec.environment(),
    )
    assert made.wait_ended(60) == 2
    assert "no worker tells of its tasks" in made.log
