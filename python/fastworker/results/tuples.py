"""Results as they are stored inside other results: ``((id, parent), children)``."""

from __future__ import annotations

from typing import Any

from fastworker.results.application import ResultApp, current_application
from fastworker.results.async_result import AsyncResult, ResultBase
from fastworker.results.result_set import GroupResult


def result_from_tuple(stored: Any, app: ResultApp | None = None) -> AsyncResult[Any] | GroupResult:
    """The result that a tuple stands for; a result is returned as it is (pickle stores it
    whole).
    """
    if isinstance(stored, ResultBase):
        return stored  # type: ignore[return-value]
    app = app if app is not None else current_application()
    head, members = stored
    task_id, parent = head if isinstance(head, list | tuple) else (head, None)
    parent = result_from_tuple(parent, app) if parent else None
    if members is None:
        return app.AsyncResult(task_id, parent=parent)  # type: ignore[no-any-return]
    return app.GroupResult(task_id, [result_from_tuple(m, app) for m in members], parent=parent)  # type: ignore[no-any-return]
