"""A Redis that throws keys away when it is full loses tasks without a word: the worker has one for it at its start."""

from __future__ import annotations

from pathlib import Path

import pytest
import redis

from tests.support.apps import AppSpec
from tests.support.redis_server import RedisServer
from tests.support.rig import PRODUCT, Rig

TIMEOUT_S = 30

pytestmark = pytest.mark.skipif(PRODUCT == "celery", reason="Celery does not look")


def guest_of(server: RedisServer, forbidden: str) -> str:
    """The URL of a user who may do everything but one command, as on hosted servers."""
    client = redis.Redis.from_url(server.url)
    rights = ("on", ">pw", "~*", "&*", "+@all", f"-{forbidden}")
    client.execute_command("ACL", "SETUSER", "guest", *rights)
    return f"redis://guest:pw@127.0.0.1:{server.port}/0"


@pytest.mark.parametrize(
    ("policy", "words"),
    [
        ("allkeys-lru", "drops whole queues"),
        ("volatile-lru", "drops results"),
        ("noeviction", None),
    ],
)
def test_worker_warns_of_a_redis_that_may_drop_queues(
    redis_rig: Rig, tmp_path: Path, policy: str, words: str | None
) -> None:
    with RedisServer(tmp_path) as server:
        client = redis.Redis.from_url(server.url)
        client.config_set("maxmemory", "100mb")
        client.config_set("maxmemory-policy", policy)
        url = guest_of(server, forbidden="config")
        redis_rig.spec = AppSpec(PRODUCT, url, url)
        worker = redis_rig.worker()
        assert redis_rig.task("add").delay(2, 2).get(timeout=TIMEOUT_S) == 4
        said = [line for line in worker.log.splitlines() if "maxmemory-policy" in line]
        assert len(said) == (0 if words is None else 1)
        for line in said:
            assert all(part in line for part in (policy, str(words), "noeviction")), line
            assert "pw@" not in line


def test_worker_starts_where_nobody_tells_the_policy(redis_rig: Rig, tmp_path: Path) -> None:
    with RedisServer(tmp_path) as server:
        redis.Redis.from_url(server.url).config_set("maxmemory-policy", "allkeys-lru")
        url = guest_of(server, forbidden="info")
        redis_rig.spec = AppSpec(PRODUCT, url, url)
        worker = redis_rig.worker()
        assert redis_rig.task("add").delay(2, 2).get(timeout=TIMEOUT_S) == 4
        assert "maxmemory" not in worker.log
