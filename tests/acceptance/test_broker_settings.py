"""Settings that say where the broker is and how it is spoken to, on RabbitMQ and Redis."""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from fastworker import FastWorker
from fastworker.exceptions import OperationalError
from tests.support.apps import AppSpec, build
from tests.support.rabbitmq import VirtualHost, virtual_host
from tests.support.redis_server import free_port
from tests.support.rig import PRODUCT, RUNNER, Rig
from tests.support.workers import command

TIMEOUT_S = 60

pytestmark = pytest.mark.skipif(PRODUCT == "celery", reason="what our driver does")

MakeRig = Callable[..., Rig]


@pytest.fixture
def make_rig(sqlite_url: str, tmp_path: Path) -> Iterator[MakeRig]:
    """Makes a rig on the broker of a URL, with results in SQLite."""
    with contextlib.ExitStack() as stack:

        def make(url: str, **conf: Any) -> Rig:
            return Rig(AppSpec("fastworker", url, sqlite_url, conf), tmp_path, stack)

        yield make


def parts_of(url: str) -> dict[str, Any]:
    """The settings that say the same as a URL."""
    parts = urlsplit(url)
    said = {
        "broker_transport": parts.scheme,
        "broker_host": parts.hostname,
        "broker_port": parts.port,
        "broker_user": parts.username,
        "broker_password": parts.password,
        "broker_vhost": parts.path.lstrip("/"),
    }
    return {name: value for name, value in said.items() if value}


@pytest.mark.shows(
    "setting broker_transport",
    "setting broker_host",
    "setting broker_port",
    "setting broker_user",
    "setting broker_password",
    "setting broker_vhost",
)
def test_the_broker_is_named_by_its_parts(rabbit: VirtualHost, make_rig: MakeRig) -> None:
    rig = make_rig("", **parts_of(rabbit.url))
    worker = rig.worker()
    assert rig.task("add").delay(1, 2).get(timeout=TIMEOUT_S) == 3
    assert rabbit.queues()["celery"] == (0, 0)
    assert worker.stop() == 0


def test_parts_fill_in_what_the_url_leaves_out(rabbit: VirtualHost, make_rig: MakeRig) -> None:
    said = parts_of(rabbit.url)
    url = f"amqp://{said.pop('broker_host')}:{said.pop('broker_port')}"
    rig = make_rig(url, **said)
    rig.task("add").delay(1, 2)
    assert rabbit.queues()["celery"] == (1, 0)


def test_a_redis_is_named_by_its_parts(redis_url: str, make_rig: MakeRig) -> None:
    rig = make_rig("", **parts_of(redis_url))
    rig.task("add").delay(1, 2)
    assert rig.redis(redis_url).llen("celery") == 1


def test_a_wrong_password_among_the_parts_is_the_servers_to_refuse(
    rabbit: VirtualHost, make_rig: MakeRig
) -> None:
    said = {**parts_of(rabbit.url), "broker_password": "wrong", "broker_publish_deadline": 5}
    with pytest.raises(OperationalError, match="ACCESS_REFUSED") as refused:
        build(make_rig("", **said).spec).send_task("proj.add", (1, 1))
    assert "wrong" not in str(refused.value)


@pytest.mark.shows("setting broker_failover_strategy")
def test_the_strategy_says_which_of_several_brokers_comes_next(
    rabbit: VirtualHost, sqlite_url: str
) -> None:
    with virtual_host() as other:
        dead = f"amqp://127.0.0.1:{free_port()}//"
        urls = [dead, rabbit.url, other.url]

        def published(strategy: Any) -> tuple[int, int]:
            app = FastWorker("client", broker=urls, backend=sqlite_url, set_as_current=False)
            app.conf.broker_failover_strategy = strategy
            with app:
                app.send_task("proj.add", (1, 1))
            queues = [host.queues().get("celery", (0, 0))[0] for host in (rabbit, other)]
            return queues[0], queues[1]

        assert published("round-robin") == (1, 0)
        # As kombu has it: the first it gives is skipped, since it is tried anyway.
        assert published(lambda known: iter([known[0], known[2], known[1]])) == (1, 1)


@pytest.mark.shows("setting broker_login_method")
def test_the_login_method_is_that_of_every_connection(
    rabbit: VirtualHost, make_rig: MakeRig
) -> None:
    rig = make_rig(rabbit.url, broker_login_method="AMQPLAIN")
    rig.worker()
    assert rig.task("add").delay(1, 2).get(timeout=TIMEOUT_S) == 3
    assert rabbit.login_methods() == {"AMQPLAIN"}


def test_a_login_method_that_the_server_does_not_offer_is_refused(
    rabbit: VirtualHost, make_rig: MakeRig
) -> None:
    spec = make_rig(rabbit.url, broker_login_method="EXTERNAL", broker_publish_deadline=5).spec
    with pytest.raises(OperationalError):
        build(spec).send_task("proj.add", (1, 1))


@pytest.mark.shows("setting broker_channel_error_retry")
def test_a_broker_that_refuses_at_the_start_is_tried_again_when_told_to(
    rabbit: VirtualHost, make_rig: MakeRig
) -> None:
    # The queue is there in another form.
    make_rig(rabbit.url, task_queue_max_priority=5).task("add").delay(1, 1)
    line = (command(RUNNER), "-A", "tests.support.worker_app", "worker", "-l", "INFO", "-c", "1")
    rig = make_rig(rabbit.url)
    refused = rig.run(*line, environment=rig.spec.environment())
    assert refused.wait_ended(TIMEOUT_S) == 1
    assert "PRECONDITION_FAILED" in refused.log
    rig = make_rig(rabbit.url, broker_channel_error_retry=True)
    waiting = rig.run(*line, environment=rig.spec.environment())
    waiting.wait_for_line("PRECONDITION_FAILED.*Trying again until it works", TIMEOUT_S)
    subprocess.run(
        ["rabbitmqctl", "--quiet", "delete_queue", "--vhost", rabbit.name, "celery"], check=True
    )
    waiting.wait_ready(TIMEOUT_S)


@pytest.mark.shows(
    "setting task_default_delivery_mode",
    "task delivery_mode",
    "call delivery_mode",
    "property delivery_mode",
)
def test_messages_are_as_durable_as_is_said(rabbit: VirtualHost, make_rig: MakeRig) -> None:
    app = build(make_rig(rabbit.url, task_default_delivery_mode="transient").spec)

    @app.task(name="proj.kept", delivery_mode=2)
    def kept() -> None: ...

    app.tasks["proj.add"].delay(1, 1)
    app.tasks["proj.add"].apply_async((1, 1), delivery_mode="persistent")
    kept.delay()
    kept.apply_async(delivery_mode=1)
    assert rabbit.persistent()["celery"] == 2


@pytest.mark.shows("setting task_create_missing_queue_exchange_type")
def test_exchanges_of_missing_queues_have_the_type_that_is_said(
    rabbit: VirtualHost, make_rig: MakeRig
) -> None:
    rig = make_rig(rabbit.url, task_create_missing_queue_exchange_type="topic")
    rig.worker("-Q", "fresh")
    assert rig.task("add").apply_async((1, 2), queue="fresh").get(timeout=TIMEOUT_S) == 3
    assert rabbit.exchanges()["fresh"] == "topic"
