"""Settings of clients that ask for results, on a Redis that does not answer."""

from __future__ import annotations

import contextlib
import os
import threading
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import redis

from fastworker import FastWorker
from fastworker.exceptions import OperationalError
from tests.support.proxy import Proxy
from tests.support.redis_server import RedisServer
from tests.support.rig import PRODUCT
from tests.support.waiting import wait_until

pytestmark = pytest.mark.skipif(PRODUCT == "celery", reason="what our client does")

TASK_ID = "5f0f9d3c-0000-4000-8000-000000000001"


@pytest.fixture
def proxy(redis_url: str) -> Iterator[Proxy]:
    """In front of Redis."""
    parts = urlsplit(redis_url)
    with Proxy((parts.hostname or "127.0.0.1", parts.port or 6379)) as made:
        yield made


def client(url: str, **conf: Any) -> FastWorker:
    app = FastWorker("client", broker=url, backend=url, set_as_current=False)
    app.conf.update(conf)
    return app


def through(proxy: Proxy, redis_url: str) -> str:
    return f"redis://127.0.0.1:{proxy.port}{urlsplit(redis_url).path}"


@pytest.mark.shows(
    "setting result_backend_always_retry",
    "setting result_backend_base_sleep_between_retries_ms",
    "setting result_backend_max_sleep_between_retries_ms",
)
def test_a_store_that_is_away_is_asked_until_it_answers(
    proxy: Proxy, redis_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    app = client(
        through(proxy, redis_url),
        result_backend_always_retry=True,
        result_backend_base_sleep_between_retries_ms=20,
        result_backend_max_sleep_between_retries_ms=100,
    )
    client(redis_url).backend.store_result(TASK_ID, 42, "SUCCESS")
    proxy.refuse()
    seen: list[Any] = []
    asking = threading.Thread(target=lambda: seen.append(app.AsyncResult(TASK_ID).result))
    asking.start()
    wait_until(lambda: "Retrying 3. time" in caplog.text, "three attempts")
    proxy.accept_again()
    asking.join(10)
    assert seen == [42]


@pytest.mark.shows("setting result_backend_max_retries")
def test_attempts_end_after_so_many(
    proxy: Proxy, redis_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    app = client(
        through(proxy, redis_url), result_backend_always_retry=True, result_backend_max_retries=2
    )
    proxy.refuse()
    with pytest.raises(OperationalError):
        app.backend.store_result(TASK_ID, 42, "SUCCESS")
    assert caplog.text.count("Failed operation store") == 2


def test_by_default_an_error_is_the_callers(proxy: Proxy, redis_url: str) -> None:
    app = client(through(proxy, redis_url))
    proxy.refuse()
    with pytest.raises(OperationalError):
        _ = app.AsyncResult(TASK_ID).result


@pytest.mark.shows("setting result_cache_max")
def test_results_are_kept_in_memory_as_many_as_is_said(redis_url: str) -> None:
    ids = [f"{TASK_ID[:-1]}{number}" for number in range(3)]
    app = client(redis_url, result_cache_max=2)
    for number, task_id in enumerate(ids):
        app.backend.store_result(task_id, number, "SUCCESS")
    assert [app.AsyncResult(task_id).get(timeout=5) for task_id in ids] == [0, 1, 2]
    with redis.Redis.from_url(redis_url) as server:
        server.flushdb()
    # The oldest had to go.
    assert [app.AsyncResult(task_id).state for task_id in ids] == ["PENDING", "SUCCESS", "SUCCESS"]
    assert app.AsyncResult(ids[2]).get(timeout=1) == 2
    app.backend.reload_task_result(ids[2])
    app.AsyncResult(ids[1]).forget()
    assert app.AsyncResult(ids[1]).state == "PENDING"
    assert not client(redis_url).backend.is_cached(ids[2])


def test_what_may_change_is_not_kept(redis_url: str) -> None:
    app = client(redis_url, result_cache_max=0)
    app.backend.store_result(TASK_ID, None, "STARTED")
    assert app.AsyncResult(TASK_ID).state == "STARTED"
    app.backend.store_result(TASK_ID, 1, "SUCCESS")
    assert app.AsyncResult(TASK_ID).state == "SUCCESS"
    assert app.backend.is_cached(TASK_ID)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RedisServer]:
    with RedisServer(tmp_path) as made:
        yield made


@pytest.mark.shows("setting redis_retry_on_timeout")
def test_a_command_without_an_answer_is_sent_again_when_told_to(server: RedisServer) -> None:
    """The server pauses for longer than one attempt, and for less than two."""
    url = f"{server.url}/0"
    app = client(url, redis_socket_timeout=1.0, redis_retry_on_timeout=True)
    app.backend.store_result(TASK_ID, 42, "SUCCESS")
    with redis.Redis.from_url(url) as control:
        control.client_pause(1500)
        assert app.AsyncResult(TASK_ID).result == 42
        control.client_pause(1500)
        with pytest.raises(OperationalError):
            _ = client(url, redis_socket_timeout=1.0).AsyncResult(TASK_ID).result


@pytest.mark.shows("setting redis_socket_keepalive")
def test_idle_connections_are_probed_whatever_the_setting_says(redis_url: str) -> None:
    port = urlsplit(redis_url).port or 6379
    before = probed_connections(port)
    for said in (True, False):
        app = client(redis_url, redis_socket_keepalive=said)
        assert app.AsyncResult(TASK_ID).state == "PENDING"
        after = probed_connections(port)
        assert len(after - before) == 1
        before = after


def probed_connections(port: int) -> set[str]:
    """Local ends of this process's connections to ``port`` that the kernel has a keepalive timer for."""
    found, own = set(), own_sockets()
    with open("/proc/self/net/tcp", encoding="ascii") as table:
        for line in table.readlines()[1:]:
            _, local, remote, _, _, timer, _, _, _, inode, *_ = line.split()
            is_probed = timer.startswith("02:")
            if int(remote.partition(":")[2], 16) == port and is_probed and inode in own:
                found.add(local)
    return found


def own_sockets() -> set[str]:
    """Inodes: the kernel's table has the connections of all processes."""
    found = set()
    for descriptor in os.listdir("/proc/self/fd"):
        with contextlib.suppress(FileNotFoundError):  # that of the listing itself
            kind, _, inode = os.readlink(f"/proc/self/fd/{descriptor}").partition(":")
            if kind == "socket":
                found.add(inode.strip("[]"))
    return found


@pytest.mark.shows("setting task_remote_tracebacks")
@pytest.mark.parametrize("is_wanted", [True, False])
def test_an_exception_has_the_workers_frames_when_told_so(redis_url: str, is_wanted: bool) -> None:
    text = (
        'Traceback (most recent call last):\n  File "shop/tasks.py", line 7, in pay\n'
        "    raise KeyError(1)\nKeyError: 1\n"
    )
    app = client(redis_url, task_remote_tracebacks=is_wanted)
    app.backend.store_result(TASK_ID, KeyError(1), "FAILURE", text)
    with pytest.raises(KeyError) as raised:
        app.AsyncResult(TASK_ID).get(timeout=5)
    frames = traceback.extract_tb(raised.value.__traceback__)
    assert (("shop/tasks.py", 7, "pay") in [(f.filename, f.lineno, f.name) for f in frames]) == (
        is_wanted
    )
