"""Parts of Celery's application that fastworker does not have: each says so, and what to use, when
it is touched.
"""

from __future__ import annotations

from typing import Any, NoReturn

from fastworker.errors import ImproperlyConfigured

#: Names of Celery's own defaults, which change nothing.
_HARMLESS = ("app", "default")


class _Refused:
    def __init__(self, name: str, instead: str) -> None:
        self._name = name
        self._instead = instead

    def __get__(self, app: object, cls: type) -> Any:
        if app is None:
            return self
        self._refuse()

    def _refuse(self) -> NoReturn:
        # Not AttributeError: hasattr() would answer "no" quietly, and code would take another way.
        raise NotImplementedError(
            f"app.{self._name} is not available in this version of fastworker; use instead: "
            f"{self._instead}"
        )


def refused(name: str, instead: str) -> Any:
    """An attribute that cannot be used; ``instead`` completes "use instead: …"."""
    return _Refused(name, instead)


def refuse_constructor_arguments(**arguments: Any) -> None:
    """
    Raises:
        ImproperlyConfigured: One of Celery's constructor arguments that replace a part fastworker
            does not have.
    """
    for name, value in arguments.items():
        if not value or value in _HARMLESS:
            continue
        raise ImproperlyConfigured(
            f"FastWorker({name}={value!r}): custom {name} objects are parts of Celery that "
            f"fastworker does not have; "
            "leave the argument out"
        )
