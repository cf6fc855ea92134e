"""Arguments at publish time: do they fit the function, and which one cannot be serialised."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from fastworker.canvas.nesting import told
from fastworker.errors import EncodeError
from fastworker.serialize.picklable import safe_text
from fastworker.serialize.saferepr import saferepr

_ADVICE = {
    "json": "pass plain values (text, numbers, lists, dicts, datetime, UUID, Decimal, bytes), "
    "or an id to look it up by",
}


def argument_checker(function: Callable[..., Any], *, is_bound: bool) -> Callable[..., Any] | None:
    """A function of the same signature that does nothing: calling it raises Python's own TypeError.

    Its body is made with ``exec``, so that the check costs one call; binding with ``inspect`` costs
    fifty times that.

    Args:
        function: The task's function.
        is_bound: It takes the task itself first.

    Returns:
        The checker, a ``partial`` for bound tasks (that is how others recognise them); None when
        the signature cannot be read (some builtins).
    """
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):
        return None
    name = getattr(function, "__name__", type(function).__name__)
    # A lambda's name is not an identifier; the error text shows it all the same.
    safe_name = name if name.isidentifier() else "task"
    namespace: dict[str, Any] = {"_given": None}
    exec(f"def {safe_name}({', '.join(_parameters(signature))}): return 1", namespace)
    checker: Callable[..., Any] = namespace[safe_name]
    checker.__module__ = getattr(function, "__module__", __name__)
    checker.__qualname__ = name
    return partial(checker, object()) if is_bound else checker


def _parameters(signature: inspect.Signature) -> list[str]:
    """The parameter list as source text; every default is the name ``_given``."""
    parts: list[str] = []
    kinds = [p.kind for p in signature.parameters.values()]
    has_star = inspect.Parameter.VAR_POSITIONAL in kinds
    for position, parameter in enumerate(signature.parameters.values()):
        default = "" if parameter.default is parameter.empty else "=_given"
        if parameter.kind is parameter.VAR_POSITIONAL:
            parts.append(f"*{parameter.name}")
        elif parameter.kind is parameter.VAR_KEYWORD:
            parts.append(f"**{parameter.name}")
        elif parameter.kind is parameter.KEYWORD_ONLY:
            if not has_star:
                parts.append("*")
                has_star = True
            parts.append(parameter.name + default)
        else:
            parts.append(parameter.name + default)
            is_last_positional_only = parameter.kind is parameter.POSITIONAL_ONLY and kinds[
                position + 1 : position + 2
            ] != [parameter.POSITIONAL_ONLY]
            if is_last_positional_only:
                parts.append("/")
    return parts


def encode_error(
    task: str,
    serializer: str,
    args: Sequence[Any],
    kwargs: Mapping[str, Any],
    cause: BaseException,
    write: Callable[[Any], Any],
) -> EncodeError:
    """An error that names the task, the argument and its type.

    Args:
        task: Its name.
        serializer: What could not write it.
        args: Positional arguments of the call.
        kwargs: Keyword arguments of the call.
        cause: What the serializer raised for the whole body; its text names the place inside the
            argument.
        write: The serializer; tried on each argument by itself.
    """
    for position, value in enumerate(args, 1):
        problem = _problem(value, write)
        if problem is not None:
            return _error(task, serializer, f"positional argument {position}", value, problem)
    for name, value in kwargs.items():
        problem = _problem(value, write)
        if problem is not None:
            return _error(task, serializer, f"keyword argument {name!r}", value, problem)
    if isinstance(cause, RecursionError):
        cause = told(cause)
    return EncodeError(f"task {task!r}: the call cannot be serialised as {serializer}: {cause}")


def _problem(value: Any, write: Callable[[Any], Any]) -> BaseException | None:
    try:
        write(value)
    except Exception as exc:  # every serializer has errors of its own
        return exc
    return None


def _error(
    task: str, serializer: str, which: str, value: Any, problem: BaseException
) -> EncodeError:
    kind = f"{type(value).__module__}.{type(value).__qualname__}".removeprefix("builtins.")
    advice = _ADVICE.get(serializer)
    return EncodeError(
        f"task {task!r}: {which} of type {kind!r} cannot be serialised as {serializer}: {problem}"
        f"{f'; {advice}' if advice else ''} (the value: {_short(value)})"
    )


def _short(value: Any) -> str:
    try:
        return saferepr(value, 120)
    except Exception:  # describing the value must not hide the error about it
        return safe_text(type(value))
