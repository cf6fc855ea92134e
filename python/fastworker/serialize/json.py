"""``json``: kombu's JSON, written and read in Rust. Datetimes, UUIDs, Decimals and bytes keep their
types.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fastworker import _core
from fastworker.serialize.registry import Serializer


def dumps(value: Any) -> bytes:
    """Raises TypeError (the text names type and path) for what JSON has no form for, ValueError for
    a circle.
    """
    return _core.dumps(value)


def loads(data: bytes | str) -> Any:
    """Raises ValueError, which says where."""
    return _core.loads(data)


def register_type(
    cls: type,
    marker: str | None,
    encoder: Callable[[Any], Any],
    decoder: Callable[[Any], Any] | None = None,
) -> None:
    """Teach JSON a type, in this process; every process that reads it must do the same.

    Args:
        cls: The type, and its subclasses.
        marker: Written beside the value so that readers find ``decoder``. None: written bare, read
            back as it is.
        encoder: Value to something JSON can write.
        decoder: Back. None: what the encoder made is what the reader gets.
    """
    _core.register_type(cls, marker, encoder, decoder or _as_it_is)


def _as_it_is(value: Any) -> Any:
    return value


SERIALIZER = Serializer("json", "application/json", "utf-8", dumps, loads)
