"""``task_routes`` and ``task_queues``: to which queue a call goes."""

from __future__ import annotations

import re
from typing import Any

import pytest

import fastworker
from fastworker.app.queues import QueueTable, key_to_pattern
from fastworker.app.routing import Destination, Router
from fastworker.errors import ImproperlyConfigured, QueueNotFound


def table(setting: Any = None, create_missing: bool = True) -> QueueTable:
    return QueueTable(
        setting,
        default_queue="celery",
        default_exchange="celery",
        default_type="direct",
        default_key="celery",
        create_missing=create_missing,
    )


def routed(routes: Any, name: str, queues: Any = None, **options: Any) -> tuple[str, ...]:
    router = Router(routes, table(queues), "celery")
    return router.destination(router.route(options, name)).queues


@pytest.mark.parametrize(
    ("routes", "queue"),
    [
        (None, "celery"),
        ({"a.b": {"queue": "q"}}, "q"),
        ({"a.b": "q"}, "q"),
        ({"a.*": {"queue": "glob"}, "a.b": {"queue": "exact"}}, "exact"),
        ({"x.*": "no", "a.*": "glob"}, "glob"),
        ([(re.compile(r".\.b$"), {"queue": "regex"})], "regex"),
        ([[(re.compile(r".\.b$"), {"queue": "regex"})]], "regex"),
        (({"other": "x"}, {"a.b": "second"}), "second"),
        (lambda name, args, kwargs, options, task=None: {"queue": f"by-{name}"}, "by-a.b"),
        (lambda *a, **k: None, "celery"),
    ],
)
@pytest.mark.shows(
    "route dict", "route list", "route glob", "route regex", "route function", "setting task_routes"
)
def test_route_of_a_task(routes: Any, queue: str) -> None:
    assert routed(routes, "a.b") == (queue,)


def test_callers_queue_wins_over_the_route() -> None:
    assert routed({"a": {"queue": "q"}}, "a", queue="mine") == ("mine",)


def test_route_gives_options_that_the_caller_did_not() -> None:
    router = Router({"a": {"queue": "q", "priority": 3}}, table(), "celery")
    assert router.route({"priority": None}, "a") == {"queue": "q", "priority": 3}
    assert router.route({"priority": 1}, "a") == {"queue": "q", "priority": 1}


class OldRouter:
    def route_for_task(self, task: str, args: Any = None, kwargs: Any = None) -> Any:
        return {"queue": f"old-{task}"}


@pytest.mark.shows("route class", "route name-of-a-router")
def test_old_router_classes_and_names_of_routers_work() -> None:
    assert routed(OldRouter(), "a") == ("old-a",)
    assert routed(f"{__name__}:OldRouter", "a") == ("old-a",)


def test_only_mappings_are_static() -> None:
    assert Router({"a": "b"}, table(), "celery").is_static
    assert not Router([{"a": "b"}, OldRouter()], table(), "celery").is_static


@pytest.mark.shows(
    "route topic-exchange",
    "call exchange",
    "call routing_key",
    "route queue-mapping",
    "setting task_queues",
)
def test_exchange_and_key_reach_the_queues_bound_to_them() -> None:
    queues = {
        "video": {"exchange": "media", "routing_key": "media.video"},
        "all": {"exchange": "logs", "exchange_type": "topic", "routing_key": "#"},
        "news": {"exchange": "logs", "exchange_type": "topic", "routing_key": "feed.*"},
    }
    assert routed(None, "a", queues, exchange="media", routing_key="media.video") == ("video",)
    assert routed(None, "a", queues, exchange="logs", routing_key="feed.x") == ("all", "news")
    assert routed(None, "a", queues, exchange="logs", routing_key="feed.x.y") == ("all",)
    assert routed(None, "a", None, exchange="celery", routing_key="celery") == ("celery",)
    with pytest.raises(QueueNotFound, match="bound to exchange 'none'"):
        routed(None, "a", queues, exchange="none", routing_key="x")


