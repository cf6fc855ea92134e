"""A worker on a RabbitMQ that fails: nothing is lost, and what runs twice was cut off while it ran."""

from __future__ import annotations

import contextlib
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from fastworker import FastWorker, chain
from fastworker.exceptions import OperationalError
from tests.support.apps import AppSpec
from tests.support.gate import read_lines
from tests.support.proxy import Proxy
from tests.support.rabbitmq import VirtualHost
from tests.support.rabbitmq_node import RabbitNode
from tests.support.rig import PRODUCT, Rig
from tests.support.servers import NoServer, is_ci
from tests.support.waiting import wait_until

TIMEOUT_S = 120
TASKS = 400

pytestmark = [
    pytest.mark.skipif(PRODUCT == "celery", reason="what our driver does"),
    # Each look at a queue is a program of the server's that takes seconds on a busy machine.
    pytest.mark.timeout(400),
]


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RabbitNode]:
    """A node that these tests may stop; skips (fails in CI) where there is none."""
    with contextlib.ExitStack() as stack:
        try:
            directory = tmp_path_factory.mktemp("node")
            node = stack.enter_context(RabbitNode(directory, has_tls=True))
        except NoServer as error:
            if is_ci():
                pytest.fail(str(error))
            pytest.skip(str(error))
        yield node


@pytest.fixture
def make_rig(sqlite_url: str, tmp_path: Path) -> Iterator[Callable[[str], Rig]]:
    """Makes a rig on the broker of a URL; each test has a queue of its own there."""
    with contextlib.ExitStack() as stack:

        def make(url: str) -> Rig:
            queue = tmp_path.name[:40]
            conf = {"task_default_queue": queue, "broker_publish_deadline": 60}
            return Rig(AppSpec("fastworker", url, sqlite_url, conf), tmp_path, stack)

        yield make


def record_through(rig: Rig, path: str, faults: list[Callable[[], object]]) -> Counter[int]:
    """Publish ``TASKS`` tasks with faults evenly between them; how often each has run in the end."""
    record = rig.task("record_by")
    every = TASKS // (len(faults) + 1)
    for number in range(TASKS):
        record.apply_async((path, str(number)), ignore_result=True)
        if number % every == every - 1 and number // every < len(faults):
            faults[number // every]()
    wait_until(lambda: len(_numbers(path)) == TASKS, "every effect", TIMEOUT_S)
    return _numbers(path)


def _numbers(path: str) -> Counter[int]:
    return Counter(int(line.split()[0]) for line in read_lines(path))


def test_cut_connections_lose_nothing(
    rabbit: VirtualHost, make_rig: Callable[[str], Rig], tmp_path: Path
) -> None:
    parts = urlsplit(rabbit.url)
    with Proxy((parts.hostname or "127.0.0.1", parts.port or 5672), seed=7) as proxy:
        rig = make_rig(f"amqp://guest:guest@127.0.0.1:{proxy.port}/{rabbit.name}")
        worker = rig.worker()
        ran = record_through(rig, str(tmp_path / "effects"), [proxy.cut] * 6)
        assert set(ran) == set(range(TASKS))
        # Cut off between its run and its acknowledgement; or published again, since the answer was lost.
        held = 6 * 2 * 64
        assert sum(ran.values()) - TASKS <= held
        queue = rig.spec.conf["task_default_queue"]
        wait_until(lambda: rabbit.queues()[queue] == (0, 0), "an empty queue", TIMEOUT_S)
        assert worker.stop() == 0


def test_server_that_stops_and_starts_loses_nothing(
    node: RabbitNode, make_rig: Callable[[str], Rig], tmp_path: Path
) -> None:
    rig = make_rig(node.url)
    worker = rig.worker()

    def restart() -> None:
        node.stop_app()
        node.start_app()

    ran = record_through(rig, str(tmp_path / "effects"), [restart, node.close_connections])
    assert set(ran) == set(range(TASKS))
    queue = rig.spec.conf["task_default_queue"]
    wait_until(lambda: node.queues()[queue] == (0, 0), "an empty queue", TIMEOUT_S)
    assert worker.stop() == 0


def test_worker_goes_on_while_the_server_takes_no_messages(
    node: RabbitNode, make_rig: Callable[[str], Rig], tmp_path: Path
) -> None:
    rig = make_rig(node.url).configure(
        broker_publish_deadline=2, broker_transport_options={"socket_timeout": 2}
    )
    path, queue = str(tmp_path / "effects"), rig.spec.conf["task_default_queue"]
    record = rig.task("record_by")
    # Its first task is the first to end, and its successor cannot be published.
    follow = chain(rig.task("add").s(1, 2), rig.task("add").s(3)).apply_async()
    for number in range(200):
        record.apply_async((path, str(number)), ignore_result=True)
    node.block_publishers()
    try:
        worker = rig.worker()
        wait_until(lambda: set(_numbers(path)) == set(range(200)), "every effect", TIMEOUT_S)
        wait_until(lambda: node.queues()[queue] == (0, 1), "acknowledgements", TIMEOUT_S)
        with pytest.raises(OperationalError, match="takes no messages for now"):
            record.apply_async((path, "blocked"), ignore_result=True)
    finally:
        node.unblock_publishers()
    assert follow.get(timeout=TIMEOUT_S) == 6
    wait_until(lambda: node.queues()[queue] == (0, 0), "an empty queue", TIMEOUT_S)
    assert all(count == 1 for count in _numbers_but_blocked(path).values())
    assert worker.stop() == 0


def _numbers_but_blocked(path: str) -> Counter[str]:
    lines = (line.split()[0] for line in read_lines(path))
    return Counter(line for line in lines if line != "blocked")


def test_blocked_worker_stops_in_time(
    node: RabbitNode, make_rig: Callable[[str], Rig], tmp_path: Path
) -> None:
    rig = make_rig(node.url)
    worker = rig.worker()
    assert rig.task("add").delay(1, 1).get(timeout=TIMEOUT_S) == 2
    node.block_publishers()
    try:
        begun = time.monotonic()
        assert worker.stop() == 0
        assert time.monotonic() - begun < 25
    finally:
        node.unblock_publishers()


def test_tls_is_checked(node: RabbitNode, make_rig: Callable[[str], Rig]) -> None:
    def options(name: str) -> dict[str, str]:
        return {"ssl_ca_certs": str(node.directory / f"{name}.crt")}

    # The setting has the connection encrypted by itself.
    plain_url = node.tls_url.replace("amqps:", "amqp:")
    for url, setting in ((node.tls_url, "broker_transport_options"), (plain_url, "broker_use_ssl")):
        rig = make_rig(url).configure(**{setting: options("ca")})
        worker = rig.worker()
        assert rig.task("add").delay(2, 2).get(timeout=TIMEOUT_S) == 4
        assert worker.stop() == 0
    stranger = FastWorker("stranger", broker=node.tls_url, backend=None)
    stranger.conf.update(broker_transport_options=options("other"), broker_publish_deadline=2)
    with pytest.raises(OperationalError, match=r"(?i)certificate|issuer"):
        stranger.send_task("proj.add", (1, 1))
