"""Exchanges on Redis: what a worker of one framework declares, a publisher of the other goes by."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from fastworker.canvas import group
from tests.compat.conftest import Pair
from tests.support.gate import read_lines
from tests.support.rig import PRODUCT, Rig
from tests.support.waiting import wait_until

TIMEOUT_S = 30

QUEUES: dict[str, Any] = {
    "feeds": {"exchange": "topics", "exchange_type": "topic", "routing_key": "feed.#"},
    "news": {"exchange": "topics", "exchange_type": "topic", "routing_key": "*.news.ro-1"},
    "mail": {"exchange": "directs", "exchange_type": "direct", "routing_key": "by mail"},
    "plain": {"exchange": "plain", "routing_key": "plain"},
    "keyless": {"exchange": "plain"},
}


def tables(rig: Rig) -> dict[str, list[str]]:
    """Every binding table but those of remote control and events."""
    client = rig.redis()
    return {
        key.decode(): sorted(member.decode() for member in client.smembers(key))
        for key in sorted(client.keys("_kombu.binding*"))
        if not any(name in key for name in (b"pidbox", b"celeryev", b"deadlines"))
    }


@pytest.mark.shows("route topic-exchange")
def test_both_workers_declare_their_queues_alike(redis_rig: Rig) -> None:
    if PRODUCT == "celery":
        pytest.skip("there is one worker only")
    redis_rig.configure(task_queues=QUEUES)
    found = {}
    for framework in ("celery", PRODUCT):
        redis_rig.redis().flushdb()
        worker = redis_rig.worker(framework=framework)
        found[framework] = tables(redis_rig)
        worker.stop()
    assert found[PRODUCT] == found["celery"]
    assert len(found[PRODUCT]) == 6


def test_publisher_that_lists_no_queue_reaches_those_of_the_worker(pair: Pair) -> None:
    pair.worker.configure(task_queues=QUEUES)
    pair.start()
    send = pair.task("add").apply_async
    result = send((1, 2), exchange="directs", routing_key="by mail")
    assert result.get(timeout=TIMEOUT_S) == 3


@pytest.mark.parametrize(
    ("routing_key", "queues"),
    [("feed.new", {"feeds"}), ("feed.news.ro-1", {"feeds", "news"}), ("x.news.ro-1", {"news"})],
)
def test_topic_goes_to_every_queue_whose_pattern_fits(
    pair: Pair, routing_key: str, queues: set[str]
) -> None:
    # Celery's publisher takes an exchange that it does not know for a direct one.
    pair.publisher.configure(task_queues={"other": {**QUEUES["feeds"], "routing_key": "other"}})
    pair.worker.configure(task_queues=QUEUES)
    # So that Celery's publisher declares the exchange.
    pair.task("add").apply_async((1, 1), queue="other")
    worker = pair.start("-Q", "plain,feeds,news", "--prefetch-multiplier", "1")
    worker.stop()
    pair.task("add").apply_async((1, 2), exchange="topics", routing_key=routing_key)
    lengths = {name for name in ("feeds", "news") if pair.publisher.redis().llen(name)}
    assert lengths == queues


def test_both_workers_show_the_highest_priority_of_queues(redis_rig: Rig) -> None:
    queues = {**QUEUES, "rated": {"exchange": "plain", "max_priority": 5}}
    redis_rig.configure(task_queues=queues, task_queue_max_priority=7)
    shown = []
    for framework in dict.fromkeys(("celery", PRODUCT)):
        worker = redis_rig.worker("-n", "w@here", framework=framework)
        inspect = redis_rig.app.control.inspect(["w@here"], timeout=TIMEOUT_S, limit=1)
        found = inspect.active_queues()["w@here"]
        shown.append(sorted(found, key=lambda queue: str(queue["name"])))
        worker.stop()
    assert shown[0] == shown[-1]
    assert shown[0][0]["queue_arguments"] == {"x-max-priority": 7}
    assert {queue["name"]: queue["max_priority"] for queue in shown[-1]}["rated"] == 5


def test_added_queue_is_declared(redis_rig: Rig) -> None:
    redis_rig.worker("-n", "w@here")
    redis_rig.app.control.add_consumer(
        "late", exchange="things", exchange_type="topic", routing_key="a.*", reply=True
    )
    rows = wait_until(
        lambda: tables(redis_rig).get("_kombu.binding.things"), "the binding", TIMEOUT_S
    )
    assert rows == ["a.*\x06\x16^a\\.[^\\.]+$\x06\x16late"]


FANOUTS: dict[str, Any] = {
    "celery": {"exchange": "celery", "routing_key": "celery"},
    "mine": {"exchange": "every", "exchange_type": "fanout"},
    "keyed": {"exchange": "others", "exchange_type": "fanout", "routing_key": "some.key"},
}


def await_listening(rig: Rig, *nodes: str) -> None:
    """Celery's worker calls itself ready before it hears what is published to its exchanges on Redis. Control commands
    come on the same way, subscribed to in the same turn: whoever answers listens.
    """

    def answered() -> bool:
        replies = rig.app.control.ping(destination=list(nodes), timeout=1.0, limit=len(nodes))
        return {name for reply in replies or [] for name in reply} == set(nodes)

    wait_until(answered, f"answers of {', '.join(nodes)}", TIMEOUT_S)


@pytest.mark.parametrize("queue", ["mine", "keyed"])
def test_fanout_reaches_workers_of_both(pair: Pair, tmp_path: Path, queue: str) -> None:
    path = tmp_path / "ran"
    nodes = ["first@here", "second@here", "third@here"]
    for rig in (pair.publisher, pair.worker):
        rig.configure(task_queues=FANOUTS)
    for rig, node in zip((pair.publisher, pair.worker, pair.worker), nodes, strict=True):
        rig.worker("-n", node)
    await_listening(pair.publisher, *nodes)
    for count in range(1, 3):
        pair.task("record_by").apply_async((str(path), "on"), queue=queue)
        wait_until(lambda n=3 * count: len(read_lines(str(path))) >= n, "copies", TIMEOUT_S)
    assert sorted(read_lines(str(path))) == sorted(f"on {node}" for node in nodes * 2)


@pytest.mark.skipif(PRODUCT == "celery", reason="for our publisher")
def test_members_of_a_group_reach_workers_of_both(redis_rig: Rig, tmp_path: Path) -> None:
    """Also those that Celery's workers hear of only by announcement."""
    path = tmp_path / "ran"
    redis_rig.configure(task_queues=FANOUTS)
    redis_rig.worker("-n", "ours@here")
    redis_rig.worker("-n", "theirs@here", framework="celery")
    await_listening(redis_rig, "ours@here", "theirs@here")
    record = redis_rig.task("record_by")
    group(record.s(str(path), text).set(queue="mine") for text in ("a", "b")).apply_async()
    wait_until(lambda: len(read_lines(str(path))) >= 4, "copies", TIMEOUT_S)
    nodes = ("ours@here", "theirs@here")
    assert sorted(read_lines(str(path))) == sorted(f"{t} {n}" for t in "ab" for n in nodes)


@pytest.mark.skipif(PRODUCT == "celery", reason="Celery's own workers miss it")
def test_publisher_that_does_not_know_a_fanout_reaches_ours(redis_rig: Rig, tmp_path: Path) -> None:
    """kombu's Broadcast is declared by nobody who publishes to it, so that Celery's client takes its
    exchange for a direct one, and looks for queues that are bound to it.
    """
    path = tmp_path / "ran"
    redis_rig.configure(task_queues={**FANOUTS, "mine": {**FANOUTS["mine"], "routing_key": "k"}})
    for node in ("a@here", "b@here"):
        redis_rig.worker("-n", node)
    blind = Rig(redis_rig.spec.of("celery").with_conf(task_queues=None), tmp_path, ExitStack())
    blind.task("record_by").apply_async((str(path), "on"), exchange="every", routing_key="k")
    wait_until(lambda: len(read_lines(str(path))) >= 2, "copies", TIMEOUT_S)
    assert sorted(read_lines(str(path))) == ["on a@here", "on b@here"]
