"""Chords of a Celery client that workers of ours finish, alone and beside Celery's own."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.apps import AppSpec
from tests.support.rig import PRODUCT, Rig
from tests.support.waiting import wait_until

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


@pytest.fixture
def rig(redis_url: str, tmp_path: Path) -> Iterator[Rig]:
    """A Celery client; workers are of whichever framework a test starts."""
    with contextlib.ExitStack() as stack:
        yield Rig(AppSpec("celery", redis_url, redis_url), tmp_path, stack)


def chord(members: list[Any], body: Any) -> Any:
    """Publish a chord with Celery's canvas."""
    from celery import chord as celery_chord

    return celery_chord(members)(body)


def leftovers(rig: Rig) -> list[bytes]:
    """What is kept of chords, but for the marks of those that are done."""
    kept = [key for key in rig.redis().keys("celery-taskset-meta-*") if not key.endswith(b".c")]
    return [*kept, *rig.redis().keys("fastworker:joins")]


def doc_of(rig: Rig, task_id: str) -> dict[str, Any]:
    """The stored document of a task."""
    found: dict[str, Any] = json.loads(rig.redis().get(f"celery-task-meta-{task_id}") or b"{}")
    return found


def error_of(result: Any, timeout_s: float = 30) -> Exception:
    """What a task failed with; ``get`` would raise its parent's error."""
    wait_until(result.ready, "it ended", timeout_s)
    assert result.state == "FAILURE"
    found: Exception = result.result
    return found


@pytest.mark.parametrize("workers", [(PRODUCT,), (PRODUCT, "celery")], ids=["ours", "mixed"])
def test_a_chord_is_finished_with_results_in_the_order_of_its_header(
    rig: Rig, workers: tuple[str, ...]
) -> None:
    for number, framework in enumerate(workers):
        rig.worker("-n", f"w{number}@host", framework=framework)
    add, listed = rig.task("add"), rig.task("listed")
    results = [
        chord([add.s(number, number) for number in range(size)], listed.s()) for size in (1, 2, 50)
    ]
    for size, result in zip((1, 2, 50), results, strict=True):
        assert result.get(timeout=20) == [2 * number for number in range(size)]
    wait_until(lambda: leftovers(rig) == [], "the chords are forgotten")
    marks = [rig.redis().get(key) for key in rig.redis().keys("celery-taskset-meta-*.c")]
    assert marks == [b"done"] * 3


def test_a_chord_of_protocol_1_is_finished(rig: Rig) -> None:
    """What the headers say in protocol 2 is in the body."""
    with rig.app as app:
        app.conf.task_protocol = 1
        rig.worker(framework=PRODUCT)
        add, who = rig.task("add"), rig.task("listed")
        result = chord([add.s(1, 1), add.s(2, 2), add.s(3, 3)], who.s())
        assert result.get(timeout=20) == [2, 4, 6]


def test_the_body_knows_its_group_and_where_it_comes_from(rig: Rig) -> None:
    rig.worker(framework=PRODUCT)
    add, who = rig.task("add"), rig.task("listed")
    result = chord([add.s(1, 1), add.s(2, 2)], who.s())
    assert result.get(timeout=20) == [2, 4]
    doc = doc_of(rig, result.id)
    members = [doc_of(rig, child.id) for child in result.parent.results]
    assert {doc["group_id"], *(member["group_id"] for member in members)} == {result.parent.id}
    assert doc["parent_id"] in {child.id for child in result.parent.results}


@pytest.mark.parametrize("framework", [PRODUCT, "celery"])
def test_a_failed_member_fails_the_body_once(rig: Rig, framework: str, tmp_path: Path) -> None:
    """Also with Celery: that is the behaviour that is copied."""
    from celery.exceptions import ChordError

    rig.worker(framework=framework)
    add, fail, note = rig.task("add"), rig.task("fail"), rig.task("note_error")
    here = rig.task("note_error_here")
    old, new, ran = (tmp_path / name for name in ("old", "new", "ran"))
    body = rig.task("listed").s(str(ran)).on_error(note.s(str(old)))
    body.link_error(here.s(path=str(new)))
    result = chord([add.s(1, 1), fail.s("no"), add.s(2, 2)], body)
    error = error_of(result)
    failed = result.parent.results[1].id
    assert isinstance(error, ChordError)
    assert str(error) == f"Dependency {failed} raised Boom('no')"
    wait_until(old.exists, "the error callback ran")
    assert old.read_text().split() == [result.id]
    assert new.read_text().startswith(f"{result.id} Dependency {failed}")
    assert not ran.exists()


