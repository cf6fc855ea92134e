"""Chords whose members fail, by policy: the body runs all the same, or fails at once; on each broker."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

import pytest

from tests.support.apps import AppSpec
from tests.support.gate import Gate, read_lines
from tests.support.rig import PRODUCT, Rig
from tests.support.waiting import wait_until

pytestmark = pytest.mark.skipif(PRODUCT == "celery", reason="Celery has one policy")

TIMEOUT_S = 60


def chord(members: Any, body: Any, **options: Any) -> Any:
    """Publish a chord."""
    from fastworker import chord as our_chord

    return our_chord(members, body, **options).apply_async()


def error_of(result: Any) -> Exception:
    """What a task failed with."""
    wait_until(result.ready, "it ended", TIMEOUT_S)
    found: Exception = result.result
    return found


def test_a_chord_that_continues_has_its_failures_in_their_places(running: Rig) -> None:
    add, fail, sorted_out = (running.task(name) for name in ("add", "fail", "sorted_out"))
    late = add.s(1, 1).set(expires=-1)
    members = [add.s(1, 1), fail.s("second"), add.s(3, 3), late]
    result = chord(members, sorted_out.s(), errors="continue")
    found = result.get(timeout=TIMEOUT_S)
    ids = [member.id for member in result.parent.results]
    assert found["returned"] == [2, 6]
    assert found["places"] == [1, 3]
    assert found["failed"] == [
        [ids[1], "FAILURE", "Boom('second')"],
        [ids[3], "REVOKED", "TaskRevokedError('expired')"],
    ]


def test_failures_keep_the_shape_of_a_header(running: Rig) -> None:
    from fastworker import chain, group

    add, fail, sorted_out = (running.task(name) for name in ("add", "fail", "sorted_out"))
    inner = chain(add.s(1, 1), group(add.s(1), fail.si("inside")))
    result = chord([inner, add.s(5, 5)], sorted_out.s(), errors="continue")
    found = result.get(timeout=TIMEOUT_S)
    [[first, failure], last] = found["returned"]
    assert (first, last, failure.state, str(failure.error)) == (3, 10, "FAILURE", "inside")


def test_so_many_may_fail_and_no_more(running: Rig) -> None:
    add, fail, sorted_out = (running.task(name) for name in ("add", "fail", "sorted_out"))
    borne = chord([fail.s("one"), add.s(1, 1), fail.s("two")], sorted_out.s(), errors=2)
    assert borne.get(timeout=TIMEOUT_S)["returned"] == [2]
    members = [fail.s("one"), add.s(1, 1), fail.s("two"), add.s(1, 1)]
    text = str(error_of(chord(members, sorted_out.s(), errors=1)))
    assert "raised Boom('one'); 2 members failed, and 1 may" in text


@pytest.mark.shows("setting task_chord_errors")
def test_a_setting_says_what_chords_do_that_do_not(rig: Rig) -> None:
    rig.configure(task_chord_errors="continue").worker()
    add, fail, sorted_out = (rig.task(name) for name in ("add", "fail", "sorted_out"))
    members = [add.s(1, 1), fail.s("no")]
    assert chord(members, sorted_out.s()).get(timeout=TIMEOUT_S)["places"] == [1]
    strict = chord(members, sorted_out.s(), errors="fail")
    assert "raised Boom('no')" in str(error_of(strict))


@pytest.mark.needs("processes")
def test_a_chord_that_fails_fast_waits_for_nobody_and_revokes_the_rest(
    running: Rig, gate: Gate, tmp_path: Path
) -> None:
    add, fail, hold, listed = (running.task(name) for name in ("add", "fail", "hold", "listed"))
    ran, told = str(tmp_path / "ran"), str(tmp_path / "told")
    body = listed.s(ran).on_error(running.task("note_error").s(told))
    members = [fail.s("first"), hold.s(gate.path), hold.s(gate.path), add.s(1, 1), add.s(2, 2)]
    result = chord(members, body, errors="fail_fast")
    other = add.delay(3, 3)
    error = error_of(result)
    assert "raised Boom('first')" in str(error)
    held, waiting = result.parent.results[1:3], result.parent.results[3:]
    assert not any(member.ready() for member in held), "what runs goes on"
    gate.release(2)
    for member in held:
        member.get(timeout=TIMEOUT_S)
    # A worker whose processes are all busy may leave them in the queue until then.
    for member in waiting:
        assert str(error_of(member)) == "revoked"
    assert other.get(timeout=TIMEOUT_S) == 6
    wait_until(lambda: read_lines(told) == [result.id], "the error callback", TIMEOUT_S)
    assert read_lines(ran) == []


def test_members_that_are_published_again_are_not_revoked_with_their_first_run(
    running: Rig,
) -> None:
    add, fail, total = (running.task(name) for name in ("add", "fail", "total"))
    good = add.s(1, 1)
    failed = chord([fail.s("first"), good], total.s(), errors="fail_fast")
    assert "raised Boom('first')" in str(error_of(failed))
    assert good.options == {}
    assert chord([good, good.clone()], total.s(), errors="fail_fast").get(timeout=TIMEOUT_S) == 4


def test_results_may_live_elsewhere(redis_url: str, tmp_path: Path) -> None:
    """Failures that end a chord, folds, and what messages refer to: counted and kept in the other store."""
    from fastworker import chain

    with contextlib.ExitStack() as stack:
        file = f"sqlite:///{tmp_path}/queue.db"
        for number, (queues, results) in enumerate([(file, redis_url), (redis_url, file)]):
            conf = {"task_default_queue": f"q{number}", "task_by_reference": True}
            rig = Rig(AppSpec(PRODUCT, queues, results, conf), tmp_path, stack)
            rig.worker("-n", f"w{number}@host")
            add, fail, total, echo = (rig.task(name) for name in ("add", "fail", "total", "echo"))
            late = add.s(1, 1).set(countdown=3600)
            failed = chord([fail.s("first"), late], total.s(), errors="fail_fast")
            assert "raised Boom('first')" in str(error_of(failed))
            folded = chord((add.s(n, 1) for n in range(50)), total.s(), reduce=4)
            assert folded.get(timeout=TIMEOUT_S) == 1_275
            large = [echo.s("x" * 50, n) for n in range(1_000)]
            assert chord(large, rig.task("length_of").s()).get(timeout=TIMEOUT_S) == 1_000
            steps = chain(add.s(0, 0), *(add.s(1) for _ in range(30))).apply_async()
            assert steps.get(timeout=TIMEOUT_S) == 30


def test_a_worker_killed_while_it_fails_a_chord_leaves_that_to_another(
    rig: Rig, gate: Gate, tmp_path: Path
) -> None:
    """What follows from the failure is published once."""
    rig.configure(worker_lease_life=2)
    first = rig.worker("-n", "first@host", TEST_HELD_PUBLISH=gate.path)
    told = str(tmp_path / "told")
    fail, listed = rig.task("fail"), rig.task("listed")
    # An error callback like any other, which whoever publishes it waits with.
    body = rig.task("total").s().on_error(listed.si([1], told))
    members = [fail.s("first"), rig.task("add").s(1, 1).set(countdown=3600)]
    result = chord(members, body, errors="fail_fast")
    assert gate.wait_started(1, TIMEOUT_S) == [first.pid]
    first.kill_node()
    assert result.state == "PENDING"
    rig.worker("-n", "second@host")
    assert "raised Boom('first')" in str(error_of(result))
    wait_until(lambda: len(read_lines(told)) == 1, "the error callback", TIMEOUT_S)
    assert rig.task("add").delay(1, 1).get(timeout=TIMEOUT_S) == 2
    assert len(read_lines(told)) == 1
