"""What a message says to RabbitMQ: the properties of ours beside Celery's, and how consumers are started."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.apps import AppSpec
from tests.support.rabbitmq import VirtualHost
from tests.support.rig import PRODUCT, Rig
from tests.support.waiting import wait_until

pytestmark = pytest.mark.skipif(PRODUCT == "celery", reason="compares ours with Celery's")

HOUR_MS = 3_600_000


@pytest.fixture
def rigs(rabbit: VirtualHost, sqlite_url: str, tmp_path: Path) -> Iterator[tuple[Rig, Rig]]:
    """Ours and Celery's, on one virtual host."""
    with contextlib.ExitStack() as stack:
        spec = AppSpec(PRODUCT, rabbit.url, sqlite_url)
        celerys = AppSpec("celery", rabbit.url, None)
        yield Rig(spec, tmp_path, stack), Rig(celerys, tmp_path, stack)


def published(rig: Rig, rabbit: VirtualHost, **options: Any) -> dict[str, Any]:
    """The properties of one call, ids by what they are."""
    result = rig.task("add").apply_async((1, 1), ignore_result=True, **options)
    with rabbit.connect() as connection:
        message = connection.channel().basic_get("celery", no_ack=True)
    said = dict(message.properties)
    headers = said.pop("application_headers")
    assert said.pop("correlation_id") == headers["id"] == result.id
    assert len(said.pop("reply_to")) == 36
    return {**said, "headers": sorted(headers)}


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"delivery_mode": 1},
        {"delivery_mode": "transient"},
        {"priority": 7},
        {"headers": {"tenant": "a"}, "countdown": 3},
    ],
    ids=str,
)
@pytest.mark.shows(
    "task delivery_mode", "call delivery_mode", "property delivery_mode", "property priority"
)
def test_properties_are_celerys_field_by_field(
    rigs: tuple[Rig, Rig], rabbit: VirtualHost, options: dict[str, Any]
) -> None:
    ours, celerys = rigs
    assert published(ours, rabbit, **options) == published(celerys, rabbit, **options)


@pytest.mark.shows("setting task_default_delivery_mode")
def test_delay_is_as_durable_as_the_settings_say(
    rigs: tuple[Rig, Rig], rabbit: VirtualHost
) -> None:
    ours, celerys = (rig.configure(task_default_delivery_mode=1) for rig in rigs)
    assert published(ours, rabbit) == published(celerys, rabbit)
    assert published(ours, rabbit)["delivery_mode"] == 1


def test_expiration_is_celerys_where_expired_tasks_may_vanish(
    rigs: tuple[Rig, Rig], rabbit: VirtualHost
) -> None:
    ours, celerys = rigs
    ours.configure(broker_transport_options={"expire_in_queue": True})
    said, expected = (published(rig, rabbit, expires=3600) for rig in (ours, celerys))
    left = [int(properties.pop("expiration")) for properties in (said, expected)]
    assert said == expected
    assert all(HOUR_MS - 30_000 < ms <= HOUR_MS for ms in left)


def test_expired_tasks_are_left_to_workers_unless_somebody_says_otherwise(
    rigs: tuple[Rig, Rig], rabbit: VirtualHost
) -> None:
    assert "expiration" not in published(rigs[0], rabbit, expires=3600)


def test_consumers_are_started_with_the_queues_arguments(
    rigs: tuple[Rig, Rig], rabbit: VirtualHost
) -> None:
    queue = {"exchange": "celery", "consumer_arguments": {"x-priority": 3}}
    ours = rigs[0].configure(task_queues={"celery": queue})
    ours.worker()
    wait_until(lambda: "celery" in rabbit.consumers(), "a consumer", 60)
    assert rabbit.consumers()["celery"] == ['[{"x-priority",3}]']