def test_every_way_to_end_ends_the_chord(rig: Rig, tmp_path: Path) -> None:
    from celery.exceptions import ChordError

    rig.worker("-Q", "celery", framework=PRODUCT)
    add, listed = rig.task("add"), rig.task("listed")
    unknown = rig.app.signature("proj.nobody", app=rig.app)
    revoked = add.s(1, 1).set(task_id="revoked-one", countdown=3600)
    ways = {
        "reject requeue=False": rig.task("reject").s("never"),
        "Ignore": rig.task("ignore_me").s(),
        "'proj.nobody' never registered": unknown,
        "TimeLimitExceeded": rig.task("run_over").s(),
        "TaskRevokedError('expired')": add.s(1, 1).set(expires=-1),
        "TaskRevokedError('revoked')": revoked,
        "WorkerLostError": rig.task("die").s(str(tmp_path / "deaths")),
        "is not JSON serializable": rig.task("unserialisable").s(),
    }
    results = {name: chord([add.s(1, 1), member], listed.s()) for name, member in ways.items()}
    rig.app.control.revoke("revoked-one")
    for name, result in results.items():
        error = error_of(result, 60)
        assert isinstance(error, ChordError), name
        assert name in str(error), str(error)
        assert result.parent.results[1].id in str(error), name
    wait_until(lambda: leftovers(rig) == [], "the chords are forgotten")


def test_what_is_stored_of_a_member_does_not_matter(rig: Rig) -> None:
    rig.worker(framework=PRODUCT)
    members = [
        rig.task("add_unkept").s(1, 2),
        rig.task("add_early").s(3, 4),
        rig.task("flaky").s(2),
    ]
    assert chord(members, rig.task("listed").s()).get(timeout=30) == [3, 7, 2]


@pytest.mark.parametrize("framework", [PRODUCT, "celery"])
def test_members_that_are_chains_count_by_their_last_step(rig: Rig, framework: str) -> None:
    rig.worker(framework=framework)
    add, fail, listed = rig.task("add"), rig.task("fail"), rig.task("listed")
    good = chord([add.s(1, 1) | add.s(5), add.s(2, 2)], listed.s())
    assert good.get(timeout=20) == [7, 4]
    bad = chord([fail.s("early") | add.s(5) | add.s(6), add.s(2, 2)], listed.s())
    assert "raised Boom('early')" in str(error_of(bad))


@pytest.mark.parametrize("framework", [PRODUCT, "celery"])
def test_chords_of_chords_and_groups(rig: Rig, framework: str) -> None:
    from celery import chord as celery_chord
    from celery import group

    rig.worker(framework=framework)
    add, listed, total = (rig.task(name) for name in ("add", "listed", "total"))
    inner = celery_chord([add.s(1, 1), add.s(2, 2)], total.s())
    assert chord([inner, add.s(3, 3)], listed.s()).get(timeout=20) == [6, 6]
    # Celery opens groups in a header, the last member first.
    nested = celery_chord([group(add.s(1, 1), add.s(2, 2)), add.s(3, 3)])(listed.s())
    assert nested.get(timeout=20) == [4, 2, 6]
    chained = chord([add.s(1, 1), add.s(2, 2)], total.s() | add.s(10))
    assert chained.get(timeout=20) == 16


def test_a_failure_reaches_what_is_around_it(rig: Rig) -> None:
    """A chord's body that fails unrun is a member of the chord around, or the first of a chain."""
    from celery import chord as celery_chord
    from celery import group

    rig.worker(framework=PRODUCT)
    add, listed, total, fail = (rig.task(name) for name in ("add", "listed", "total", "fail"))
    inner = celery_chord([fail.s("inside"), add.s(2, 2)], total.s())
    assert "inside" in str(error_of(chord([inner, add.s(1, 1)], listed.s())))
    to_group = chord([fail.s("outside"), add.s(2, 2)], group(total.s(), listed.s()))
    for member in to_group.results:
        assert str(error_of(member)) == "outside"
    chained = chord([fail.s("first"), add.s(2, 2)], total.s() | add.s(10))
    assert "first" in str(error_of(chained))
    wait_until(lambda: leftovers(rig) == [], "the chords are forgotten")
