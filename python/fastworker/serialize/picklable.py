"""Exceptions as they survive pickle: what a reader gets back is then the same from every
serializer.

Celery sends every exception through a pickle round trip before it stores it, JSON or not, because a
class that cannot be rebuilt from its ``args`` would break the reader. Tests of real applications
rely on the outcome.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterable
from typing import Any

_TOO_GENERAL = (Exception, BaseException, object)


class UnpickleableExceptionWrapper(Exception):
    """Stands for an exception of which neither the class nor a base can be rebuilt.

    Its ``args`` are ``(module, class name, arguments, repr)``. On the wire it carries Celery's
    module name.
    """

    def __init__(
        self, exc_module: str, exc_cls_name: str, exc_args: Iterable[Any], text: str | None = None
    ) -> None:
        self.exc_module = exc_module
        self.exc_cls_name = exc_cls_name
        self.exc_args = writable_args(exc_args, _round_trip)
        self.text = text
        super().__init__(exc_module, exc_cls_name, self.exc_args, text)

    def restore(self) -> Exception:
        """An exception of a class made up with the original's name and module."""
        cls = type(self.exc_cls_name, (Exception,), {"__module__": self.exc_module})
        restored: Exception = cls(*self.exc_args)
        return restored

    def __str__(self) -> str:
        return self.text or ""


def picklable(exc: BaseException) -> BaseException:
    """``exc`` when it survives pickle, else its nearest base class that does, else a wrapper that
    names it.
    """
    if _survives(exc):
        return exc
    bases: tuple[Any, ...] = type(exc).__mro__
    for cls in bases:
        if cls in _TOO_GENERAL:
            break
        try:
            nearest: BaseException = cls(*exc.args)
        except Exception:  # its constructor wants something else; try the next base
            continue
        if _survives(nearest):
            return nearest
    wrapper = UnpickleableExceptionWrapper(
        type(exc).__module__, type(exc).__name__, exc.args, safe_text(exc)
    )
    wrapper.__traceback__ = exc.__traceback__
    return wrapper


def restored(exc: BaseException) -> BaseException:
    """Undo ``picklable`` as far as it can be undone."""
    return exc.restore() if isinstance(exc, UnpickleableExceptionWrapper) else exc


def writable_args(args: Iterable[Any], write: Callable[[Any], Any]) -> tuple[Any, ...]:
    """``args`` with everything that ``write`` refuses replaced by its ``repr``."""
    safe = []
    for arg in args:
        try:
            write(arg)
        except Exception:  # whatever the serializer raises means the same: no form for this value
            safe.append(safe_text(arg))
        else:
            safe.append(arg)
    return tuple(safe)


def safe_text(value: Any) -> str:
    """``repr``, or the type and the error when ``repr`` itself fails."""
    try:
        return repr(value)
    except Exception as exc:
        return f"<Unrepresentable {type(value)!r}: {exc!r}>"


def _round_trip(value: Any) -> Any:
    return pickle.loads(pickle.dumps(value))


def _survives(value: Any) -> bool:
    try:
        _round_trip(value)
    except Exception:
        return False
    return True
