"""Objects that stand for another object: the current one of something, or one that is made at first
use.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any


class Proxy:
    """Stands for whatever ``lookup`` returns at each use (``current_app``, a shared task).

    Args:
        lookup: Returns the object to act on.
        doc: Docstring to show before the object can be looked up.
    """

    __slots__ = ("__weakref__", "_doc", "_lookup")

    def __init__(self, lookup: Callable[[], Any], doc: str | None = None) -> None:
        object.__setattr__(self, "_lookup", lookup)
        object.__setattr__(self, "_doc", doc)

    def _get_current_object(self) -> Any:
        """The object that this proxy stands for, now."""
        return object.__getattribute__(self, "_lookup")()

    @property
    def __class__(self) -> Any:
        return self._get_current_object().__class__

    @__class__.setter
    def __class__(self, cls: type) -> None:
        self._get_current_object().__class__ = cls

    @property
    def __doc__(self) -> str | None:  # type: ignore[override]
        doc: str | None = object.__getattribute__(self, "_doc")
        if doc is None:
            doc = self._get_current_object().__doc__
        return doc

    @property
    def __dict__(self) -> Any:  # type: ignore[override]
        return self._get_current_object().__dict__

    @property
    def __name__(self) -> str:
        return str(self._get_current_object().__name__)

    @property
    def __module__(self) -> str:  # type: ignore[override]
        return str(self._get_current_object().__module__)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._get_current_object(), name)

    def __setattr__(self, name: str, value: Any) -> None:
        setattr(self._get_current_object(), name, value)

    def __delattr__(self, name: str) -> None:
        delattr(self._get_current_object(), name)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self._get_current_object()(*args, **kwargs)

    def __repr__(self) -> str:
        return repr(self._get_current_object())

    def __str__(self) -> str:
        return str(self._get_current_object())

    def __dir__(self) -> list[str]:
        return dir(self._get_current_object())

    def __bool__(self) -> bool:
        return bool(self._get_current_object())

    def __hash__(self) -> int:
        return hash(self._get_current_object())

    def __eq__(self, other: object) -> bool:
        return bool(self._get_current_object() == unwrap(other))

    def __len__(self) -> int:
        return len(self._get_current_object())

    def __iter__(self) -> Iterator[Any]:
        return iter(self._get_current_object())

    def __contains__(self, item: object) -> bool:
        return item in self._get_current_object()

    def __getitem__(self, key: Any) -> Any:
        return self._get_current_object()[key]

    def __reduce__(self) -> Any:
        return self._get_current_object().__reduce__()

    def __enter__(self) -> Any:
        return self._get_current_object().__enter__()

    def __exit__(self, *exc_info: Any) -> Any:
        return self._get_current_object().__exit__(*exc_info)


# No docstring and no module of its own: a promise shows those of what it stands for.
# Decorated tasks are promises, so that a module full of tasks can be imported before the
# application is configured: making a task reads the settings.
class PromiseProxy(Proxy):
    __slots__ = ("_made", "_waiting")
    __doc__ = vars(Proxy)["__doc__"]
    __module__ = vars(Proxy)["__module__"]

    _made: Any
    _waiting: list[Callable[[Any], Any]]

    def __init__(self, make: Callable[[], Any], doc: str | None = None) -> None:
        super().__init__(make, doc)
        object.__setattr__(self, "_waiting", [])

    def _get_current_object(self) -> Any:
        return self._made

    def __then__(self, callback: Callable[[Any], Any]) -> None:
        """Call ``callback`` with the object once it is made; now, if it is."""
        if self.__evaluated__():
            callback(self._made)
        else:
            self._waiting.append(callback)

    def __evaluated__(self) -> bool:
        """True once the object is made."""
        try:
            object.__getattribute__(self, "_made")
        except AttributeError:
            return False
        return True

    def __maybe_evaluate__(self) -> Any:
        """The object, made now if it was not yet."""
        return self._made

    def __getattr__(self, name: str) -> Any:
        # Reached for ``_made`` itself exactly once: an empty slot looks like a missing attribute.
        # So that the hot path of ``add.delay(…)`` is one slot read and one getattr.
        return self.__evaluate__() if name == "_made" else getattr(self._made, name)

    def __evaluate__(self) -> Any:
        made = object.__getattribute__(self, "_lookup")()
        object.__setattr__(self, "_made", made)
        while self._waiting:
            self._waiting.pop(0)(made)
        return made


def unwrap(value: Any) -> Any:
    """The object behind a proxy; any other value as it is."""
    # ``type`` and not ``isinstance``: a proxy pretends to be of its object's class.
    return value._get_current_object() if issubclass(type(value), Proxy) else value
