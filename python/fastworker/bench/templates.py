"""Calls as messages with holes, for ``_core.Pacer``: made once, by the same code that publishes a user's call."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from fastworker.app.publish import pack
from fastworker.bench.errors import BenchError
from fastworker.bench.workload import Call

if TYPE_CHECKING:
    from fastworker.app.app import FastWorker

#: What stands in the place of what a call gets when it is made; as in ``rust/py/src/pacer.rs``.
_ID = "00000000-0000-4000-8000-000000000000"
_HEADERS = {"fw-intended": 10**15, "fw-number": "0" * 10}
_ETA = "2001-09-09T01:46:40.000001+00:00"

Template = tuple[str, int, bytes, int]


def templates(app: FastWorker, calls: Iterable[Call], queue: str | None) -> list[Template]:
    """One a call.

    Args:
        app: Whose tasks, routes and serializers.
        calls: What is called.
        queue: Where they go instead of where the routes say. None: where those say.

    Raises:
        BenchError: A call is published to no queue, or to several.
        EncodeError: An argument cannot be serialised.
    """
    made: list[Template] = []
    for call in calls:
        options = {} if queue is None else {"queue": queue}
        if call.delay_s > 0:
            options["eta"] = _ETA
        parcel = pack(
            app,
            call.task,
            call.args,
            call.kwargs,
            task_id=_ID,
            add_to_parent=False,
            headers=dict(_HEADERS),
            **options,
        )
        if len(parcel.envelopes) != 1:
            raise BenchError(
                f"task {call.task!r} goes to {len(parcel.envelopes)} queues by its routes: expected one; let the bench "
                f"use a queue of its own (without --attach)"
            )
        name, priority, message = parcel.envelopes[0]
        made.append((name, priority, message, round(call.delay_s * 1_000_000)))
    return made
