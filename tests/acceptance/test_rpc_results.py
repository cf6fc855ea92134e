"""Results of ``rpc://``: messages to the client that asked, with both frameworks on both sides."""

from __future__ import annotations

import asyncio
import contextlib
import multiprocessing
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from fastworker import chord, group
from fastworker.exceptions import ImproperlyConfigured
from tests.support.apps import AppSpec, Boom, build
from tests.support.gate import read_lines
from tests.support.rabbitmq import VirtualHost
from tests.support.rig import PRODUCT, Rig
from tests.support.waiting import wait_until

TIMEOUT_S = 60

pytestmark = pytest.mark.skipif(PRODUCT == "celery", reason="compares ours with Celery's")


@pytest.fixture
def rig(rabbit: VirtualHost, tmp_path: Path) -> Iterator[Rig]:
    with contextlib.ExitStack() as stack:
        yield Rig(AppSpec(PRODUCT, rabbit.url, "rpc://"), tmp_path, stack)


def test_replies_come_to_whoever_asked(rig: Rig) -> None:
    worker = rig.worker()
    add, fail = rig.task("add"), rig.task("fail")
    assert [add.delay(n, 1).get(TIMEOUT_S) for n in range(20)] == list(range(1, 21))
    assert group(add.s(n, n) for n in range(50))().get(timeout=TIMEOUT_S) == list(range(0, 100, 2))
    assert (add.s(1, 1) | add.s(5))().get(timeout=TIMEOUT_S) == 7
    with pytest.raises(Boom, match="told"):
        fail.delay("told").get(timeout=TIMEOUT_S)
    assert worker.stop() == 0


@pytest.mark.parametrize("worker", ["celery", "fastworker"])
@pytest.mark.parametrize("client", ["celery", "fastworker"])
def test_clients_and_workers_of_both_understand_each_other(
    rig: Rig, rabbit: VirtualHost, client: str, worker: str
) -> None:
    rig.worker(framework=worker)
    app = build(rig.spec.of(client))
    with contextlib.closing(app):
        add, fail = app.tasks["proj.add"], app.tasks["proj.fail"]
        results = [add.delay(n, n) for n in range(10)]
        assert [result.get(timeout=TIMEOUT_S) for result in results] == list(range(0, 20, 2))
        with pytest.raises(Boom, match="told"):
            fail.delay("told").get(timeout=TIMEOUT_S)


def test_every_thread_and_coroutine_gets_its_own(rig: Rig) -> None:
    rig.worker()
    add = rig.task("add")
    got: dict[int, list[int]] = {}

    def ask(number: int) -> None:
        got[number] = [add.delay(number, n).get(timeout=TIMEOUT_S) for n in range(20)]

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert got == {number: [number + n for n in range(20)] for number in range(6)}

    async def awaited() -> list[int]:
        results = [add.delay(n, 1) for n in range(10)]
        return await asyncio.gather(*(result.aget(timeout=TIMEOUT_S) for result in results))

    assert asyncio.run(awaited()) == list(range(1, 11))


def test_a_result_of_another_thread_is_known_and_that_of_another_process_is_not(rig: Rig) -> None:
    rig.worker()
    result = rig.task("add").delay(2, 2)
    assert result.get(timeout=TIMEOUT_S) == 4
    seen: list[Any] = []
    thread = threading.Thread(target=lambda: seen.append(rig.app.AsyncResult(result.id).result))
    thread.start()
    thread.join()
    assert seen == [4]
    assert (result.state, result.ready()) == ("SUCCESS", True)
    with contextlib.closing(build(rig.spec)) as other:
        assert other.AsyncResult(result.id).state == "PENDING"
    result.forget()
    assert result.state == "PENDING"


def test_no_reply_is_lost_with_its_worker(rig: Rig) -> None:
    path = str(rig.directory / "effects")

    def have_run(count: int) -> bool:
        return len(read_lines(path)) >= count

    results = [rig.task("record").delay(path, str(number)) for number in range(4_000)]
    for count in range(600, 3_000, 600):
        worker = rig.worker(concurrency=2)
        wait_until(partial(have_run, count), f"{count} effects")
        worker.kill_node()
    rig.worker(concurrency=2)
    assert [result.get(timeout=TIMEOUT_S) for result in results] == [None] * len(results)
    assert {int(line) for line in read_lines(path)} == set(range(len(results)))


def _ask_in_child(task: Any, answers: Any) -> None:
    answers.put((task.app.oid, task.delay(3, 4).get(timeout=TIMEOUT_S)))


def test_a_forked_client_has_a_queue_of_its_own(rig: Rig) -> None:
    rig.worker()
    add = rig.task("add")
    assert add.delay(1, 1).get(timeout=TIMEOUT_S) == 2
    fork = multiprocessing.get_context("fork")
    answers = fork.Queue()
    child = fork.Process(target=_ask_in_child, args=(add, answers))
    child.start()
    oid, value = answers.get(timeout=TIMEOUT_S)
    child.join()
    assert value == 7
    assert oid != rig.app.oid
    assert add.delay(1, 2).get(timeout=TIMEOUT_S) == 3


@pytest.mark.shows("setting result_persistent")
@pytest.mark.parametrize(("persistent", "mode"), [(None, 1), (True, 2)])
def test_reply_and_its_queue_are_celerys(
    rig: Rig, rabbit: VirtualHost, persistent: bool | None, mode: int
) -> None:
    if persistent:
        rig.configure(result_persistent=True)
    ours = reply_of(rig, rabbit)
    with contextlib.ExitStack() as stack:
        theirs = reply_of(Rig(rig.spec.of("celery"), rig.directory, stack), rabbit)
    assert ours == theirs
    assert ours["delivery_mode"] == mode


def reply_of(rig: Rig, rabbit: VirtualHost) -> dict[str, Any]:
    """How a client's queue is declared, and what a worker sends there."""
    client = rig.task("add").delay(1, 1)
    queue = rabbit.queue(rig.app.thread_oid)
    assert queue.pop("name") == rig.app.thread_oid
    worker = rig.worker()
    with rabbit.connect() as connection:
        channel = connection.channel()
        message = None
        while message is None:
            message = channel.basic_get(rig.app.thread_oid, no_ack=True)
    assert worker.stop() == 0
    assert message.properties["correlation_id"] == client.id
    # Celery's has an empty table of headers.
    assert not message.properties.get("application_headers")
    said = {"correlation_id", "application_headers"}
    return {**{k: v for k, v in message.properties.items() if k not in said}, **queue}


def test_what_has_to_be_kept_for_others_is_refused(rig: Rig, sqlite_url: str) -> None:
    add = rig.task("add")
    with pytest.raises(NotImplementedError, match="does not support chords"):
        chord([add.s(1, 1), add.s(2, 2)], rig.task("echo").s())()
    with pytest.raises(NotImplementedError, match="save_group is not supported"):
        rig.app.GroupResult("g", []).save()
    with (
        contextlib.closing(build(AppSpec("fastworker", sqlite_url, "rpc://"))) as elsewhere,
        pytest.raises(ImproperlyConfigured, match="amqp://localhost"),
    ):
        elsewhere.tasks["proj.add"].delay(1, 1)
