"""``@app.task(pydantic=True)``: models as arguments and return values of a task. Source: Celery's ``pydantic_wrapper``.

A parameter annotated with a model is validated before the function runs; a returned model that the annotation announces
is written as plain values. The caller may pass models: each is written as plain values too, if the worker's validation
would make an equal model of them.

pydantic is an optional dependency: ``pip install 'fastworker-rs[pydantic]'``.
"""

from __future__ import annotations

import functools
import inspect
import types
import typing
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from typing import Any, TypeGuard

from fastworker.errors import ImproperlyConfigured

_POSITIONAL = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
_BY_KEYWORD = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)


class ModelTask:
    """The function of a task with models.

    Args:
        app: Validators find it in their context as ``celery_app``.
        function: The user's.
        name: Of the task; in the context as ``celery_task_name``.
        is_bound: The function takes the task itself first.
        strict: Pydantic's strict mode.
        context: More of the context.
        dump_kwargs: For ``model_dump``; ``mode="json"`` unless it says another.

    Raises:
        ImproperlyConfigured: pydantic is not installed.
    """

    def __init__(
        self,
        app: Any,
        function: Callable[..., Any],
        name: str,
        *,
        is_bound: bool,
        strict: bool,
        context: Mapping[str, Any] | None,
        dump_kwargs: Mapping[str, Any] | None,
    ) -> None:
        self._base: type = _pydantic(name).BaseModel
        self._function = function
        self._signature = inspect.signature(function)
        self._is_bound = is_bound
        self._strict = strict
        self._context = {**(context or {}), "celery_app": app, "celery_task_name": name}
        self._dump_kwargs = {"mode": "json", **(dump_kwargs or {})}

    @functools.cached_property
    def _hints(self) -> dict[str, Any]:
        """Annotations; read at the first call, when the names in them are defined."""
        try:
            return typing.get_type_hints(self._function)
        except (NameError, AttributeError, TypeError):
            raw = {name: p.annotation for name, p in self._signature.parameters.items()}
            return {**raw, "return": self._signature.return_annotation}

    def wrapper(self) -> Callable[..., Any]:
        """The function to run in place of the user's."""

        @functools.wraps(self._function)
        def run(*args: Any, **kwargs: Any) -> Any:
            return self._returned(self._call(*args, **kwargs))

        @functools.wraps(self._function)
        async def arun(*args: Any, **kwargs: Any) -> Any:
            return self._returned(await self._call(*args, **kwargs))

        return arun if inspect.iscoroutinefunction(self._function) else run

    def _call(self, *args: Any, **kwargs: Any) -> Any:
        """Call the user's function with models for arguments."""
        bound = self._signature.bind(*args, **kwargs)
        for name, value in bound.arguments.items():
            model = self._model_of(name, value)
            if model is not None:
                bound.arguments[name] = self._validated(model, value)
        return self._function(*bound.args, **bound.kwargs)

    def dump_arguments(
        self, args: Sequence[Any] | None, kwargs: Mapping[str, Any] | None
    ) -> tuple[Any, Any]:
        """The caller's arguments, models as plain values.

        What the worker would not rebuild equal stays as it is, and is the serializer's to refuse.
        """
        given, named = args or (), kwargs or {}
        if not isinstance(given, list | tuple) or not isinstance(named, Mapping):
            return args, kwargs
        if not any(isinstance(value, self._base) for value in (*given, *named.values())):
            return args, kwargs
        try:
            self._signature.bind(*([None] if self._is_bound else []), *given, **named)
        except TypeError:  # the argument check says so, or the worker
            return args, kwargs
        parameters = self._signature.parameters.values()
        positions = [p.name for p in parameters if p.kind in _POSITIONAL][self._is_bound :]
        keywords = {p.name for p in parameters if p.kind in _BY_KEYWORD}
        names = [*positions, *[None] * max(0, len(given) - len(positions))]
        dumped = [self._dumped(name, value) for name, value in zip(names, given, strict=False)]
        return (
            dumped if isinstance(args, list) else tuple(dumped),
            {k: self._dumped(k if k in keywords else None, v) for k, v in named.items()},
        )

    def _dumped(self, name: str | None, value: Any) -> Any:
        if name is None or not isinstance(value, self._base) or hasattr(type(value), "__json__"):
            return value
        model = self._model_of(name, value)
        if model is None:
            return value
        try:
            dumped = value.model_dump(**self._dump_kwargs)  # type: ignore[attr-defined]
            return dumped if self._validated(model, dumped) == value else value
        except Exception:
            # Serializers and validators are the user's, and some only work in a worker: the model
            # stays as it is, as in Celery.
            return value

    def _model_of(self, name: str, value: Any) -> Any:
        """The model to validate an argument with, or None."""
        annotation = self._hints.get(name)
        inner = _optional(annotation)
        if inner is not None and value is not None:
            annotation = inner
        return annotation if _is_class(annotation) and issubclass(annotation, self._base) else None

    def _validated(self, model: Any, value: Any) -> Any:
        return model.model_validate(value, strict=self._strict, context=dict(self._context))

    def _returned(self, value: Any) -> Any:
        annotation = self._hints.get("return")
        inner = _optional(annotation)
        annotation = annotation if inner is None else inner
        if (
            isinstance(value, self._base)
            and _is_class(annotation)
            and isinstance(value, annotation)
        ):
            return value.model_dump(**self._dump_kwargs)  # type: ignore[attr-defined]
        return value


def _pydantic(task: str) -> Any:
    try:
        return import_module("pydantic")
    except ImportError as exc:
        raise ImproperlyConfigured(
            f"task {task!r}: pydantic=True needs pydantic, which is not installed; "
            f"try: pip install 'fastworker-rs[pydantic]'"
        ) from exc


def _optional(annotation: Any) -> Any:
    """``X`` of ``X | None``, else None."""
    if typing.get_origin(annotation) not in (typing.Union, types.UnionType):
        return None
    members = typing.get_args(annotation)
    others = [member for member in members if member is not type(None)]
    return others[0] if len(members) == 2 and len(others) == 1 else None


def _is_class(annotation: Any) -> TypeGuard[type]:
    # On Python 3.10, list[str] says of itself that it is a class; from 3.11 on, Any does.
    is_one = inspect.isclass(annotation) and annotation is not typing.Any
    return is_one and not isinstance(annotation, types.GenericAlias)
