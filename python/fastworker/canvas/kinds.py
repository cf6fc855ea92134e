"""Which kind of signature it is. The classes say here who they are, since chain, group and chord are made of each
other.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from fastworker.canvas.lazy import LazyList
from fastworker.canvas.signature import Signature

S = TypeVar("S", bound=type[Signature])

#: Ours; a user's subclass of one is of its kind, under whatever name it is registered.
_CLASSES: dict[str, type[Signature]] = {}


def kind(name: str) -> Callable[[S], S]:
    """Class decorator: signatures of this kind are of the class, and travel under the name."""

    def know(cls: S) -> S:
        _CLASSES[name] = cls
        Signature.register_type(name)(cls)
        return cls

    return know


def is_chain(value: Any) -> bool:
    """A signature made of steps."""
    return isinstance(value, _CLASSES["chain"])


def is_group(value: Any) -> bool:
    """A signature made of members."""
    return isinstance(value, _CLASSES["group"])


def is_chord(value: Any) -> bool:
    """A signature with header and body."""
    return isinstance(value, _CLASSES["chord"])


def is_empty_group(value: Any) -> bool:
    """A group without members; of a stream, the first is read to know that."""
    return is_group(value) and not value.tasks


def is_empty_chain(value: Any) -> bool:
    """A chain without steps."""
    return is_chain(value) and not value.tasks


def is_chain_led_by_task(value: Any) -> bool:
    """A chain whose first step is not a group. One that a group leads runs the rest once for each member, so it cannot
    be taken apart."""
    return is_chain(value) and bool(value.tasks) and not is_group(value.tasks[0])


def make(name: str, *args: Any, **kwargs: Any) -> Any:
    """A new ``chain``, ``group`` or ``chord``; arguments as for that class."""
    return _CLASSES[name](*args, **kwargs)


def unrolled(group: Any) -> Any:
    """The only member of a group of one, else the group. Of a stream, two are read to know that."""
    tasks = group.tasks
    if isinstance(tasks, LazyList):
        try:
            tasks[1]
        except IndexError:
            return tasks[0] if tasks else group
        return group
    return tasks[0] if len(tasks) == 1 else group
