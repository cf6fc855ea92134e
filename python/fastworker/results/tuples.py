"""Results as they are stored inside other results: ``((id, parent), children)``; of a long stream the children are what
``StreamMembers.stored`` makes of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fastworker.results.application import ResultApp, current_application
from fastworker.results.async_result import AsyncResult, ResultBase
from fastworker.results.result_set import GroupResult
from fastworker.results.stream_members import members_from
from fastworker.results.stream_result import StreamResult


def result_from_tuple(stored: Any, app: ResultApp | None = None) -> AsyncResult[Any] | GroupResult:
    """The result that a tuple stands for; a result is returned as it is (pickle stores it
    whole).

    Raises:
        ValueError: It has the form of a stream, and is none.
    """
    if isinstance(stored, ResultBase):
        return stored  # type: ignore[return-value]
    app = app if app is not None else current_application()
    line = [stored]  # the chain before it may be longer than the stack is deep
    while isinstance(head := line[-1][0], list | tuple) and head[1]:
        line.append(head[1])
    result: Any = None
    for head, members in reversed(line):
        task_id = head[0] if isinstance(head, list | tuple) else head
        if members is None:
            result = app.AsyncResult(task_id, parent=result)
        elif isinstance(members, Mapping):
            result = StreamResult(task_id, members_from(members, app), parent=result)
        else:
            inner = [result_from_tuple(member, app) for member in members]
            result = app.GroupResult(task_id, inner, parent=result)
    return result  # type: ignore[no-any-return]
