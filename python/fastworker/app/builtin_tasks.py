"""The tasks that every application has. Source: celery/app/builtins.py."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NoReturn

from fastworker.app.chord_unlock import unlock_chord

if TYPE_CHECKING:
    from fastworker.app.app import FastWorker


def add_builtin_tasks(app: FastWorker) -> None:
    """Give an application its built-in tasks, unless it has tasks of its own by these names."""
    for name, (function, options) in _TASKS.items():
        if name not in app.unfinalized_tasks:
            app.task_from_function(function, name=name, **options)


def _backend_cleanup(self: Any) -> None:
    """Remove results that are too old, where the result store does not do that by itself."""
    self.app.backend.cleanup()


def _accumulate(*args: Any, index: int | None = None) -> Any:
    """All arguments, or the one at ``index``: what a group's results go to when it replaces a task."""
    return args if index is None else args[index]


def _map(self: Any, task: Any, it: Any) -> list[Any]:
    """``[task(item) for item in it]``."""
    call = self.app.signature(task).type
    return [call(item) for item in it]


def _starmap(self: Any, task: Any, it: Any) -> list[Any]:
    """``[task(*item) for item in it]``."""
    call = self.app.signature(task).type
    return [call(*item) for item in it]


def _chunks(self: Any, task: Any, it: Any, n: int) -> Any:
    """Publish the chunks."""
    from fastworker.canvas.maps import chunks

    return chunks.apply_chunks(self.app.signature(task), it, n, app=self.app)


def _group(
    self: Any, tasks: Any, result: Any, group_id: str, partial_args: Any, add_to_parent: bool = True
) -> Any:
    """Publish the members, as the client could have done; kept for messages of old clients."""
    from fastworker.canvas.signature import maybe_signature
    from fastworker.results.tuples import result_from_tuple

    found = result_from_tuple(result, self.app)
    for task in tasks:
        sig = maybe_signature(task, app=self.app).clone(partial_args)
        sig.apply_async(group_id=group_id, add_to_parent=False)
    if add_to_parent:
        self.add_trail(found)
    return found


def _chain(*args: Any, **kwargs: Any) -> NoReturn:
    """There is no message for a chain: its first task carries the others."""
    raise NotImplementedError("chain is not a real task")


def _chord(self: Any, header: Any, body: Any, partial_args: Any = (), **options: Any) -> Any:
    """Publish the header, as the client could have done; kept for messages of old clients."""
    from fastworker.canvas.chord import chord

    for name in ("eager", "interval", "countdown", "max_retries"):
        options.pop(name, None)
    return chord(header, body, app=self.app).apply_async(partial_args, **options)


_TASKS: dict[str, tuple[Any, dict[str, Any]]] = {
    "celery.accumulate": (_accumulate, {}),
    "celery.backend_cleanup": (_backend_cleanup, {"bind": True}),
    "celery.chain": (_chain, {}),
    "celery.chord": (_chord, {"bind": True, "ignore_result": False}),
    "celery.chord_unlock": (
        unlock_chord,
        {"bind": True, "ignore_result": True, "max_retries": None},
    ),
    "celery.chunks": (_chunks, {"bind": True}),
    "celery.group": (_group, {"bind": True}),
    "celery.map": (_map, {"bind": True}),
    "celery.starmap": (_starmap, {"bind": True}),
}
