"""Chords, on each broker: joined by whoever ends the last member, whatever dies meanwhile."""

from __future__ import annotations

import contextlib
import json
import signal
import uuid
from pathlib import Path
from typing import Any

import pytest

from tests.support.apps import AppSpec
from tests.support.gate import Gate, read_lines
from tests.support.rig import PRODUCT, Rig
from tests.support.waiting import wait_until

pytestmark = pytest.mark.skipif(PRODUCT == "celery", reason="Celery has other processes and rules")

TIMEOUT_S = 60


def chord(members: Any, body: Any) -> Any:
    """Publish a chord."""
    from fastworker import chord as our_chord

    return our_chord(members)(body)


def chord_of(members: Any, body: Any) -> Any:
    """A chord that is not published."""
    from fastworker import chord as our_chord

    return our_chord(members, body)


def error_of(result: Any) -> Exception:
    """What a task failed with."""
    wait_until(result.ready, "it ended", TIMEOUT_S)
    found: Exception = result.result
    return found


@pytest.mark.shows("embed chord", "call chord")
def test_a_chord_of_any_form_is_joined(rig: Rig) -> None:
    from fastworker import chord as our_chord
    from fastworker import group

    rig.worker()
    add, listed, total = (rig.task(name) for name in ("add", "listed", "total"))
    many = chord([add.s(number, number) for number in range(100)], total.s())
    inner = our_chord([add.s(1, 1), add.s(2, 2)], total.s())
    nested = chord([inner, add.s(3, 3)], listed.s())
    to_group = our_chord([add.s(1, 1), add.s(2, 2)], group(total.s(), listed.s()))
    of_groups = chord([to_group, add.s(3, 3)], listed.s())
    chained = chord([add.s(1, 1) | add.s(5), add.s(2, 2)], total.s() | add.s(100))
    replaced = chord([rig.task("replaced_by_sum").s(1), add.s(1, 1)], listed.s())
    assert many.get(timeout=TIMEOUT_S) == 9900
    assert nested.get(timeout=TIMEOUT_S) == [6, 6]
    assert of_groups.get(timeout=TIMEOUT_S) == [[6, [2, 4]], 6]
    assert chained.get(timeout=TIMEOUT_S) == 111
    assert replaced.get(timeout=TIMEOUT_S) == [2, 2]


def test_groups_in_a_header_are_joined_by_how_their_members_ended(
    redis_rig: Rig, gate: Gate
) -> None:
    """A Celery worker stores the RETRY of an attempt after it has published the next one, which may have ended."""
    from fastworker import group

    redis_rig.worker()
    add, listed, total = (redis_rig.task(name) for name in ("add", "listed", "total"))
    to_group = chord_of([add.s(1, 1), add.s(2, 2)], group(total.s(), listed.s()))
    result = chord([to_group, redis_rig.task("hold").s(gate.path)], listed.s())
    gate.wait_started()
    first = result.parent.results[0].results[0]
    assert first.get(timeout=TIMEOUT_S) == 6
    overtaken = {"status": "RETRY", "result": None, "traceback": None, "task_id": first.id}
    redis_rig.redis().set(f"celery-task-meta-{first.id}", json.dumps(overtaken))
    gate.release()
    assert result.get(timeout=TIMEOUT_S)[0] == [6, [2, 4]]


@pytest.mark.shows("verb add_to_chord")
def test_a_member_that_is_added_while_others_run_is_waited_for(rig: Rig) -> None:
    rig.worker()
    grow, total = rig.task("grow_chord"), rig.task("total")
    assert chord([grow.s(1), grow.s(10)], total.s()).get(timeout=TIMEOUT_S) == 33


def test_members_of_a_stream_end_while_it_is_read(rig: Rig) -> None:
    rig.worker()
    add = rig.task("add")
    ids = [str(uuid.uuid4()) for _ in range(1_000)]

    def members() -> Any:
        for number, task_id in enumerate(ids):
            if number == 900:
                # Three full batches have left: each of their members is counted before the size is known.
                left = [rig.app.AsyncResult(task_id) for task_id in ids[:768]]
                wait_until(rig.app.ResultSet(left).ready, "they ended", TIMEOUT_S)
            yield add.s(number, number).set(task_id=task_id)

    assert chord(members(), rig.task("total").s()).get(timeout=TIMEOUT_S) == 999_000


def test_a_large_chord_is_put_together_as_text(rig: Rig) -> None:
    rig.worker()
    echo = rig.task("echo")
    members = [echo.s("é" * 20, number) for number in range(1_000)]
    body = rig.task("echo").s(more="kept")
    result = chord(members, body).get(timeout=TIMEOUT_S)
    expected = [[["é" * 20, number], {}] for number in range(1_000)]
    assert result == [[expected], {"more": "kept"}]
    immutable = chord(members, rig.task("add").si(20, 3))
    assert immutable.get(timeout=TIMEOUT_S) == 23
    packed = chord(members, rig.task("length_of").s().set(compression="zlib"))
    assert packed.get(timeout=TIMEOUT_S) == 1_000


