"""Ten thousand numbered tasks while processes are killed: every effect happens, nothing is
left, little runs twice.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.stress.chaos import play, schedule
from tests.support import servers
from tests.support.rig import PRODUCT

pytestmark = [
    pytest.mark.skipif(PRODUCT == "celery", reason="Celery loses tasks here"),
    pytest.mark.timeout(300),
]


@pytest.mark.parametrize("broker", ["redis", "sqlite"])
def test_ten_thousand_tasks_survive_kills(broker: str, tmp_path: Path) -> None:
    if broker == "redis" and shutil.which("redis-server") is None:
        if servers.is_ci():
            pytest.fail("no redis-server program to kill; install redis-server")
        pytest.skip("no redis-server program to kill; install redis-server")
    account = play(broker, tmp_path, seed=2, faults=schedule(broker, 2, 12))
    account.check()
