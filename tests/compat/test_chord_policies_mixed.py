"""Policies of chords in the hands of a Celery worker."""

from __future__ import annotations

import contextlib
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
    """A client of ours; its worker serves ``celery``, one of Celery's ``theirs``."""
    with contextlib.ExitStack() as stack:
        made = Rig(AppSpec(PRODUCT, redis_url, redis_url), tmp_path, stack)
        made.worker("-n", "ours@host", "-Q", "celery")
        made.worker("-n", "theirs@host", "-Q", "theirs", framework="celery")
        yield made


def refusal(result: Any) -> str:
    """What the task failed with."""
    wait_until(result.ready, "it ended", 60)
    assert result.state == "FAILURE"
    return str(result.result)


@pytest.mark.parametrize("errors", ["continue", "fail_fast", 3])
def test_a_celery_worker_that_joins_a_chord_does_so_by_celerys_rule(rig: Rig, errors: Any) -> None:
    from fastworker import chord

    add, fail = rig.task("add"), rig.task("fail")
    total = rig.task("total").s().set(queue="theirs")
    theirs = [add.s(1, 1).set(queue="theirs"), fail.s("no").set(queue="theirs")]
    assert "raised Boom('no')" in refusal(chord(theirs, total, errors=errors).apply_async())
    good = [add.s(1, 1).set(queue="theirs"), add.s(2, 2).set(queue="theirs")]
    assert chord(good, total, errors=errors).apply_async().get(timeout=60) == 6
