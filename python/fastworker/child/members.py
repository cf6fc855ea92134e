"""Members of a chord's header: what their end tells those who count. Source: celery-contract 6.4, 9.3.

Whoever ends a task knows from its message which chord it belongs to, and which tasks that come after it in its chain
belong to one: when it fails, they will not run, and count as failed.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from fastworker import _core, states
from fastworker.app.runs import message_name
from fastworker.canvas.chord_errors import borne_early, policy_of
from fastworker.errors import MissingReferenceError
from fastworker.serialize import registry

if TYPE_CHECKING:
    from fastworker.app.app import FastWorker

logger = logging.getLogger("fastworker.app.trace")

#: Task id, group, place in the header, encoded part, record for the join, and how many failures the chord bears before
#: it ends at once (None: it waits for all its members).
Part = tuple[str, str, int | None, bytes, bytes, int | None]
#: Group, place, record: of the running task.
Membership = tuple[str, int | None, bytes]

_PICKLE = "application/x-python-serialize"


def membership(request: Any, embed: Mapping[str, Any]) -> Membership | None:
    """The chord that the task of ``request`` is a member of; None: of none."""
    body = embed.get("chord")
    if not body or not request.group:
        return None
    return request.group, request.group_index, _record(body, request)


def ends(
    app: FastWorker, request: Any, embed: Mapping[str, Any], state: str, exc: BaseException
) -> list[Part]:
    """The parts of a task that ended with ``exc``: its own, and those of the steps after it that will not run."""
    own = membership(request, embed)
    found = [] if own is None else [(request.id, *own, failures_borne(embed["chord"]))]
    try:
        for step in embed.get("chain") or ():
            found.extend(_members(step, {}, request))
    except MissingReferenceError as missing:
        logger.error(
            "chords that steps behind a failed one belong to do not hear of it: %s", missing
        )
    return [
        (task_id, group, index, app.backend.encode_part(task_id, state, exc), record, bears)
        for task_id, group, index, record, bears in found
    ]


def ends_of_body(
    app: FastWorker,
    body: Mapping[str, Any],
    record: Mapping[str, Any],
    state: str,
    exc: BaseException,
) -> list[Part]:
    """The same of the body of a chord that failed: it may be a member of another chord."""
    ids = _ids_in(record)
    steps = [body, *((body.get("options") or {}).get("chain") or ())]
    return [
        (task_id, group, index, app.backend.encode_part(task_id, state, exc), kept, bears)
        for step in steps
        for task_id, group, index, kept, bears in _members(step, {}, ids)
    ]


def part_of_failure(
    app: FastWorker,
    place: tuple[str, int | None],
    body: Mapping[str, Any],
    record: Mapping[str, Any],
    exc: BaseException,
) -> Part:
    """The part of a member that never came to be: what should have become one failed.

    Args:
        app: Whose.
        place: Its chord and its place in there.
        body: Of that chord.
        record: Of the join that failed.
        exc: What it failed with.
    """
    task_id = _core.new_id()
    doc = app.backend.encode_part(task_id, states.FAILURE, exc)
    return (task_id, *place, doc, _record(body, _ids_in(record)), failures_borne(body))


def _ids_in(record: Mapping[str, Any]) -> _Ids:
    return _Ids(str(record.get("id") or ""), record.get("root_id"), record.get("priority"))


class _Ids:
    """What a record says of the member that it is from."""

    def __init__(self, id: str, root_id: str | None, priority: int | None) -> None:
        self.id = id
        self.root_id = root_id
        self.delivery_info = {"priority": priority}


def _members(
    step: Mapping[str, Any], outer: Mapping[str, Any], request: Any
) -> Iterator[tuple[str, str, int | None, bytes, int | None]]:
    """Tasks in a signature that are members of a chord. What holds for a whole holds for its parts."""
    options = {**outer, **(step.get("options") or {})}
    kind, kwargs = step.get("subtask_type"), step.get("kwargs") or {}
    inherited = {name: options[name] for name in ("chord", "group_id") if name in options}
    if kind == "group":
        for member in kwargs.get("tasks") or ():
            yield from _members(member, inherited, request)
    elif kind == "chain":
        steps = list(kwargs.get("tasks") or ())
        for number, member in enumerate(steps, start=1):
            # What a chain is told is its last step's.
            yield from _members(member, inherited if number == len(steps) else {}, request)
    elif kind == "chord":
        if kwargs.get("body"):
            yield from _members(kwargs["body"], inherited, request)
    elif options.get("chord") and options.get("group_id") and options.get("task_id"):
        body = options["chord"]
        record = _record(body, request)
        place = options.get("group_index")
        yield options["task_id"], options["group_id"], place, record, failures_borne(body)


def failures_borne(body: Mapping[str, Any]) -> int | None:
    return borne_early(policy_of(body))


def _record(body: Any, request: Any) -> bytes:
    """What a join needs beside the parts; JSON, or pickle where the body has no other form."""
    info = request.delivery_info or {}
    record = {
        "body": body,
        "id": request.id,
        "root_id": request.root_id,
        "priority": info.get("priority"),
        "message": message_name(request),
    }
    try:
        return _core.dumps(record)
    except (TypeError, ValueError):
        # It came as pickle: nothing else brings what JSON has no form for.
        return registry.dumps(record, "pickle")[2]


def read_record(app: FastWorker, record: bytes) -> dict[str, Any]:
    """The record of a member.

    Raises:
        ContentDisallowed: It is a pickle, and ``accept_content`` has none.
        DecodeError: It is no record.
    """
    if record.startswith(b"{"):
        return dict(_core.loads(record))
    accept = registry.content_types(app.conf.accept_content)
    return dict(registry.loads(record, _PICKLE, "binary", accept))
