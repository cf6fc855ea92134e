"""Messages that refer to what is stored once: results of large chords, and the steps of long chains; on each broker."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest

from tests.support import waiting_messages
from tests.support.gate import Gate, read_lines
from tests.support.rig import PRODUCT, Rig
from tests.support.waiting import wait_until

pytestmark = pytest.mark.skipif(PRODUCT == "celery", reason="Celery sends everything along")

TIMEOUT_S = 60


@pytest.fixture
def referring(rig: Rig) -> Rig:
    """An installation whose messages may refer."""
    return rig.configure(task_by_reference=True)


def chord(members: Any, body: Any, **options: Any) -> Any:
    """Publish a chord."""
    from fastworker import chord as our_chord

    return our_chord(members, body, **options).apply_async()


def many(rig: Rig, count: int = 2_000) -> list[Any]:
    """Members with much to return."""
    echo = rig.task("echo")
    return [echo.s("é" * 20, number) for number in range(count)]


@pytest.mark.shows("setting task_by_reference")
def test_a_body_gets_the_results_that_its_message_refers_to(referring: Rig) -> None:
    from fastworker import group

    referring.worker()
    length_of, echo = referring.task("length_of"), referring.task("echo")
    assert chord(many(referring), length_of.s()).get(timeout=TIMEOUT_S) == 2_000
    small = chord(many(referring, 3), echo.s())
    assert [value[0][1] for value in small.get(timeout=TIMEOUT_S)[0][0]] == [0, 1, 2]
    both = chord(many(referring), group(length_of.s(), length_of.s()))
    assert both.get(timeout=TIMEOUT_S) == [2_000, 2_000]
    then = chord(many(referring), length_of.s() | referring.task("add").s(1))
    assert then.get(timeout=TIMEOUT_S) == 2_001


def test_the_last_message_of_a_large_chord_is_small(referring: Rig) -> None:
    referring.worker("-Q", "celery")
    body = referring.task("length_of").s().set(queue="later")
    result = chord(many(referring), body)
    wait_until(
        lambda: waiting_messages.of(referring.spec.broker, "later"), "the body's message", TIMEOUT_S
    )
    [message] = waiting_messages.of(referring.spec.broker, "later")
    assert len(message) < 4_096
    assert b"ResultsReference" in base64.b64decode(json.loads(message)["body"])
    referring.worker("-Q", "later", "-n", "later@host")
    assert result.get(timeout=TIMEOUT_S) == 2_000


def test_a_body_that_is_retried_refers_again(referring: Rig, tmp_path: Path) -> None:
    referring.worker()
    seen = str(tmp_path / "seen")
    result = chord(many(referring), referring.task("length_at_second").s(seen))
    assert result.get(timeout=TIMEOUT_S) == 2_000
    assert [int(size) < 4_096 for size in read_lines(seen)] == [True, True]


def test_a_body_in_a_form_without_references_gets_the_whole(referring: Rig) -> None:
    referring.configure(accept_content=["json", "msgpack"]).worker()
    body = referring.task("length_of").s().set(serializer="msgpack")
    assert chord(many(referring), body).get(timeout=TIMEOUT_S) == 2_000


def test_failures_are_among_results_that_are_referred_to(referring: Rig) -> None:
    referring.worker()
    members = [*many(referring), referring.task("fail").s("last")]
    result = chord(members, referring.task("sorted_out").s(), errors="continue")
    assert result.get(timeout=TIMEOUT_S)["places"] == [2_000]


def test_a_body_whose_results_are_gone_says_so(referring: Rig) -> None:
    referring.configure(result_chord_expires=1).worker("-Q", "celery")
    result = chord(many(referring), referring.task("length_of").s().set(queue="later"))
    wait_until(
        lambda: waiting_messages.of(referring.spec.broker, "later"), "the body's message", TIMEOUT_S
    )
    wait_until(lambda: is_forgotten(referring), "the results expired", TIMEOUT_S)
    referring.worker("-Q", "later", "-n", "later@host")
    wait_until(result.ready, "its end", TIMEOUT_S)
    assert type(result.result).__name__ == "MissingReferenceError"
    assert "is not in the result store" in str(result.result)


def is_forgotten(rig: Rig) -> bool:
    """Whether what was kept is gone; where nothing expires by itself, the next to come sweeps."""
    rig.app.backend.begin_chord("another")
    if rig.is_redis:
        return not any(rig.redis().scan_iter("*~fw:*"))
    [message] = waiting_messages.of(rig.spec.broker, "later")
    body = json.loads(base64.b64decode(json.loads(message)["body"]))
    name = body[0][0]["__value__"]["name"]
    return rig.app.backend.store.kept(name, 0, 1, None) == []


def test_a_long_chain_moves_each_step_once(referring: Rig) -> None:
    from fastworker import chain

    referring.worker()
    sizes = referring.task("size_of_rest")
    steps = [sizes.s() for _ in range(300)]
    values = chain(sizes.s([]), *steps).apply_async().get(timeout=TIMEOUT_S)
    assert len(values) == 301
    assert max(values) < 1_000


def test_a_chain_that_fails_early_fails_all_its_steps(referring: Rig) -> None:
    from fastworker import chain, chord

    referring.worker()
    add, fail, total = (referring.task(name) for name in ("add", "fail", "total"))
    result = chain(fail.s("early"), *(add.s(1) for _ in range(50))).apply_async()
    wait_until(result.ready, "its end", TIMEOUT_S)
    assert str(result.result) == "early"
    inner = chain(fail.s("inside"), *(add.s(1) for _ in range(50)))
    around = chord([inner, add.s(1, 1)], total.s()).apply_async()
    wait_until(around.ready, "its end", TIMEOUT_S)
    assert "raised Boom('inside')" in str(around.result)


def test_all_kinds_of_steps_may_be_stored(referring: Rig) -> None:
    from fastworker import chain, chord, group

    referring.worker()
    add, total, replaced = (referring.task(name) for name in ("add", "total", "replaced_by_sum"))
    ones = [add.s(1) for _ in range(30)]
    mixed = chain(
        add.s(0, 0), *ones, group(add.s(1), add.s(2)), total.s(), *ones, replaced.s(), *ones
    )
    # 30, then 31 + 32, then 30 and 1 and 30 more.
    assert mixed.apply_async().get(timeout=TIMEOUT_S) == 63 + 61
    inner = chord([chain(add.s(0, 0), *ones), add.s(1, 1)], chain(total.s(), *ones))
    assert inner.apply_async().get(timeout=TIMEOUT_S) == 62


def test_a_worker_killed_between_two_stored_steps_loses_none(
    referring: Rig, gate: Gate, tmp_path: Path
) -> None:
    from fastworker import chain

    first = referring.configure(worker_lease_life=2).worker("-n", "first@host")
    add, hold = referring.task("add"), referring.task("hold")
    steps = [add.si(1, 1), hold.si(gate.path), *(add.s(1) for _ in range(30))]
    steps[2] = add.si(0, 1)
    result = chain(*steps).apply_async()
    gate.wait_started(1)
    first.kill_node()
    referring.worker("-n", "second@host")
    gate.wait_started(2, TIMEOUT_S)
    gate.release(2)
    assert result.get(timeout=TIMEOUT_S) == 30
