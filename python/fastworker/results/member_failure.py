"""``MemberFailure``: what stands in the place of a result where a chord's body is run although a member has failed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from fastworker.results.remote_error import decode_exception, encode_exception
from fastworker.serialize import json
from fastworker.serialize.exclusive import Exclusive, register
from fastworker.serialize.picklable import picklable, restored


@dataclass(frozen=True)
class MemberFailure(Exclusive):
    """How a member of a chord's header failed, in the place of its result.

    It travels as JSON and as pickle. A Celery worker fails the task that gets it, as one that it does not know.

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


register(MemberFailure, _encoded, _decoded)
