"""``@shared_task``: a task of a library, which belongs to whatever application is current where it
is used.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Concatenate, Literal, ParamSpec, TypeVar, overload

from fastworker.app.proxy import Proxy
from fastworker.app.state import active_apps, connect_on_app_finalize, get_current_app

if TYPE_CHECKING:
    from fastworker.app.task import Task

P = ParamSpec("P")
R = TypeVar("R")


@overload
def shared_task(function: Callable[P, R], /) -> Task[P, R]: ...
@overload
def shared_task(
    *, bind: Literal[True], **options: Any
) -> Callable[[Callable[Concatenate[Any, P], R]], Task[P, R]]: ...
@overload
def shared_task(**options: Any) -> Callable[[Callable[P, R]], Task[P, R]]: ...
def shared_task(*args: Any, **options: Any) -> Any:
    """Make a task of every application, those that come later included; options as for
    ``app.task``.

    Raises:
        TypeError: Applied twice to one function.
    """

    def decorator(function: Callable[..., Any]) -> Any:
        if type(function) is Proxy:
            raise TypeError(
                "@shared_task was applied more than once to the same function. Remove the extra "
                "@shared_task decorator."
            )
        connect_on_app_finalize(lambda app: app.task_from_function(function, **options))
        for app in active_apps():
            if app.finalized:
                app.task_from_function(function, **options)
        name = options.get("name")

        def find() -> Any:
            app = get_current_app()
            return app.tasks[name or app.gen_task_name(function.__name__, function.__module__)]

        return Proxy(find, function.__doc__)

    if len(args) == 1 and callable(args[0]) and not options:
        return decorator(args[0])
    if args:
        raise TypeError(f"@shared_task takes a function or options, not {args!r}")
    return decorator
