"""Chords of a Celery client whose result store does not count: it publishes ``celery.chord_unlock``."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.apps import AppSpec
from tests.support.gate import Gate, read_lines
from tests.support.rig import PRODUCT, Rig
from tests.support.waiting import wait_until

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")

TIMEOUT_S = 60


@pytest.fixture
def rig(redis_url: str, tmp_path: Path) -> Iterator[Rig]:
    """A Celery client that polls; workers look five times a second."""
    with contextlib.ExitStack() as stack:
        spec = AppSpec(
            "celery",
            redis_url,
            redis_url,
            {"result_chord_retry_interval": 0.2, "worker_lease_life": 2},
        )
        made = Rig(spec, tmp_path, stack)
        from celery.backends.base import Backend

        store = made.app.backend
        stack.enter_context(pytest.MonkeyPatch.context()).setattr(
            store, "apply_chord", functools.partial(Backend.apply_chord, store)
        )
        # Nobody who counts learns how many there are.
        store.set_chord_size = lambda *args: None
        yield made


def chord(members: list[Any], body: Any) -> Any:
    """Publish a chord with Celery's canvas."""
    from celery import chord as celery_chord

    return celery_chord(members)(body)


def error_of(result: Any) -> Exception:
    """What a task failed with."""
    wait_until(result.ready, "it ended", TIMEOUT_S)
    assert result.state == "FAILURE"
    found: Exception = result.result
    return found


@pytest.mark.shows("setting result_chord_retry_interval", "setting result_chord_join_timeout")
@pytest.mark.parametrize("framework", [PRODUCT, "celery"])
def test_a_chord_that_is_polled_for_gets_its_body(rig: Rig, framework: str, gate: Gate) -> None:
    """Also with Celery: that is the behaviour that is copied."""
    rig.worker(framework=framework)
    add, hold, listed = (rig.task(name) for name in ("add", "hold", "listed"))
    result = chord([add.s(1, 1), hold.s(gate.path), add.s(3, 3)], listed.s())
    gate.wait_started(1)
    gate.release()
    values = result.get(timeout=TIMEOUT_S)
    assert (values[0], values[2]) == (2, 6)


@pytest.mark.parametrize("framework", [PRODUCT, "celery"])
def test_its_body_fails_with_a_member(rig: Rig, framework: str, tmp_path: Path) -> None:
    from celery.exceptions import ChordError

    rig.worker(framework=framework)
    add, fail, note = rig.task("add"), rig.task("fail"), rig.task("note_error")
    told, ran = str(tmp_path / "told"), str(tmp_path / "ran")
    body = rig.task("listed").s(ran).on_error(note.s(told))
    result = chord([add.s(1, 1), fail.s("no")], body)
    error = error_of(result)
    assert isinstance(error, ChordError)
    assert "Boom('no')" in str(error)
    if framework == PRODUCT:
        # Celery does not always see which it was.
        assert f"Dependency {result.parent.results[1].id} raised" in str(error)
    wait_until(lambda: read_lines(told) == [result.id], "the error callback", TIMEOUT_S)
    assert read_lines(ran) == []


@pytest.mark.parametrize("framework", [PRODUCT, "celery"])
def test_a_chord_that_is_polled_for_in_vain_fails(rig: Rig, framework: str) -> None:
    rig.worker(framework=framework)
    add = rig.task("add")
    from celery import chord as celery_chord

    members = [add.s(1, 1), add.s(2, 2).set(countdown=3600)]
    result = celery_chord(members)(rig.task("listed").s(), max_retries=2, interval=0.1)
    assert "chord_unlock could not be retried" in str(error_of(result))


def test_a_node_killed_while_it_looks_again_leaves_that_to_another(
    rig: Rig, gate: Gate, tmp_path: Path
) -> None:
    first = rig.worker("-n", "first@host", framework=PRODUCT)
    hold, listed = rig.task("hold"), rig.task("listed")
    ran = str(tmp_path / "ran")
    result = chord([hold.s(gate.path)], listed.s(ran))
    gate.wait_started(1)
    first.kill_node()
    rig.worker("-n", "second@host", framework=PRODUCT)
    gate.wait_started(2, TIMEOUT_S)
    gate.release()
    assert len(result.get(timeout=TIMEOUT_S)) == 1
    assert read_lines(ran) == [result.id]