def test_what_others_have_declared_counts_too() -> None:
    rows = {
        "logs": [("feed.*", r"^feed\.[^\.]+$", "theirs"), ("", "", "whole")],
        "media": [("video", "", "video"), ("audio", "", "audio")],
    }
    queues = QueueTable(
        {"ours": {"exchange": "logs", "exchange_type": "topic", "routing_key": "#"}},
        default_queue="celery",
        default_exchange="celery",
        default_type="direct",
        default_key="celery",
        create_missing=True,
        declared=lambda exchange: rows.get(exchange, []),
    )
    assert queues.reached_by("logs", "feed.x") == ["ours", "theirs"]
    assert queues.reached_by("logs", "feed.x.y") == ["ours"]
    assert queues.reached_by("media", "video") == ["video"]
    with pytest.raises(QueueNotFound, match="neither in task_queues nor by a worker"):
        queues.reached_by("media", "text")


def test_topics_are_written_down_as_kombus() -> None:
    from kombu.transport.virtual.exchange import TopicExchange

    exchange = TopicExchange(None)
    for key in ("a.b", "a.*", "#.c-d", "*", "#", "", "a b.ü+", "a*b.#c"):
        assert key_to_pattern(key) == exchange.key_to_pattern(key), key


@pytest.mark.shows("route fastworker.Broadcast")
def test_fanout_reaches_the_queues_for_copies_whatever_the_routing_key() -> None:
    from kombu.common import Broadcast

    copies = {"b": ["every.w@1", "every.w@2"], "news": ["news.w@1"]}
    queues = QueueTable(
        [
            fastworker.Queue("every", fastworker.Exchange("b", type="fanout"), "k"),
            Broadcast("news"),
            fastworker.Broadcast("own"),
        ],
        default_queue="celery",
        default_exchange="celery",
        default_type="direct",
        default_key="celery",
        create_missing=False,
        copies=lambda exchange: copies.get(exchange, []),
    )
    assert queues.names == ["every", "news", "own"]
    assert queues.reached_by("b", "k") == queues.reached_by("b", "x") == copies["b"]
    assert queues.reached_by("own", "") == []
    router = Router(None, queues, "celery")
    found = router.destination({"queue": "news"})
    assert found == Destination(("news.w@1",), "news", "celery", is_fanout=True)
    # A retry is published to the queue of its worker.
    assert router.destination({"queue": "every.w@1"}) == Destination(
        ("every.w@1",), "", "every.w@1"
    )
    for name in ("every.w", "celery.w@1"):
        with pytest.raises(QueueNotFound):
            router.destination({"queue": name})


@pytest.mark.shows("route kombu-queue")
def test_kombus_queue_objects_are_read() -> None:
    from kombu import Exchange, Queue

    queues = [Queue("a", Exchange("ex"), routing_key="k"), Queue("plain")]
    assert table(queues).names == ["a", "plain"]
    assert routed(None, "t", queues, exchange="ex", routing_key="k") == ("a",)
    assert routed(None, "t", queues, queue=queues[1]) == ("plain",)


@pytest.mark.shows("route fastworker.Queue")
def test_our_queue_objects_are_read_as_kombus() -> None:
    import kombu

    for module in (fastworker, kombu):
        topics = module.Exchange("topics", type="topic")
        queues = [
            module.Queue("t", topics, routing_key="a.#", max_priority=9),
            module.Queue("d", module.Exchange("directs"), routing_key="k"),
        ]
        router = Router(None, table(queues), "celery")
        assert router.destination({"exchange": "topics", "routing_key": "a.b"}).queues == ("t",)
        assert router.destination({"exchange": "directs", "routing_key": "k"}).queues == ("d",)
        assert router.destination({"queue": "d"}).exchange == ""


def test_missing_queue_is_made_or_refused() -> None:
    assert table(["a"])["new"].routing_key == "new"
    with pytest.raises(
        QueueNotFound, match=r"'nw' missing from task_queues \(new\); did you mean 'new'"
    ):
        table(["new"], create_missing=False)["nw"]


def test_something_that_is_no_queue_is_refused() -> None:
    with pytest.raises(ImproperlyConfigured, match="7 is not a queue"):
        table([7])
