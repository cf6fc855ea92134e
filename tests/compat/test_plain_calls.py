"""What the short cut of ``delay()`` writes beside what Celery writes for the same call."""

from __future__ import annotations

from typing import Any

import pytest
from celery.utils.saferepr import saferepr

from fastworker import FastWorker
from tests.support.celery_client import messages


@pytest.mark.parametrize(
    "args",
    [("plain", 1), ("it's",), ("\"both\" and 'one'",), ("two\nlines",), ("back\\slash",), ("é€",)],
)
def test_short_arguments_are_shown_as_celery_shows_them(
    redis_url: str, args: tuple[Any, ...]
) -> None:
    with FastWorker("proj", broker=redis_url, set_as_current=False) as app:
        task = app.task(lambda *_: None, name="proj.any", shared=False)
        task.delay(*args)
    [message] = messages(redis_url)["celery"]
    assert message["headers"]["argsrepr"] == saferepr(args, 1024, maxlevels=3)


def test_limits_are_written_as_they_were_given(redis_url: str) -> None:
    with FastWorker("proj", broker=redis_url, set_as_current=False) as app:
        task = app.task(
            lambda: None, name="proj.any", shared=False, time_limit=9, soft_time_limit=5.0
        )
        task.delay()
    [message] = messages(redis_url)["celery"]
    assert repr(message["headers"]["timelimit"]) == "[9, 5.0]"