def test_a_failure_in_a_header_fails_all_that_waits_for_it(rig: Rig, tmp_path: Path) -> None:
    from fastworker import chord as our_chord
    from fastworker import group

    rig.worker()
    add, listed, total, fail = (rig.task(name) for name in ("add", "listed", "total", "fail"))
    told = str(tmp_path / "told")
    body = listed.s().on_error(rig.task("note_error").s(told))
    plain = chord([add.s(1, 1), fail.s("plain")], body)
    assert "raised Boom('plain')" in str(error_of(plain))
    wait_until(lambda: read_lines(told) == [plain.id], "the error callback")
    inner = our_chord([fail.s("inside"), add.s(2, 2)], total.s())
    assert "inside" in str(error_of(chord([inner, add.s(1, 1)], listed.s())))
    to_group = chord([fail.s("outside"), add.s(2, 2)], group(total.s(), listed.s()))
    assert [str(error_of(member)) for member in to_group.results] == ["outside", "outside"]
    late = chord([fail.s("early") | add.s(5) | add.s(6), add.s(2, 2)], listed.s())
    assert "raised Boom('early')" in str(error_of(late))


def test_a_worker_killed_before_the_body_is_published_leaves_it_to_another(
    rig: Rig, gate: Gate, tmp_path: Path
) -> None:
    rig.configure(worker_lease_life=2)
    first = rig.worker("-n", "first@host", TEST_HELD_PUBLISH=gate.path)
    ran = str(tmp_path / "ran")
    add, listed = rig.task("add"), rig.task("listed")
    result = chord([add.s(number, 1) for number in range(10)], listed.s(ran))
    # All members have ended, and the main thread makes the body's message.
    assert gate.wait_started(1, TIMEOUT_S) == [first.pid]
    first.kill_node()
    rig.worker("-n", "second@host")
    assert result.get(timeout=TIMEOUT_S) == list(range(1, 11))
    assert read_lines(ran) == [result.id]


def test_a_worker_that_stops_finishes_its_joins(rig: Rig, gate: Gate, tmp_path: Path) -> None:
    worker = rig.worker(TEST_HELD_PUBLISH=gate.path)
    add, listed = rig.task("add"), rig.task("listed")
    result = chord([add.s(1, 1)], listed.s())
    gate.wait_started(1, TIMEOUT_S)
    worker.signal(signal.SIGTERM)
    gate.release()
    assert worker.wait_ended(TIMEOUT_S) == 0
    rig.worker()
    assert result.get(timeout=TIMEOUT_S) == [2]


def test_a_member_whose_node_is_killed_counts_once(rig: Rig, gate: Gate, tmp_path: Path) -> None:
    rig.configure(worker_lease_life=2)
    first = rig.worker("-n", "first@host")
    ran = str(tmp_path / "ran")
    add, hold, listed = rig.task("add"), rig.task("hold"), rig.task("listed")
    result = chord([add.s(1, 1), hold.s(gate.path), add.s(2, 2)], listed.s(ran))
    gate.wait_started(1)
    first.kill_node()
    rig.worker("-n", "second@host")
    gate.wait_started(2, TIMEOUT_S)
    gate.release(2)
    results = result.get(timeout=TIMEOUT_S)
    assert (results[0], results[2]) == (2, 4)
    assert read_lines(ran) == [result.id]


def is_at_rest(rig: Rig) -> bool:
    """Nothing waits, runs, or is to be joined, at one moment."""
    at_once = rig.redis().pipeline().llen("celery").hlen("unacked").hlen("fastworker:joins")
    return sum(at_once.execute()) == 0


# A message comes twice when the answer to its publisher was lost, or its worker's lease while that went on.


def test_a_message_that_runs_again_begins_no_chord_anew(redis_rig: Rig, tmp_path: Path) -> None:
    ran = str(tmp_path / "ran")
    add, listed = redis_rig.task("add"), redis_rig.task("listed")
    result = (add.s(1, 1) | chord_of([add.s(2), add.s(3)], listed.s(ran))).delay()
    [message] = redis_rig.redis().lrange("celery", 0, -1)
    redis_rig.worker()
    assert result.get(timeout=TIMEOUT_S) == [4, 5]
    redis_rig.redis().lpush("celery", message)
    wait_until(lambda: is_at_rest(redis_rig), "nothing is left")
    assert read_lines(ran) == [result.id]


def test_a_message_that_runs_again_adds_the_same_member(redis_rig: Rig, tmp_path: Path) -> None:
    grow, listed = redis_rig.task("grow_chord"), redis_rig.task("listed")
    result = chord([grow.s(10)], listed.s())
    [message] = redis_rig.redis().lrange("celery", 0, -1)
    redis_rig.redis().lpush("celery", message)
    # Both run before the members that they add.
    redis_rig.worker(concurrency=1)
    assert sorted(result.get(timeout=TIMEOUT_S)) == [10, 20]


def test_results_may_live_elsewhere(redis_url: str, tmp_path: Path) -> None:
    """Then the part goes first, the body is published by the broker, and the chord ends last."""
    with contextlib.ExitStack() as stack:
        broker = f"sqlite:///{tmp_path}/queue.db"
        for number, (queues, results) in enumerate([(broker, redis_url), (redis_url, broker)]):
            spec = AppSpec(PRODUCT, queues, results, {"task_default_queue": f"q{number}"})
            rig = Rig(spec, tmp_path, stack)
            worker = rig.worker()
            add, listed, fail = (rig.task(name) for name in ("add", "listed", "fail"))
            many = chord([add.s(each, 1) for each in range(20)], listed.s())
            assert many.get(timeout=TIMEOUT_S) == list(range(1, 21))
            assert "elsewhere" in str(
                error_of(chord([fail.s("elsewhere"), add.s(1, 1)], listed.s()))
            )
            worker.signal(signal.SIGTERM)
            assert worker.wait_ended(TIMEOUT_S) == 0
