"""Exceptions on their way through a result document: a dict of class name, arguments and module.

Our own classes travel under Celery's module names, so that a Celery client finds its own class, and
come back as ours. A reader only ever looks a class up in modules that are imported already: a
document must not import anything.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from importlib import import_module
from types import TracebackType
from typing import Any

from fastworker import errors
from fastworker.errors import SecurityError
from fastworker.serialize.picklable import (
    UnpickleableExceptionWrapper,
    picklable,
    restored,
    writable_args,
)

_BILLIARD = {"SoftTimeLimitExceeded", "TimeLimitExceeded", "WorkerLostError", "Terminated"}
_KOMBU = {
    "KombuError",
    "OperationalError",
    "SerializationError",
    "EncodeError",
    "DecodeError",
    "SerializerNotInstalled",
    "ContentDisallowed",
}
_RENAMED = {"FastWorkerError": "CeleryError", "FastWorkerWarning": "CeleryWarning"}
_RENAMED_BACK = {theirs: ours for ours, theirs in _RENAMED.items()}
_FOREIGN_MODULES = frozenset(
    {"celery.exceptions", "billiard.exceptions", "kombu.exceptions", "fastworker.exceptions"}
)
#: Classes that nobody has, made up for a document: they belong to Celery's module, as Celery's do.
_MADE_UP_MODULE = "celery.exceptions"
_WRAPPER_MODULE = "celery.utils.serialization"


class RemoteTraceback(Exception):
    """The traceback of the worker, as text; the ``__cause__`` of an exception that ``get()``
    raises.
    """

    def __init__(self, text: str) -> None:
        self.text = text
        super().__init__(text)

    def __str__(self) -> str:
        return f'\n"""\n{self.text.rstrip()}\n"""'


def encode_exception(exc: BaseException, write: Callable[[Any], Any]) -> dict[str, Any]:
    """The dict that is stored for ``exc``.

    Args:
        exc: What the task raised.
        write: The serializer; arguments that it refuses are stored as their ``repr``.
    """
    exc = picklable(exc)
    module, name = _wire_name(type(exc))
    return {"exc_type": name, "exc_message": writable_args(exc.args, write), "exc_module": module}


def decode_exception(stored: Any) -> BaseException | None:
    """The exception in a stored document; None for an empty one (RETRY without a cause).

    Raises:
        SecurityError: The named class is not an exception.
        TypeError, ValueError: The document does not describe an exception.
    """
    if not stored:
        return None
    if isinstance(stored, BaseException):
        return restored(stored)
    if not isinstance(stored, Mapping):
        raise TypeError(f"a stored exception must be an exception or a mapping, not {stored!r}")
    if "exc_type" not in stored:
        raise ValueError(f"a stored exception must name its class in 'exc_type': {dict(stored)!r}")
    name, module, message = (
        stored["exc_type"],
        stored.get("exc_module"),
        stored.get("exc_message", ""),
    )
    cls = _find_class(module, name)
    # Without this a document could call any function of any imported module (os.system, for one).
    if not (isinstance(cls, type) and issubclass(cls, BaseException)):
        full_name = name if module is None else f"{module}.{name}"
        raise SecurityError(f"Expected an exception class, got {full_name} with payload {message}")
    try:
        return cls(*message) if isinstance(message, tuple | list) else cls(message)
    except Exception:  # the constructor takes other arguments than those in ``args``: keep the text
        return Exception(f"{cls}({message})")


def with_remote_traceback(
    exc: BaseException, text: str | None, as_frames: bool = False
) -> BaseException:
    """Chain the worker's traceback to ``exc``, unless it has a cause of its own.

    Args:
        exc: What the task raised.
        text: The worker's traceback.
        as_frames: ``task_remote_tracebacks``: ``exc`` gets it as its own too, where tblib is installed.
    """
    if text and exc.__cause__ is None:
        exc.__cause__ = RemoteTraceback(text)
    return exc.with_traceback(remote_traceback(text)) if text and as_frames else exc


def remote_traceback(text: str) -> TracebackType | None:
    """The worker's traceback as one of this process, for debuggers and error trackers; None without tblib.

    Its frames have file, line and name, and no variables. As in Celery, text that is no traceback raises.
    """
    try:
        tblib = import_module("tblib")
    except ImportError:
        return None
    found: TracebackType = tblib.Traceback.from_string(text).as_traceback()
    return found


def _wire_name(cls: type[BaseException]) -> tuple[str, str]:
    name = getattr(cls, "__qualname__", cls.__name__)
    if cls is UnpickleableExceptionWrapper:
        return _WRAPPER_MODULE, name
    if cls.__module__ != errors.__name__:
        return cls.__module__, name
    if name in _BILLIARD:
        return "billiard.exceptions", name
    if name in _KOMBU:
        return "kombu.exceptions", name
    return "celery.exceptions", _RENAMED.get(name, name)


def _find_class(module: str | None, name: str) -> Any:
    if module in _FOREIGN_MODULES:
        ours = getattr(errors, _RENAMED_BACK.get(name, name), None)
        if isinstance(ours, type) and issubclass(ours, BaseException):
            return ours
    if module == _WRAPPER_MODULE and name == UnpickleableExceptionWrapper.__name__:
        return UnpickleableExceptionWrapper
    try:
        found: Any = sys.modules[str(module)]
        for part in name.split("."):
            found = getattr(found, part)
    except (KeyError, AttributeError):
        return type(name, (Exception,), {"__module__": _MADE_UP_MODULE})
    return found
