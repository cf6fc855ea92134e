"""How events show what came of a task. Made in the child, which has the values, and only for watched calls."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from fastworker.serialize.saferepr import saferepr

if TYPE_CHECKING:
    from fastworker._core import Call
    from fastworker.app.task import Task

#: What ``repr`` shows of these is short, and what Celery's ``saferepr`` shows.
_PLAIN = (int, bool, float, type(None))


def result_of(value: Any, maxsize: int | None) -> str:
    """A result.

    Args:
        value: Anything.
        maxsize: About how many characters; the task's ``resultrepr_maxsize``.
    """
    if type(value) in _PLAIN and (type(value) is not int or -(1 << 63) <= value < 1 << 63):
        return repr(value)
    return _encodable(saferepr(value, maxsize))


def results_of(task: Task[..., Any]) -> Callable[[Any], str]:
    """How the task's results are shown: a function of the result."""
    return lambda value: result_of(value, task.resultrepr_maxsize)


def error_of(call: Call, exc: BaseException | None, traceback: str | None) -> dict[str, Any]:
    """An error, as ``ChildLink.report`` takes it; nothing if nobody watches the call."""
    if not call.is_watched:
        return {}
    try:
        shown = repr(exc)
    except Exception as broken:
        # The user's class: the event says so.
        shown = f"<Unrepresentable {type(exc)!r}: {broken!r}>"
    return {"shown": _encodable(shown), "traceback": _encodable(traceback or "")}


def _encodable(text: str) -> str:
    """Without lone surrogates, which UTF-8 has no form for."""
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode()
