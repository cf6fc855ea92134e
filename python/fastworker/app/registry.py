"""``app.tasks``: the registered tasks by name."""

from __future__ import annotations

from typing import Any

from fastworker.app.autoretry import add_autoretry
from fastworker.errors import InvalidTaskError, NotRegistered


class TaskRegistry(dict[str, Any]):
    """Tasks by name; asking for an unknown one raises ``NotRegistered``, which is a
    ``KeyError``.
    """

    NotRegistered = NotRegistered

    def __missing__(self, name: str) -> Any:
        raise NotRegistered(name)

    def register(self, task: Any) -> None:
        """Add a task, or an instance of a task class.

        Raises:
            InvalidTaskError: It has no name.
        """
        if task.name is None:
            name = getattr(task, "__name__", type(task).__name__)
            raise InvalidTaskError(f"Task class {name!r} must specify .name attribute")
        instance = task() if isinstance(task, type) else task
        add_autoretry(instance)
        self[instance.name] = instance

    def unregister(self, task: Any) -> None:
        """Remove a task, given itself or its name.

        Raises:
            NotRegistered: It is not there.
        """
        name = getattr(task, "name", task)
        if name not in self:
            raise NotRegistered(name)
        del self[name]
