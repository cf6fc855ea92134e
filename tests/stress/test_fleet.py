"""A mixed fleet whose workers of ours are killed: short form of ``make fleet``."""

from __future__ import annotations

import contextlib
from pathlib import Path

import pytest

from tests.stress.fleet import play
from tests.support import redis_db
from tests.support.rabbitmq import VirtualHost
from tests.support.rig import PRODUCT

pytestmark = [
    pytest.mark.skipif(PRODUCT == "celery", reason="has both kinds of workers already"),
    pytest.mark.timeout(300),
]

TASKS = 1_000
KILLS = 4


def check(redis_server: str, host: VirtualHost | None, folder: Path) -> None:
    with contextlib.ExitStack() as stack:
        results, calls = (stack.enter_context(redis_db.claimed(redis_server)) for _ in range(2))
        fleet = play(results, calls, host, folder, 0, TASKS, KILLS)
    print(fleet)
    assert fleet.lost == []
    assert len(fleet.calls) > TASKS / 2


def test_mixed_fleet_on_redis_loses_no_workflow(redis_server: str, tmp_path: Path) -> None:
    check(redis_server, None, tmp_path)


def test_mixed_fleet_on_rabbitmq_loses_no_workflow(
    redis_server: str, rabbit: VirtualHost, tmp_path: Path
) -> None:
    check(redis_server, rabbit, tmp_path)
