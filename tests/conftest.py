"""Fixtures that several kinds of tests share."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest
import redis

from fastworker.worker.pools import lack
from tests.support import redis_db, servers
from tests.support.apps import AppSpec
from tests.support.gate import Gate
from tests.support.rabbitmq import VirtualHost, virtual_host
from tests.support.rig import POOL, PRODUCT, RUNNER, Rig

# How long an example takes says something about the machine's other load and nothing about the code.
hypothesis.settings.register_profile(
    "unhurried", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("unhurried")

# With another pool than the default one, no broker has a part in what differs.
BROKERS = ["redis"] if PRODUCT == "celery" else ["sqlite"] if POOL else ["redis", "sqlite"]


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what the pool under test cannot do, and what Celery's applications do not promise."""
    if RUNNER != PRODUCT:
        left_out = [item for item in items if any(_skips(mark) for mark in item.iter_markers())]
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in left_out]
    for item in items if POOL else ():
        for name in (name for mark in item.iter_markers("needs") for name in mark.args):
            instead = lack(POOL, name)
            if instead is not None:
                item.add_marker(pytest.mark.skip(f"pool {POOL} has no {name}: {instead}"))


def _skips(mark: pytest.Mark) -> bool:
    return mark.name == "skip" or (mark.name == "skipif" and bool(mark.args[0]))


@pytest.fixture(scope="session")
def redis_server() -> Iterator[str]:
    """URL of a Redis, without database; skips (fails in CI) when there is none."""
    with contextlib.ExitStack() as stack:
        try:
            yield stack.enter_context(servers.redis_up(may_install=False)).url
        except servers.NoServer as error:
            if servers.is_ci():
                pytest.fail(str(error))
            pytest.skip(str(error))


@pytest.fixture(scope="session")
def redis_database(redis_server: str) -> Iterator[str]:
    """URL of a Redis database that is this test process's own."""
    with redis_db.claimed(redis_server) as url:
        yield url


@pytest.fixture
def redis_url(redis_database: str) -> str:
    """URL of an empty Redis database."""
    with redis.Redis.from_url(redis_database) as client:
        client.flushdb()
    return redis_database


@pytest.fixture
def rabbit() -> Iterator[VirtualHost]:
    """A virtual host of a RabbitMQ; skips (fails in CI) when there is none that can be steered."""
    with contextlib.ExitStack() as stack:
        try:
            yield stack.enter_context(virtual_host())
        except servers.NoServer as error:
            if servers.is_ci():
                pytest.fail(str(error))
            pytest.skip(str(error))


@pytest.fixture
def sqlite_url(tmp_path: Path) -> str:
    """URL of a queue file that does not exist yet."""
    return f"sqlite:///{tmp_path}/queue.db"


@pytest.fixture(params=BROKERS)
def broker_url(request: pytest.FixtureRequest) -> str:
    """URL of an empty broker, each kind of ours in turn; results are stored in the same place."""
    return str(request.getfixturevalue(f"{request.param}_url"))


@pytest.fixture
def rig(broker_url: str, tmp_path: Path) -> Iterator[Rig]:
    """An app of the product under test on each broker."""
    with contextlib.ExitStack() as stack:
        yield Rig(AppSpec(PRODUCT, broker_url, broker_url), tmp_path, stack)


@pytest.fixture(scope="module", params=BROKERS)
def running(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Rig]:
    """An app with a worker that a whole module shares, on each broker: for tests that only call."""
    directory = tmp_path_factory.mktemp("running")
    with contextlib.ExitStack() as stack:
        url = f"sqlite:///{directory}/queue.db"
        if request.param == "redis":
            server = request.getfixturevalue("redis_server")
            url = stack.enter_context(redis_db.claimed(server))
        rig = Rig(AppSpec(PRODUCT, url, url, {"task_track_started": True}), directory, stack)
        rig.worker("-Q", "celery,other")
        yield rig


@pytest.fixture
def redis_rig(redis_url: str, tmp_path: Path) -> Iterator[Rig]:
    """An app of the product under test on Redis alone: for what only Redis or a real Celery has."""
    with contextlib.ExitStack() as stack:
        yield Rig(AppSpec(PRODUCT, redis_url, redis_url), tmp_path, stack)


@pytest.fixture
def sqlite_rig(sqlite_url: str, tmp_path: Path) -> Iterator[Rig]:
    """An app of ours on SQLite alone: for what no broker has a part in."""
    with contextlib.ExitStack() as stack:
        yield Rig(AppSpec("fastworker", sqlite_url, sqlite_url), tmp_path, stack)


@pytest.fixture
def gate(tmp_path: Path) -> Iterator[Gate]:
    """Holds tasks until the test lets them go."""
    with Gate(tmp_path) as made:
        yield made
