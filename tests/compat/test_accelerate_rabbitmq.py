"""An accelerated Celery client on RabbitMQ, beside the same client as it was."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any

import amqp
import pytest
from celery import Celery, chord, group
from kombu import Connection

from tests.support.celery_client import celery_client, without_chance
from tests.support.rabbitmq import VirtualHost

CONFS: dict[str, dict[str, Any]] = {
    "classic": {},
    "priorities": {"task_queue_max_priority": 10},
    "quorum": {"task_default_queue_type": "quorum", "task_create_missing_queue_type": "quorum"},
}


def added(x: Any, y: Any) -> Any:
    return x + y


class Publishes:
    """Counts what kombu publishes."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.count = 0
        original = amqp.Channel.basic_publish

        def publish(channel: Any, *args: Any, **kwargs: Any) -> Any:
            self.count += 1
            return original(channel, *args, **kwargs)

        monkeypatch.setattr(amqp.Channel, "basic_publish", publish)
        monkeypatch.setattr(amqp.Channel, "_basic_publish", publish)


def taken(url: str, queue: str, count: int) -> list[Any]:
    """So many messages of a queue, as py-amqp reads them."""
    found = []
    with Connection(url) as connection:
        channel = connection.default_channel
        while len(found) < count:
            message = amqp.Channel.basic_get(channel, queue, no_ack=True)
            if message is not None:
                headers = message.properties.pop("application_headers", message.headers)
                info = {name: message.delivery_info[name] for name in ("exchange", "routing_key")}
                # Ours numbers what it publishes, to know what the server returns.
                message.properties.pop("message_id", None)
                if "expiration" in message.properties:
                    message.properties["expiration"] = "<ms>"
                properties = repr(sorted(message.properties.items()))
                found.append([repr(sorted(headers.items())), properties, info, str(message.body)])
    return found


def publish(app: Celery) -> None:
    add = app.task(added, name="proj.add", shared=False, time_limit=9)
    add.apply_async((1, 2))
    add.apply_async((1,), {"y": "é"}, priority=5)
    add.apply_async(
        (1, 2), headers={"n": 1, "text": "a", "none": None, "list": [1, "b"], "real": 1.5}
    )
    add.apply_async((1, 2), serializer="yaml", compression="zlib")
    group([add.s(n, n) for n in range(20)]).apply_async()
    chord([add.s(1, 1), add.s(2, 2)], add.s(3)).apply_async()
    # Celery publishes these on a connection of its own, and waits for no confirmation: nothing may come after them.
    add.apply_async(
        (1, 2), headers={"when": datetime(2031, 1, 2, tzinfo=timezone.utc), "raw": b"\xff"}
    )
    add.apply_async((1, 2), expires=datetime(2031, 1, 2, tzinfo=timezone.utc))


MESSAGES = 28


@pytest.mark.parametrize("conf", CONFS)
def test_messages_are_the_ones_that_celery_publishes(
    conf: str, rabbit: VirtualHost, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = []
    for accelerated in (False, True):
        with celery_client(rabbit.url, accelerated, result_backend=redis_url, **CONFS[conf]) as app:
            app.send_task("proj.first")
            taken(rabbit.url, "celery", 1)
            publishes = Publishes(monkeypatch)
            publish(app)
            found.append([publishes.count, without_chance(taken(rabbit.url, "celery", MESSAGES))])
            monkeypatch.undo()
    (of_celery, expected), (of_ours, messages) = found
    assert messages == expected
    # One has headers that only AMQP has a form for, one expires.
    assert (of_celery, of_ours) == (MESSAGES, 2)


def test_connection_that_the_server_closes_is_opened_again(
    rabbit: VirtualHost, redis_url: str
) -> None:
    with celery_client(rabbit.url, accelerated=True, result_backend=redis_url) as app:
        add = app.task(added, name="proj.add", shared=False)
        for _ in range(3):
            add.delay(1, 2)
        rabbit.close_connections()
        ids = {add.delay(1, 2).id for _ in range(3)}
        bodies = taken(rabbit.url, "celery", 6)
    assert sum(any(one in headers for one in ids) for headers, *_ in bodies) == 3


def test_queue_that_was_deleted_is_made_again(rabbit: VirtualHost, redis_url: str) -> None:
    with celery_client(rabbit.url, accelerated=True, result_backend=redis_url) as app:
        add = app.task(added, name="proj.add", shared=False)
        for _ in range(3):
            add.delay(1, 2)
        with Connection(rabbit.url) as connection:
            connection.default_channel.queue_delete("celery")
        add.delay(1, 2)
        assert len(taken(rabbit.url, "celery", 1)) == 1
