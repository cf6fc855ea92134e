"""``task_annotations``: task attributes set from the configuration."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from fastworker.app.symbols import symbol_by_name


def annotations_of(setting: Any, task: Any) -> Iterator[Mapping[str, Any]]:
    """The attributes to set on ``task``: those for its name first, then those for ``"*"``.

    Args:
        setting: None, a mapping of task name to attributes, an object with ``annotate(task)`` and
            ``annotate_any()``, the name of one, or a list of these. Of each kind the first that
            answers counts, as in Celery.
        task: The task class.
    """
    if setting is None:
        return
    entries = setting if isinstance(setting, list | tuple) else (setting,)
    sources = [symbol_by_name(entry)() if isinstance(entry, str) else entry for entry in entries]
    for found in (
        _first(_named(source, task) for source in sources),
        _first(_any(source) for source in sources),
    ):
        if found:
            yield found


def _named(source: Any, task: Any) -> Any:
    if isinstance(source, Mapping):
        return source.get(task.name)
    return source.annotate(task) if hasattr(source, "annotate") else None


def _any(source: Any) -> Any:
    if isinstance(source, Mapping):
        return source.get("*")
    return source.annotate_any() if hasattr(source, "annotate_any") else None


def _first(found: Iterator[Any]) -> Any:
    return next((entry for entry in found if entry is not None), None)
