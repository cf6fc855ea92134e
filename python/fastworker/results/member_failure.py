"""``MemberFailure``: what stands in the place of a result where a chord's body is run although a member has failed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from fastworker.results.remote_error import decode_exception, encode_exception
from fastworker.serialize import json
from fastworker.serialize.picklable import picklable, restored

#: Beside its value in a message: who does not know it refuses the message, and takes it for no result.
_MARKER = "fastworker.MemberFailure"


@dataclass(frozen=True)
class MemberFailure:
    """How a member of a chord's header failed, in the place of its result.

    It travels as JSON and as pickle; a Celery worker that reads it logs "Unsupported type" and drops the message.

    Attributes:
        task_id: The member.
        state: ``FAILURE`` or ``REVOKED``.
        error: What it raised.
    """

    task_id: str
    state: str
    error: BaseException | None

    def __reduce__(self) -> tuple[Any, ...]:
        error = self.error
        return _unpickled, (self.task_id, self.state, None if error is None else picklable(error))


def _unpickled(task_id: str, state: str, error: BaseException | None) -> MemberFailure:
    return MemberFailure(task_id, state, None if error is None else restored(error))


def _encoded(failure: MemberFailure) -> dict[str, Any]:
    error = failure.error
    return {
        "task_id": failure.task_id,
        "state": failure.state,
        "error": None if error is None else encode_exception(error, json.dumps),
    }


def _decoded(fields: dict[str, Any]) -> MemberFailure:
    return MemberFailure(fields["task_id"], fields["state"], decode_exception(fields["error"]))


json.register_type(MemberFailure, _MARKER, _encoded, _decoded)
