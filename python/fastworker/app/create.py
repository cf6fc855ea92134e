"""From a function to a task: a class of its own, one instance of it, registered."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from fastworker.app.arguments import argument_checker
from fastworker.app.autoretry import add_autoretry
from fastworker.app.naming import qualified_name
from fastworker.errors import DuplicateTaskNameWarning, ImproperlyConfigured

if TYPE_CHECKING:
    from fastworker.app.app import FastWorker


def task_from_function(
    app: FastWorker,
    function: Callable[..., Any],
    name: str | None = None,
    base: type[Any] | None = None,
    bind: bool = False,
    pydantic: bool = False,
    pydantic_strict: bool = False,
    pydantic_context: Mapping[str, Any] | None = None,
    pydantic_dump_kwargs: Mapping[str, Any] | None = None,
    **options: Any,
) -> Any:
    """The task of ``function`` in ``app``; the one that is registered under its name already, if
    there is one.

    Args:
        app: Its application.
        function: The body.
        name: Registered name. None: ``module.function``.
        base: Base class. None: the application's ``Task``.
        bind: The function takes the task as its first argument.
        pydantic: Arguments and return values are models; see ``pydantic_models.py``.
        pydantic_strict: Validate in pydantic's strict mode.
        pydantic_context: More of the validators' context.
        pydantic_dump_kwargs: For ``model_dump``.
        options: Attributes of the task.

    Raises:
        RuntimeError: The application is not finalised and may not be finalised by use.
        ImproperlyConfigured: An option that fastworker does not have, or pydantic is missing.
    """
    if not app.finalized and not app.autofinalize:
        raise RuntimeError("Contract breach: app not finalized")
    name = name or app.gen_task_name(function.__name__, function.__module__)
    registry = app.unfinalized_tasks
    if name in registry:
        _warn_if_another(app, registry[name], function, name)
        return registry[name]
    body, dump_models = function, None
    has_batches = options.get("batch", getattr(base, "batch", None)) is not None
    if pydantic and has_batches:
        raise ImproperlyConfigured(
            f"task {name!r}: pydantic=True validates the arguments of one call, and batch= gives the function a list "
            f"of calls; leave one of them out, and validate request.args in the function"
        )
    if pydantic:
        from fastworker.app.pydantic_models import ModelTask

        models = ModelTask(
            app,
            function,
            name,
            is_bound=bind,
            strict=pydantic_strict,
            context=pydantic_context,
            dump_kwargs=pydantic_dump_kwargs,
        )
        body, dump_models = models.wrapper(), models.dump_arguments
    run = body if bind else staticmethod(body)
    attributes: dict[str, Any] = {
        "app": app,
        "_app": app,
        "name": name,
        "run": run,
        # Errbacks are called by their signature; one that takes the task itself is not.
        "__bound__": bind,
        "__doc__": function.__doc__,
        "__module__": function.__module__,
        "__wrapped__": run,
        "_decorated_function": staticmethod(function),
    }
    if dump_models is not None:
        attributes["dump_models"] = staticmethod(dump_models)
    checker = argument_checker(function, is_bound=bind)
    if checker is not None:
        attributes["__header__"] = staticmethod(checker)
    cls = type(function.__name__, (base or app.Task,), {**attributes, **options})
    task = cls()
    task.__dict__["__qualname__"] = getattr(function, "__qualname__", function.__name__)
    registry[name] = task
    task.bind(app)
    add_autoretry(task, **options)
    return task


def warn_duplicate(app: FastWorker, name: str, old: str, new: str, consequence: str) -> None:
    """Warn, once a name, that two callables want it."""
    if name in app.duplicates_warned:
        return
    app.duplicates_warned.add(name)
    warnings.warn(
        DuplicateTaskNameWarning(
            f"Task name {name!r} is already registered for {old}; it was given to {new} too. "
            f"{consequence} "
            "Give one of them another name=."
        ),
        stacklevel=4,
    )


def _warn_if_another(app: FastWorker, task: Any, function: Callable[..., Any], name: str) -> None:
    """A module imported twice hands in the same function again: not worth a warning."""
    old = getattr(task, "_decorated_function", None)
    if old is None or old is function:
        return
    warn_duplicate(
        app,
        name,
        qualified_name(old),
        qualified_name(function),
        "The new callable was not registered; calls under this name reach the callable registered "
        "first.",
    )
