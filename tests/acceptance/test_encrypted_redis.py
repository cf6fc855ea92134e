"""Redis that listens encrypted only, with a certificate of an issuer that nobody knows but the test."""

from __future__ import annotations

import contextlib
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fastworker import FastWorker
from fastworker.errors import OperationalError
from tests.support.apps import AppSpec
from tests.support.certificates import certify
from tests.support.redis_server import RedisServer
from tests.support.rig import PRODUCT, Rig
from tests.support.servers import NoServer, is_ci

TIMEOUT_S = 20


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    directory = tmp_path_factory.mktemp("encrypted-redis")
    try:
        certify(directory)
    except NoServer as missing:
        if is_ci():
            raise
        pytest.skip(str(missing))
    with RedisServer(directory, is_encrypted=True) as found:
        yield found


@pytest.fixture
def rig(server: RedisServer, tmp_path: Path) -> Iterator[Rig]:
    with contextlib.ExitStack() as stack:
        yield Rig(AppSpec(PRODUCT, f"{server.url}/0", f"{server.url}/1"), tmp_path, stack)


def trusting(server: RedisServer, issuer: str) -> dict[str, Any]:
    """As Celery's documentation has it."""
    return {
        "ssl_cert_reqs": ssl.CERT_REQUIRED,
        "ssl_ca_certs": str(server.directory / f"{issuer}.crt"),
    }


@pytest.mark.shows("setting broker_use_ssl", "setting redis_backend_use_ssl")
def test_issuer_is_named_by_the_settings(rig: Rig, server: RedisServer) -> None:
    told = trusting(server, "ca")
    rig.configure(broker_use_ssl=told, redis_backend_use_ssl=told)
    worker = rig.worker()
    assert rig.task("add").delay(2, 2).get(timeout=TIMEOUT_S) == 4
    assert worker.stop() == 0


@pytest.mark.skipif(PRODUCT == "celery", reason="what our client says")
def test_certificate_of_another_issuer_is_refused(server: RedisServer) -> None:
    app = FastWorker("stranger", broker=server.url, backend=None, set_as_current=False)
    app.conf.update(broker_use_ssl=trusting(server, "other"), broker_publish_deadline=2)
    with pytest.raises(OperationalError, match=r"(?i)certificate|issuer"):
        app.send_task("proj.add", (1, 1))


def test_certificate_is_not_checked_when_the_settings_say_so(rig: Rig) -> None:
    told = {"ssl_cert_reqs": "none"}
    rig.configure(broker_use_ssl=told, redis_backend_use_ssl=told)
    worker = rig.worker()
    assert rig.task("add").delay(2, 2).get(timeout=TIMEOUT_S) == 4
    assert worker.stop() == 0
