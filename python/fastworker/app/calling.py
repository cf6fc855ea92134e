"""``Task.apply_async`` by the long road: what is checked and filled in before a call is published, for blocking callers
and for coroutines.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from fastworker.app.eager import as_travelled
from fastworker.app.publish import Parcel, asend_task, pack, send_task
from fastworker.results.joining import denied_join_result

if TYPE_CHECKING:
    from fastworker.app.task import Task
    from fastworker.results.async_result import AsyncResult

Args = Sequence[Any] | None
Kwargs = Mapping[str, Any] | None


def publish(
    task: Task[..., Any], args: Args, kwargs: Kwargs, options: Mapping[str, Any]
) -> AsyncResult[Any]:
    """Publish a call of ``task``, or run it here when ``task_always_eager`` says so."""
    args, kwargs, options = describe(task, args, kwargs, options)
    if task.bound_app().conf.task_always_eager:
        return _run_here(task, args, kwargs, options)
    return send_task(task.bound_app(), task.name, args, kwargs, **options)


async def apublish(
    task: Task[..., Any], args: Args, kwargs: Kwargs, options: Mapping[str, Any]
) -> AsyncResult[Any]:
    """The same for a coroutine. An eager task runs on the loop's own thread, and blocks it."""
    args, kwargs, options = describe(task, args, kwargs, options)
    if task.bound_app().conf.task_always_eager:
        return _run_here(task, args, kwargs, options)
    return await asend_task(task.bound_app(), task.name, args, kwargs, **options)


def pack_or_run(
    task: Task[..., Any], args: Args, options: Mapping[str, Any]
) -> Parcel | AsyncResult[Any]:
    """A call that is to be published with others; an eager one is run at once."""
    args, kwargs, whole = describe(task, args, None, options)
    if task.bound_app().conf.task_always_eager:
        return _run_here(task, args, kwargs, whole)
    return pack(task.bound_app(), task.name, args, kwargs, **whole)


def describe(
    task: Task[..., Any], args: Args, kwargs: Kwargs, options: Mapping[str, Any]
) -> tuple[Args, Kwargs, dict[str, Any]]:
    """The call with everything that the task says of it: arguments and options for ``pack``.

    Raises:
        TypeError: The arguments do not fit the function.
        ValueError: The task's soft time limit is above its hard one.
    """
    if task.soft_time_limit and task.time_limit and task.soft_time_limit > task.time_limit:
        raise ValueError("soft_time_limit must be less than or equal to time_limit")
    if task.typing:
        task.check_arguments(args or (), kwargs or {})
    said = {key: value for key, value in options.items() if key != "shadow"}
    shadow = options.get("shadow") or task.shadow_name(args, kwargs, said)
    whole = {
        **task.exec_options(),
        "ignore_result": task.ignore_result,
        **said,
        "shadow": shadow,
        "result_cls": task.AsyncResult,
        "task_type": task,
    }
    dump_models = task.dump_models
    if dump_models is not None and whole.get("serializer") != "pickle":
        args, kwargs = dump_models(args, kwargs)
    return args, kwargs, whole


def _run_here(
    task: Task[..., Any], args: Args, kwargs: Kwargs, options: dict[str, Any]
) -> AsyncResult[Any]:
    travelled = as_travelled(task, args or (), kwargs or {}, options.get("serializer"))
    for name in ("add_to_parent", "producer", "shadow", "result_cls", "task_type"):
        options.pop(name, None)
    with denied_join_result():
        return task.apply(*travelled, **options)
