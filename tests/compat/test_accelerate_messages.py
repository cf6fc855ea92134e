"""What an accelerated Celery client leaves on Redis, beside the same client as it was: every message, whole."""

from __future__ import annotations

import uuid
from datetime import datetime, timezone
from decimal import Decimal
from typing import Any

import pytest
from celery import Celery, chain, chord, group
from kombu import Exchange, Queue

from tests.compat.test_publishing import CASES
from tests.support.celery_client import Puts, celery_client, messages, without_chance

#: Celery drops these where no worker has declared the queue.
TO_EXCHANGES = ("exchange", "exchange of the task", "task_default_exchange_type")
#: Has properties that we do not write.
CELERYS = ("reprs",)
ARGUMENTS = [
    ((), {}),
    (("text 'quoted' \"twice\"\n", "é€😀", ""), {"key": "ä"}),
    ((1, -1, 2**70, 1.5, 1e300, float("inf"), True, None), {}),
    (([1, [2, [3, [4, [5]]]]], {"a": {"b": {"c": {"d": 1}}}}), {}),
    ((b"bytes", b"\xff\x00", Decimal("1.10"), uuid.UUID(int=5)), {}),
    ((datetime(2031, 1, 2, 3, 4, 5, 6), datetime(2031, 1, 2, tzinfo=timezone.utc)), {}),
    (("long " * 400,), {"kwargs": list(range(500))}),
    (((1, 2), {3: 4}), {}),
]


def added(x: Any, y: Any) -> Any:
    return x + y


def publish(app: Celery, call: Any, task: Any) -> None:
    # Celery keeps one task a name.
    app._tasks.pop("proj.add", None)

    @app.task(name="proj.add", shared=False, **task)
    def add(x: Any, y: Any = None) -> None:
        """Never runs."""

    add.apply_async(([[[1]]],), {"y": "é"}, **call)


# Celery 5.7 says that queues of tasks belong in task_routes.
@pytest.mark.filterwarnings("ignore::celery.exceptions.CDeprecationWarning")
@pytest.mark.parametrize("case", [case for case in CASES if case not in TO_EXCHANGES])
def test_message_is_the_one_that_celery_publishes(
    case: str, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    call, task, conf = CASES[case]
    with celery_client(redis_url, accelerated=False, **conf) as app:
        publish(app, call, task)
        expected = messages(redis_url)
    assert expected, "Celery published nothing"
    with celery_client(redis_url, accelerated=True, **conf) as app:
        publish(app, call, task)
        assert without_chance(messages(redis_url)) == without_chance(expected)
        puts = Puts(monkeypatch)
        publish(app, call, task)
        assert without_chance(messages(redis_url)) == without_chance(expected)
        assert puts.count == int(case in CELERYS)


@pytest.mark.parametrize("arguments", ARGUMENTS)
def test_arguments_are_written_as_celery_writes_them(redis_url: str, arguments: Any) -> None:
    found = []
    for accelerated in (False, True):
        with celery_client(redis_url, accelerated) as app:
            app.send_task("proj.any", (), {})
            messages(redis_url)
            app.send_task("proj.any", *arguments)
            found.append(without_chance(messages(redis_url)))
    assert repr(found[1]) == repr(found[0])


@pytest.mark.parametrize(
    "form",
    [
        lambda add: chain(add.s(1, 2), add.s(3), add.s(4)),
        lambda add: group(add.s(n, n) for n in range(3)),
        lambda add: group([add.s(n, n) for n in range(300)]),
        lambda add: chord([add.s(1, 1), add.s(2, 2)], add.s(3)),
        lambda add: chord([chain(add.s(1, 1), add.s(1)), add.s(2, 2)], add.s(3)),
        lambda add: chain(group(add.s(1, 1), add.s(2, 2)), add.s(3)),
        lambda add: add.s(1, 2).on_error(add.si(5, 6)).set(link=add.s(7), queue="other"),
        lambda add: group(group(add.s(1, 1), add.s(2, 2)), chain(add.s(3, 3), add.s(4))),
    ],
)
def test_workflows_are_published_as_celery_publishes_them(redis_url: str, form: Any) -> None:
    found = []
    for accelerated in (False, True):
        with celery_client(redis_url, accelerated) as app:
            add = app.task(added, name="proj.add", shared=False)
            for queue in ("celery", "other"):
                add.apply_async((0, 0), queue=queue)
            messages(redis_url)
            form(add).apply_async()
            found.append(without_chance(messages(redis_url)))
    assert found[1] == found[0]


def test_members_of_a_group_leave_in_their_order(
    redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with celery_client(redis_url, accelerated=True) as app:
        add = app.task(added, name="proj.add", shared=False)
        add.delay(0, 0)
        messages(redis_url)
        puts = Puts(monkeypatch)
        # Some of them are such that Celery has to publish them.
        members = [
            add.s(n, n).set(headers={"n": n}) if n % 100 == 50 else add.s(n, n) for n in range(600)
        ]
        members[120].set(argsrepr="(seen)")
        result = group(members).apply_async()
        [published] = messages(redis_url).values()
    assert puts.count == 1
    assert [message["headers"]["id"] for message in published] == [one.id for one in result.results]
    assert [message["body"][0] for message in published] == [[n, n] for n in range(600)]


def test_a_queue_is_declared_as_celery_declares_it(redis_url: str) -> None:
    import redis

    queue = Queue("mail", Exchange("media"), routing_key="m")
    tables = []
    for accelerated in (False, True):
        with celery_client(redis_url, accelerated, task_queues=[queue]) as app:
            for _ in range(3):
                app.send_task("proj.any", queue="mail")
            with redis.Redis.from_url(redis_url) as client:
                tables.append(client.smembers("_kombu.binding.media"))
                client.flushdb()
    assert tables[1] == tables[0] != set()


def test_queue_that_expires_is_prolonged_by_each_message(
    redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    queue = Queue("brief", Exchange("brief"), routing_key="brief", expires=60.0)
    with celery_client(redis_url, accelerated=True, task_queues=[queue]) as app:
        puts = Puts(monkeypatch)
        for _ in range(3):
            app.send_task("proj.any", queue="brief")
    assert puts.count == 3


def test_settings_that_change_are_followed(redis_url: str) -> None:
    with celery_client(redis_url, accelerated=True) as app:
        add = app.task(added, name="proj.add", shared=False)
        for _ in range(3):
            add.delay(1, 2)
        app.conf.task_default_queue = "changed"
        for _ in range(2):
            add.delay(1, 2)
        app.conf.task_routes = {"proj.add": {"queue": "routed"}}
        app.amqp.flush_routes()
        del app.amqp.router
        for _ in range(2):
            add.delay(1, 2)
        app.conf.task_always_eager = True
        assert add.delay(1, 2).get() == 3
    counts = {queue: len(found) for queue, found in messages(redis_url).items()}
    assert counts == {"celery": 3, "changed": 2, "routed": 2}
